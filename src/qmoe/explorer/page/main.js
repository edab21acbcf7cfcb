// The page: what is set, what is drawn from it, and when.

import { blochPaths, program } from "./circuit.js";
import { uniform } from "./shots.js";
import { ARMS, accuracy, atRow, axisOf, combined, copiedIntoTwin, formula, overGrid, overRows, sigmoid } from "./arms.js";
import { STEPS, optimiser, put, trained, withWaves } from "./training.js";
import { palette, ramp } from "./colours.js";
import { GRID, MapView, gridValues } from "./maps.js";
import { blochView } from "./bloch.js";
import { EXPERIMENTS, initialSettings } from "./settings.js";
import { byId, listen, plainNumber, showSettings, weightSliders } from "./controls.js";

const numbers = JSON.parse(byId("numbers").textContent);
const settings = initialSettings(numbers);
let arms = structuredClone(numbers.arms);
const views = Object.fromEntries(ARMS.map((name) => [name, Object.fromEntries(["routing", "decision"].map((kind) =>
  [kind, new MapView(document.querySelector(`figure.map[data-arm="${name}"][data-map="${kind}"]`))]))]));
const grids = Object.fromEntries(ARMS.map((name) => [name, { share: new Float64Array(GRID * GRID), output: new Float64Array(GRID * GRID) }]));
const exact = { share: new Float64Array(GRID * GRID), output: new Float64Array(GRID * GRID) };
const spheres = [0, 1].map((qubit) => blochView(byId(`bloch-${qubit}`)));
const raw = [0, 1].map((f) => gridValues(numbers.window, f));
const parts = ["train", "heldOut"];
let colours, tables, grid, rows, results = {}, lastFrame = 0, pending = false, training = null, spoken;

// Scaled coordinates of the grid and of all rows; anew when scaling or factor change.
function rescale() {
  const line = numbers.scalings[settings.scaling], column = (part, f) => numbers[part].x.map((row) => row[f]);
  grid = raw.map((values, f) => axisOf(values, line, settings.stretch, f));
  rows = Object.fromEntries(parts.map((part) => {
    const [x, y] = [0, 1].map((f) => axisOf(column(part, f), line, settings.stretch, f));
    return [part, withWaves({ x, y, labels: numbers[part].y })];
  }));
}

function recolour() {
  colours = palette();
  tables = {
    routing: ramp(colours.qnn, colours.sheet, colours.other, 0.92),
    decision: ramp(colours.class0, colours.sheet, colours.class1, 0.46),
  };
}

const inUnit = ([x, y]) => [0, 1].map((f) => {
  const share = ((f ? y : x) - numbers.window[0][f]) / (numbers.window[1][f] - numbers.window[0][f]);
  return f ? 1 - share : share;
});

const places = Object.fromEntries(parts.map((part) => [part, Float64Array.from(numbers[part].x.flatMap(inUnit))]));

// All numbers of the page at its settings.
function compute() {
  const line = numbers.scalings[settings.scaling], at = [0, 1].map((f) => axisOf([settings.point[f]], line, settings.stretch, f));
  for (const name of ARMS) {
    const form = formula(name, arms[name], settings);
    overGrid(form, ...grid, grids[name].share, grids[name].output);
    const found = Object.fromEntries(parts.map((part, stream) => [part, overRows(form, rows[part].x, rows[part].y, stream)]));
    const [share, output] = atRow(form, at[0], 0, at[1], 0, 3, 0, new Float64Array(2));
    results[name] = {
      rows: found, share, probability: sigmoid(output),
      ...Object.fromEntries(parts.map((part) => [part, accuracy(found[part].output, rows[part].labels)])),
    };
    if (form.readouts) overGrid({ waves: combined(form.readouts, form.adapter, form.bias), experts: form.experts }, ...grid, exact.share, exact.output);
  }
  results.bloch = blochPaths(program(settings, arms.quantum.angles), settings.axis, at[0].scaled[0], at[1].scaled[0]);
}

