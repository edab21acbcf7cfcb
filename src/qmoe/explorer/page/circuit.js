// The circuit of two qubits, exactly. A state is its 16 expectation values of Pauli words, at index 4 a + b with the letters
// I, X, Y, Z numbered 0 to 3 for qubit 0 (a) and qubit 1 (b). Gates and channels have PennyLane's definitions, as in qmoe.

export const PLACEMENTS = ["block", "gate", "encoding", "layer", "layers"];
export const DEPHASINGS = ["none", "encoding", "layers", "all"];
const LETTER = { X: 1, Y: 2, Z: 3 };

// The two letters that an encoded qubit has beside I, with the wave and sign of each: [letter, 1 for sine or 2 for cosine, sign].
export const ENCODED = {
  X: [[2, 1, -1], [3, 2, 1]],
  Y: [[1, 1, 1], [3, 2, 1]],
  Z: [[1, 2, 1], [2, 1, 1]],
};

// What CNOT with control 0 and target 1 makes of each word, and the sign; it is its own inverse.
const CNOT_TO = [0, 1, 14, 15, 5, 4, 11, 10, 9, 8, 7, 6, 12, 13, 2, 3];
const CNOT_SIGN = [1, 1, 1, 1, 1, 1, 1, -1, 1, 1, -1, 1, 1, 1, 1, 1];
const swapped = (word) => 4 * (word % 4) + (word >> 2);

// Rot(phi, theta, omega) = RZ(omega) RY(theta) RZ(phi), as a turn of the Bloch vector: 9 numbers, row by row.
export function rotation(phi, theta, omega) {
  const cp = Math.cos(phi), sp = Math.sin(phi), ct = Math.cos(theta), st = Math.sin(theta), co = Math.cos(omega), so = Math.sin(omega);
  return [
    co * ct * cp - so * sp, -co * ct * sp - so * cp, co * st,
    so * ct * cp + co * sp, -so * ct * sp + co * cp, so * st,
    -st * cp, st * sp, ct,
  ];
}

function shrinkage(words) {
  return { kind: "shrink", factors: Float64Array.from({ length: 16 }, (_, word) => words(word >> 2, word % 4)) };
}

function depolarizing(strength, times) {
  const keep = 1 - (4 * strength) / 3;
  return shrinkage((a, b) => (a ? keep ** times[0] : 1) * (b ? keep ** times[1] : 1));
}

function dephasing(axis) {
  const kept = (letter) => letter === 0 || letter === LETTER[axis];
  return shrinkage((a, b) => (kept(a) && kept(b) ? 1 : 0));
}

// The operations behind the encoding gates. A mark is where a picture of the state may be taken.
export function program(settings, angles) {
  const { strength, placement, axis, entangler } = settings;
  const ops = [], noisy = strength > 0;
  const depolarize = (first, second) => noisy && ops.push(depolarizing(strength, [first, second]));
  if (placement === "gate") depolarize(axis === "Z" ? 2 : 1, axis === "Z" ? 2 : 1);
  if (placement === "block" || placement === "encoding") depolarize(1, 1);
  if (settings.dephasing === "encoding" || settings.dephasing === "all") ops.push(dephasing(settings.dephasingAxis));
  ops.push({ kind: "mark" });
  angles.forEach((layer, l) => {
    const isLast = l === angles.length - 1;
    layer.forEach(([phi, theta, omega], qubit) => ops.push({ kind: "rotate", qubit, matrix: rotation(phi, theta, omega), layer: l }));
    if (placement === "gate") depolarize(1, 1);
    for (const control of entangler ? [0, 1] : []) {
      ops.push({ kind: "cnot", control });
      if (placement === "gate") depolarize(1, 1);
    }
    if (placement === "layer" || (isLast && (placement === "block" || placement === "layers"))) depolarize(1, 1);
    if (!isLast && (settings.dephasing === "layers" || settings.dephasing === "all")) ops.push(dephasing(settings.dephasingAxis));
    ops.push({ kind: "mark" });
  });
  return ops;
}

// Turns one qubit of a vector over words, in place; transposed follows an observable backwards.
function rotate(vector, { qubit, matrix: m }, transposed) {
  const step = qubit ? 1 : 4, other = qubit ? 4 : 1;
  for (let k = 0; k < 4; k += 1) {
    const i = k * other + step, j = i + step, l = j + step;
    const x = vector[i], y = vector[j], z = vector[l];
    if (transposed) {
      vector[i] = m[0] * x + m[3] * y + m[6] * z;
      vector[j] = m[1] * x + m[4] * y + m[7] * z;
      vector[l] = m[2] * x + m[5] * y + m[8] * z;
    } else {
      vector[i] = m[0] * x + m[1] * y + m[2] * z;
      vector[j] = m[3] * x + m[4] * y + m[5] * z;
      vector[l] = m[6] * x + m[7] * y + m[8] * z;
    }
  }
}

const scratch = new Float64Array(16);

function cnot(vector, { control }) {
  scratch.set(vector);
  for (let word = 0; word < 16; word += 1) {
    const from = control ? swapped(word) : word;
    const to = control ? swapped(CNOT_TO[from]) : CNOT_TO[from];
    vector[to] = CNOT_SIGN[from] * scratch[word];
  }
}

function apply(vector, op, backwards) {
  if (op.kind === "rotate") rotate(vector, op, backwards);
  else if (op.kind === "cnot") cnot(vector, op);
  else if (op.kind === "shrink") for (let word = 0; word < 16; word += 1) vector[word] *= op.factors[word];
}

// Follows Z of qubit 0, Z of qubit 1 and their product back through the circuit. As the encoded state is a product of
// (1, sine, cosine) of each feature, each is nine coefficients: at 3 a + b that of wave a of feature 1 and wave b of feature 2.
export function coefficients(ops, axis, words = [12, 3, 15]) {
  return words.map((word) => {
    const observable = new Float64Array(16);
    observable[word] = 1;
    for (let i = ops.length - 1; i >= 0; i -= 1) apply(observable, ops[i], true);
    const found = new Float64Array(9), encoded = [[0, 0, 1], ...ENCODED[axis]];
    for (const [a, wave, sign] of encoded) {
      for (const [b, otherWave, otherSign] of encoded) found[3 * wave + otherWave] += sign * otherSign * observable[4 * a + b];
    }
    return found;
  });
}

// The state of both qubits at one point, forwards: Bloch vectors of both at every mark.
export function blochPaths(ops, axis, x, y) {
  const encodedQubit = (angle) => {
    const letters = [1, 0, 0, 0];
    for (const [letter, wave, sign] of ENCODED[axis]) letters[letter] = sign * (wave === 1 ? Math.sin(angle) : Math.cos(angle));
    return letters;
  };
  const first = encodedQubit(x), second = encodedQubit(y);
  const state = Float64Array.from({ length: 16 }, (_, word) => first[word >> 2] * second[word % 4]);
  const paths = [[], []];
  for (const op of ops) {
    apply(state, op, false);
    if (op.kind !== "mark") continue;
    paths[0].push([state[4], state[8], state[12]]);
    paths[1].push([state[1], state[2], state[3]]);
  }
  return paths;
}
