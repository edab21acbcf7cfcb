// Finite shots: bit strings drawn from exact probabilities, always the same for the same seed and place.

export const MAX_SHOTS = 4096;
const logFactorial = new Float64Array(MAX_SHOTS + 1);
for (let n = 1; n <= MAX_SHOTS; n += 1) logFactorial[n] = logFactorial[n - 1] + Math.log(n);

function mixed(h) {
  h = Math.imul(h ^ (h >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0x735a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}

// A number strictly between 0 and 1 for a seed, a stream (what is measured), an index in it and the number of the draw.
export function uniform(seed, stream, index, draw) {
  const h = mixed(mixed(mixed(seed + 1) ^ mixed(4 * stream + draw + 0x9e37)) + index);
  return (mixed(h) + 0.5) / 4294967296;
}

// A binomial number of n trials with chance p, exactly distributed: outcomes are walked through from the likeliest outwards
// until their probabilities add up to u.
export function binomial(n, p, u) {
  if (n === 0 || p <= 0) return 0;
  if (p >= 1) return n;
  const mode = Math.min(n, Math.floor((n + 1) * p)), odds = p / (1 - p);
  const atMode = Math.exp(
    logFactorial[n] - logFactorial[mode] - logFactorial[n - mode] + mode * Math.log(p) + (n - mode) * Math.log1p(-p),
  );
  let up = mode, down = mode, chanceUp = atMode, chanceDown = atMode, left = u - atMode;
  while (left >= 0 && (up < n || down > 0)) {
    if (up < n) {
      chanceUp *= ((n - up) / (up + 1)) * odds;
      up += 1;
      left -= chanceUp;
      if (left < 0) return up;
    }
    if (down > 0) {
      chanceDown *= down / (n - down + 1) / odds;
      down -= 1;
      left -= chanceDown;
      if (left < 0) return down;
    }
  }
  return mode;
}

const clipped = (p) => Math.min(1, Math.max(0, p));

// Estimates of Z of both qubits from so many bit strings of one circuit, whose exact values are z0, z1 and zz.
export function estimated(z0, z1, zz, shots, seed, stream, index, into) {
  const up = clipped((1 + z0) / 2), rest = 1 - up;
  const zeros = binomial(shots, up, uniform(seed, stream, index, 0));
  const ofUp = up > 0 ? clipped((1 + z0 + z1 + zz) / 4 / up) : 0;
  const ofRest = rest > 0 ? clipped((1 - z0 + z1 - zz) / 4 / rest) : 0;
  const both = binomial(zeros, ofUp, uniform(seed, stream, index, 1));
  const other = binomial(shots - zeros, ofRest, uniform(seed, stream, index, 2));
  into[0] = (2 * zeros) / shots - 1;
  into[1] = (2 * (both + other)) / shots - 1;
}