const percent = (share) => `${share === 1 ? "100" : (100 * share).toFixed(1)}%`;

function paint() {
  const point = inUnit(settings.point), shown = settings.rows === "both" ? parts : parts.filter((part) => part === settings.rows);
  for (const name of ARMS) {
    const sampled = name === "quantum" && settings.shots > 0, { share, output } = grids[name], line = sampled ? exact : grids[name];
    views[name].routing.paint(share, tables.routing, false, sampled);
    views[name].routing.cross(views[name].routing.line(line.share, 0.5, colours.ink, 1.2), point, colours);
    views[name].decision.paint(output, tables.decision, true, sampled);
    const brush = views[name].decision.line(line.output, 0, colours.ink, 2);
    for (const part of shown) {
      const { labels } = rows[part], found = results[name].rows[part].output;
      views[name].decision.rows(brush, places[part], labels, settings.errors && labels.map((label, i) => (found[i] > 0 ? 1 : 0) !== label), colours);
    }
    views[name].decision.cross(brush, point, colours);
    for (const part of parts) byId(`${name}-${part}`).textContent = percent(results[name][part]);
    byId(`${name}-share`).textContent = results[name].share.toFixed(3);
    byId(`${name}-probability`).textContent = results[name].probability.toFixed(3);
  }
  results.bloch.forEach((path, qubit) => {
    spheres[qubit](path, settings.stage);
    const [x, y, z] = path[settings.stage];
    byId(`bloch-${qubit}-says`).textContent = `⟨Z⟩ = ${plainNumber(z.toFixed(2))}, length ${Math.hypot(x, y, z).toFixed(2)}`;
  });
}

function frame() {
  pending = false;
  const begin = performance.now();
  if (training) trainSome();
  const drawing = performance.now();
  compute();
  paint();
  lastFrame = performance.now() - drawing;
  if (training) schedule();
  else speak();
  return performance.now() - begin;
}

function schedule() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(frame);
}

// Tells the accuracies, once things have come to rest.
function speak() {
  clearTimeout(spoken);
  spoken = setTimeout(() => {
    byId("status").textContent = `Held-out accuracy: ${ARMS.map((name) => `${name} ${percent(results[name].heldOut)}`).join(", ")}.`;
  }, 400);
}

// A training that is running goes on with the new settings.
function change(patch) {
  Object.assign(settings, patch);
  if ("scaling" in patch || "stretch" in patch) rescale();
  showSettings(settings);
  schedule();
}

function setArms(next) {
  arms = next;
  showWeights(arms.quantum);
  schedule();
}

function startTraining(steps = STEPS) {
  training = { step: 0, steps, optimisers: Object.fromEntries(ARMS.map((name) => [name, optimiser(name, arms[name])])) };
  byId("train").textContent = "Stop training";
  schedule();
}

function stopTraining(done = false) {
  if (!training) return;
  byId("training-note").textContent = `${done ? "Trained" : "Stopped after"} ${training.step} steps, with the settings as they were.`;
  training = null;
  byId("train").textContent = "Train from here";
}

// As many steps as fit into half a frame; all of them where motion is not wanted.
function trainSome() {
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches, begin = performance.now();
  const next = { ...arms };
  let losses = {};
  do {
    for (const name of ARMS) {
      const { arm, loss } = training.optimisers[name](settings, rows.train);
      next[name] = arm;
      losses[name] = loss;
    }
    training.step += 1;
  } while (training.step < training.steps && (still || performance.now() - begin < 7));
  arms = next;
  showWeights(arms.quantum);
  byId("training-note").textContent = `Step ${training.step} of ${training.steps}: loss ${ARMS.map((name) => `${name} ${losses[name].toFixed(3)}`).join(", ")}`;
  if (training.step >= training.steps) stopTraining(true);
}

