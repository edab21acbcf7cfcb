// Each model as a formula of few numbers. A router's difference of logits is nine coefficients of the waves of both features
// (quantum, twin) or three of the features themselves (linear). With shots the quantum router has those of its read-outs.

import { coefficients, program } from "./circuit.js";
import { estimated } from "./shots.js";

export const ARMS = ["quantum", "twin", "linear"];
export const sigmoid = (d) => 1 / (1 + Math.exp(-d));

// The formula of a model at some settings.
export function formula(name, arm, settings) {
  const experts = arm.expertWeight.map((weight, e) => [
    arm.expertBias[e][1] - arm.expertBias[e][0], weight[1][0] - weight[0][0], weight[1][1] - weight[0][1],
  ]);
  if (name === "linear") return { linear: [arm.bias[1] - arm.bias[0], arm.weight[1][0] - arm.weight[0][0], arm.weight[1][1] - arm.weight[0][1]], experts };
  if (name === "twin") return { waves: twinWaves(arm), experts };
  const readouts = coefficients(program(settings, arm.angles), settings.axis);
  const adapter = [0, 1].map((k) => arm.adapter[1][k] - arm.adapter[0][k]), bias = arm.bias[1] - arm.bias[0];
  if (settings.shots) return { readouts, adapter, bias, shots: settings.shots, seed: settings.shotSeed, experts };
  return { waves: combined(readouts, adapter, bias), experts };
}

export function combined(readouts, adapter, bias) {
  const waves = new Float64Array(9);
  for (let i = 0; i < 9; i += 1) waves[i] = adapter[0] * readouts[0][i] + adapter[1] * readouts[1][i];
  waves[0] += bias;
  return waves;
}

function twinWaves(arm) {
  const waves = new Float64Array(9);
  waves[0] = arm.bias[1] - arm.bias[0];
  arm.functions.forEach(([a, b], k) => {
    const slope = (arm.weight[1][k] - arm.weight[0][k]) / arm.scale[k];
    waves[3 * a + b] += slope;
    waves[0] -= slope * arm.centre[k];
  });
  return waves;
}

// A twin with the routing weights that the quantum router has now, without shots, and its experts.
export function copiedIntoTwin(quantum, twin, settings) {
  const readouts = coefficients(program(settings, quantum.angles), settings.axis);
  const weight = [0, 1].map((e) => twin.functions.map(([a, b], k) =>
    twin.scale[k] * (quantum.adapter[e][0] * readouts[0][3 * a + b] + quantum.adapter[e][1] * readouts[1][3 * a + b])));
  const bias = [0, 1].map((e) => {
    const constant = quantum.bias[e] + quantum.adapter[e][0] * readouts[0][0] + quantum.adapter[e][1] * readouts[1][0];
    return twin.functions.reduce((sum, _, k) => sum + (weight[e][k] * twin.centre[k]) / twin.scale[k], constant);
  });
  return { ...twin, weight, bias, expertWeight: structuredClone(quantum.expertWeight), expertBias: structuredClone(quantum.expertBias) };
}

// Scaled coordinates with their sines and cosines, for both features.
export function axisOf(values, { from, to, slope }, stretch, feature) {
  const scaled = Float64Array.from(values, (value) => stretch * (to[feature] + slope[feature] * (value - from[feature])));
  return { scaled, sine: scaled.map(Math.sin), cosine: scaled.map(Math.cos) };
}

const pair = new Float64Array(2);

function logitDifference(form, first, i, second, j, stream, index) {
  if (form.linear) return form.linear[0] + form.linear[1] * first.scaled[i] + form.linear[2] * second.scaled[j];
  const s = first.sine[i], c = first.cosine[i], t = second.sine[j], d = second.cosine[j];
  const at = (w) => w[0] + w[1] * t + w[2] * d + s * (w[3] + w[4] * t + w[5] * d) + c * (w[6] + w[7] * t + w[8] * d);
  if (form.waves) return at(form.waves);
  estimated(at(form.readouts[0]), at(form.readouts[1]), at(form.readouts[2]), form.shots, form.seed, stream, index, pair);
  return form.adapter[0] * pair[0] + form.adapter[1] * pair[1] + form.bias;
}

const expertDifference = (expert, x, y) => expert[0] + expert[1] * x + expert[2] * y;

// Share of the second expert, and difference of the two outputs, of one row.
export function atRow(form, first, i, second, j, stream, index, into) {
  const share = sigmoid(logitDifference(form, first, i, second, j, stream, index));
  const x = first.scaled[i], y = second.scaled[j];
  into[0] = share;
  into[1] = (1 - share) * expertDifference(form.experts[0], x, y) + share * expertDifference(form.experts[1], x, y);
  return into;
}

// The same for rows: a share and an output difference each.
export function overRows(form, first, second, stream) {
  const n = first.scaled.length, share = new Float64Array(n), output = new Float64Array(n), both = new Float64Array(2);
  for (let i = 0; i < n; i += 1) {
    atRow(form, first, i, second, i, stream, i, both);
    share[i] = both[0];
    output[i] = both[1];
  }
  return { share, output };
}

// The same for a grid, the second feature upwards from the last row of pixels; fills two arrays of n * n numbers.
export function overGrid(form, first, second, share, output) {
  const n = first.scaled.length, both = new Float64Array(2), w = form.waves;
  const [e, f] = form.experts;
  for (let row = 0; row < n; row += 1) {
    const j = n - 1 - row, y = second.scaled[j], t = second.sine[j], d = second.cosine[j];
    if (!w && !form.linear) {
      for (let i = 0; i < n; i += 1) {
        atRow(form, first, i, second, j, 2, row * n + i, both);
        share[row * n + i] = both[0];
        output[row * n + i] = both[1];
      }
      continue;
    }
    // What depends on the row of pixels alone is summed up once.
    const constant = w ? w[0] + w[1] * t + w[2] * d : form.linear[0] + form.linear[2] * y;
    const ofSine = w ? w[3] + w[4] * t + w[5] * d : form.linear[1], ofCosine = w ? w[6] + w[7] * t + w[8] * d : 0;
    const columns = w ? first.sine : first.scaled;
    const low = e[0] + e[2] * y, high = f[0] + f[2] * y;
    for (let i = 0; i < n; i += 1) {
      const g = 1 / (1 + Math.exp(-(constant + ofSine * columns[i] + ofCosine * first.cosine[i]))), x = first.scaled[i];
      share[row * n + i] = g;
      output[row * n + i] = (1 - g) * (low + e[1] * x) + g * (high + f[1] * x);
    }
  }
}

export function accuracy(output, labels) {
  let right = 0;
  for (let i = 0; i < labels.length; i += 1) right += (output[i] > 0 ? 1 : 0) === labels[i] ? 1 : 0;
  return right / labels.length;
}
