// Training in the browser: Adam on the mean cross-entropy of all training rows, from exact read-outs with the noise as it is set.
// The gradient of the angles comes from the parameter-shift rule, applied to the coefficients of the read-outs.

import { coefficients, program, rotation } from "./circuit.js";

export const STEPS = 200, RATE = 0.05;
const BETA1 = 0.9, BETA2 = 0.999, EPSILON = 1e-8;

// All trained numbers of a model, one after the other; `put` brings them back into a copy of it.
export function trained(name, arm) {
  const parts = [...(name === "quantum" ? [arm.angles, arm.adapter] : [arm.weight]), arm.bias, arm.expertWeight, arm.expertBias];
  return Float64Array.from(parts.flat(Infinity));
}

export function put(name, arm, numbers) {
  let at = 0;
  const filled = (part) => (Array.isArray(part) ? part.map(filled) : numbers[at++]);
  const names = name === "quantum" ? ["angles", "adapter"] : ["weight"];
  const found = { ...arm };
  for (const part of [...names, "bias", "expertWeight", "expertBias"]) found[part] = filled(arm[part]);
  return found;
}

// What the router's logits are linear in, for each training row: read-outs, standardised functions, or features.
function regressors(name, arm, settings, rows) {
  const n = rows.x.scaled.length;
  if (name === "linear") return { width: 2, at: (i, k) => (k ? rows.y : rows.x).scaled[i] };
  const waves = rows.waves;
  if (name === "twin") {
    const place = arm.functions.map(([a, b]) => 3 * a + b);
    return { width: place.length, at: (i, k) => (waves[9 * i + place[k]] - arm.centre[k]) / arm.scale[k] };
  }
  const readouts = coefficients(program(settings, arm.angles), settings.axis, [12, 3]);
  const values = new Float64Array(2 * n);
  for (let i = 0; i < n; i += 1) {
    for (let k = 0; k < 2; k += 1) {
      let sum = 0;
      for (let w = 0; w < 9; w += 1) sum += readouts[k][w] * waves[9 * i + w];
      values[2 * i + k] = sum;
    }
  }
  return { width: 2, at: (i, k) => values[2 * i + k] };
}

// Products of the waves of both features, nine for each row.
export function withWaves(rows) {
  const n = rows.x.scaled.length, waves = new Float64Array(9 * n);
  for (let i = 0; i < n; i += 1) {
    const first = [1, rows.x.sine[i], rows.x.cosine[i]], second = [1, rows.y.sine[i], rows.y.cosine[i]];
    for (let w = 0; w < 9; w += 1) waves[9 * i + w] = first[Math.floor(w / 3)] * second[w % 3];
  }
  return { ...rows, waves };
}

// Loss and its gradient in the order of `trained`.
export function lossAndGradient(name, arm, settings, rows) {
  const gate = name === "quantum" ? arm.adapter : arm.weight, n = rows.labels.length;
  const { width, at } = regressors(name, arm, settings, rows);
  const ofGate = new Float64Array(2 * width), ofBias = [0, 0], ofWeight = new Float64Array(8), ofExpertBias = [0, 0, 0, 0];
  const ofReadouts = new Float64Array(18), value = new Float64Array(width);
  let loss = 0;
  for (let i = 0; i < n; i += 1) {
    const x = rows.x.scaled[i], y = rows.y.scaled[i];
    const logits = [arm.bias[0], arm.bias[1]];
    for (let k = 0; k < width; k += 1) {
      value[k] = at(i, k);
      logits[0] += gate[0][k] * value[k];
      logits[1] += gate[1][k] * value[k];
    }
    const share = 1 / (1 + Math.exp(logits[0] - logits[1])), shares = [1 - share, share];
    const out = [0, 0], expert = [[0, 0], [0, 0]];
    for (let e = 0; e < 2; e += 1) {
      for (let o = 0; o < 2; o += 1) {
        expert[e][o] = arm.expertBias[e][o] + arm.expertWeight[e][o][0] * x + arm.expertWeight[e][o][1] * y;
        out[o] += shares[e] * expert[e][o];
      }
    }
    const margin = rows.labels[i] ? out[0] - out[1] : out[1] - out[0];
    loss += Math.max(margin, 0) + Math.log1p(Math.exp(-Math.abs(margin)));
    const wrong = 1 / (1 + Math.exp(-margin)) / n, slope = rows.labels[i] ? [wrong, -wrong] : [-wrong, wrong];
    let ofDifference = 0;
    for (let e = 0; e < 2; e += 1) {
      for (let o = 0; o < 2; o += 1) {
        const up = slope[o] * shares[e];
        ofWeight[4 * e + 2 * o] += up * x;
        ofWeight[4 * e + 2 * o + 1] += up * y;
        ofExpertBias[2 * e + o] += up;
        ofDifference += slope[o] * expert[e][o] * (e ? 1 : -1);
      }
    }
    const down = ofDifference * share * (1 - share);
    ofBias[0] -= down;
    ofBias[1] += down;
    for (let k = 0; k < width; k += 1) {
      ofGate[k] -= down * value[k];
      ofGate[width + k] += down * value[k];
      if (name === "quantum") {
        const ofReadout = down * (gate[1][k] - gate[0][k]);
        for (let w = 0; w < 9; w += 1) ofReadouts[9 * k + w] += ofReadout * rows.waves[9 * i + w];
      }
    }
  }
  const ofAngles = name === "quantum" ? angleGradient(arm, settings, ofReadouts) : [];
  return { loss: loss / n, gradient: Float64Array.from([...ofAngles, ...ofGate, ...ofBias, ...ofWeight, ...ofExpertBias]) };
}

// Each angle shifted by a quarter turn either way: half the difference is the derivative, with noise too.
function angleGradient(arm, settings, ofReadouts) {
  const ops = program(settings, arm.angles), found = [];
  for (const op of ops.filter(({ kind }) => kind === "rotate")) {
    const kept = op.matrix, angles = arm.angles[op.layer][op.qubit];
    for (let k = 0; k < 3; k += 1) {
      let derivative = 0;
      for (const sign of [1, -1]) {
        const moved = [...angles];
        moved[k] += (sign * Math.PI) / 2;
        op.matrix = rotation(...moved);
        coefficients(ops, settings.axis, [12, 3]).forEach((readout, r) => {
          for (let w = 0; w < 9; w += 1) derivative += (sign / 2) * ofReadouts[9 * r + w] * readout[w];
        });
      }
      found.push(derivative);
    }
    op.matrix = kept;
  }
  return found;
}

// Adam, as torch.optim.Adam with its usual betas; keeps what it needs between steps.
export function optimiser(name, arm) {
  const numbers = trained(name, arm), mean = numbers.map(() => 0), square = numbers.map(() => 0);
  let current = arm, step = 0;
  return function next(settings, rows) {
    const { loss, gradient } = lossAndGradient(name, current, settings, rows);
    step += 1;
    for (let i = 0; i < numbers.length; i += 1) {
      mean[i] = BETA1 * mean[i] + (1 - BETA1) * gradient[i];
      square[i] = BETA2 * square[i] + (1 - BETA2) * gradient[i] ** 2;
      const root = Math.sqrt(square[i]) / Math.sqrt(1 - BETA2 ** step) + EPSILON;
      numbers[i] -= (RATE / (1 - BETA1 ** step)) * (mean[i] / root);
    }
    current = put(name, current, numbers);
    return { arm: current, loss };
  };
}