// First weights as torch.nn.Linear has them, and angles from a whole turn.
function randomArms(seed) {
  return Object.fromEntries(ARMS.map((name, stream) => {
    const draw = (i, bound) => bound * (2 * uniform(seed, 8 + stream, i, 0) - 1), nAngles = name === "quantum" ? arms.quantum.angles.flat(2).length : 0;
    return [name, put(name, arms[name], trained(name, arms[name]).map((_, i) => draw(i, i < nAngles ? Math.PI : 0.7)))];
  }));
}

function experiment(name) {
  stopTraining();
  const { settings: patch, copies, says } = EXPERIMENTS[name];
  arms = structuredClone(numbers.arms);
  const { rows: shown, errors, point, stage, ...fresh } = initialSettings(numbers);
  change({ ...fresh, ...patch });
  if (copies) arms.twin = copiedIntoTwin(arms.quantum, arms.twin, settings);
  setArms(arms);
  byId("says").textContent = says;
}

function pointAt(event) {
  const box = event.currentTarget.getBoundingClientRect();
  const share = [(event.clientX - box.left) / box.width, 1 - (event.clientY - box.top) / box.height].map((v) => Math.min(1, Math.max(0, v)));
  change({ point: share.map((v, f) => numbers.window[0][f] + v * (numbers.window[1][f] - numbers.window[0][f])) });
}

const showWeights = weightSliders(arms.quantum, (alter) => {
  stopTraining();
  const quantum = structuredClone(arms.quantum);
  alter(quantum);
  setArms({ ...arms, quantum });
});

let randomSeed = 0;
listen(settings, numbers, change);
byId("train").addEventListener("click", () => (training ? stopTraining() : startTraining()));
byId("reset-weights").addEventListener("click", () => { stopTraining(); setArms(structuredClone(numbers.arms)); });
byId("random-weights").addEventListener("click", () => { stopTraining(); randomSeed += 1; setArms(randomArms(randomSeed)); });
byId("copy-twin").addEventListener("click", () => { stopTraining(); setArms({ ...arms, twin: copiedIntoTwin(arms.quantum, arms.twin, settings) }); });
byId("reset-all").addEventListener("click", () => { stopTraining(); change(initialSettings(numbers)); setArms(structuredClone(numbers.arms)); });
byId("theme").addEventListener("click", () => {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = (root.dataset.theme || (dark ? "dark" : "light")) === "dark" ? "light" : "dark";
  recolour();
  schedule();
});
for (const button of document.querySelectorAll("[data-experiment]")) button.addEventListener("click", () => experiment(button.dataset.experiment));
for (const map of document.querySelectorAll(".map .canvas")) {
  map.addEventListener("pointerdown", pointAt);
  map.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse" || event.buttons) pointAt(event); });
}
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { recolour(); schedule(); });
new ResizeObserver(() => { ARMS.forEach((name) => Object.values(views[name]).forEach((view) => view.fit())); schedule(); }).observe(document.querySelector(".arms"));

const given = numbers.isGiven ? "The quantum router is the model that was given. " : "";
byId("about").textContent = `${given}Data: ${numbers.data}, ${numbers.train.y.length} training rows and ${numbers.heldOut.y.length} held-out rows. The maps have ${GRID} × ${GRID} points.`;
rescale();
recolour();
showSettings(settings);
showWeights(arms.quantum);
frame();

// For tests and for the console: the numbers behind the pictures.
window.explorer = {
  state: () => ({ settings: structuredClone(settings), arms: structuredClone(arms), frame: lastFrame, training: training !== null, results: JSON.parse(JSON.stringify(results, (_, v) => (v instanceof Float64Array ? [...v] : v))) }),
  grid: (name) => ({ x: [...raw[0]], y: [...raw[1]], share: [...grids[name].share], output: [...grids[name].output] }),
  set: (patch) => { change(patch); compute(); },
  redraw: frame,
  train: startTraining,
  settled: () => new Promise((done) => { const wait = () => (pending || training ? setTimeout(wait, 4) : done(true)); wait(); }),
};
