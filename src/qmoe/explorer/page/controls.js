// From the elements of the page to settings, and back.

import { SHOTS, wrapped } from "./settings.js";

export const byId = (id) => document.getElementById(id);
const ANGLES = ["φ", "θ", "ω"], SAID = ["phi", "theta", "omega"];

export const plainNumber = (text) => text.replace("-", "−");

const SHOWN = {
  strength: (s) => s.strength.toFixed(3),
  stretch: (s) => `× ${s.stretch.toFixed(2)}`,
  shots: (s) => (s.shots ? s.shots.toLocaleString("en") : "exact"),
  stage: (s) => (s.stage ? `after layer ${s.stage}` : "after the encoding"),
  point0: (s) => plainNumber(s.point[0].toPrecision(3)),
  point1: (s) => plainNumber(s.point[1].toPrecision(3)),
};

// Controls whose value is that of a setting: how it is read from the element, and how it is shown there.
const PLAIN = {
  strength: [(e) => Number(e.value), (e, s) => { e.value = s.strength; }],
  placement: [(e) => e.value, (e, s) => { e.value = s.placement; }],
  dephasing: [(e) => e.value, (e, s) => { e.value = s.dephasing; }],
  dephasingAxis: [(e) => e.value, (e, s) => { e.value = s.dephasingAxis; e.disabled = s.dephasing === "none"; }],
  entangler: [(e) => e.checked, (e, s) => { e.checked = s.entangler; }],
  shots: [(e) => SHOTS[Number(e.value)], (e, s) => { e.value = SHOTS.indexOf(s.shots); }],
  shotSeed: [(e) => Math.min(999999, Math.max(0, Math.floor(Number(e.value) || 0))), (e, s) => { if (document.activeElement !== e) e.value = s.shotSeed; }],
  scaling: [(e) => e.value, (e, s) => { e.value = s.scaling; }],
  stretch: [(e) => Number(e.value), (e, s) => { e.value = s.stretch; }],
  rows: [(e) => e.value, (e, s) => { e.value = s.rows; }],
  errors: [(e) => e.checked, (e, s) => { e.checked = s.errors; }],
  stage: [(e) => Number(e.value), (e, s) => { e.value = s.stage; }],
};

// Listens to all controls of settings; `change` gets what is new.
export function listen(settings, numbers, change) {
  for (const [name, [read]] of Object.entries(PLAIN)) {
    byId(name).addEventListener("input", (event) => change({ [name]: read(event.target) }));
  }
  for (const axis of ["X", "Y", "Z"]) byId(`axis-${axis}`).addEventListener("change", () => change({ axis }));
  [0, 1].forEach((f) => {
    const slider = byId(`point${f}`);
    [slider.min, slider.max] = [numbers.window[0][f], numbers.window[1][f]];
    slider.step = (slider.max - slider.min) / 200;
    slider.addEventListener("input", () => {
      const point = [...settings.point];
      point[f] = Number(slider.value);
      change({ point });
    });
  });
  byId("again").addEventListener("click", () => change({ shotSeed: (settings.shotSeed + 1) % 1000000 }));
}

// Shows settings in their controls.
export function showSettings(settings) {
  for (const [name, [, show]] of Object.entries(PLAIN)) show(byId(name), settings);
  byId(`axis-${settings.axis}`).checked = true;
  [0, 1].forEach((f) => { byId(`point${f}`).value = settings.point[f]; });
  for (const [name, words] of Object.entries(SHOWN)) {
    byId(`${name}-value`).textContent = words(settings);
    byId(name).setAttribute("aria-valuetext", words(settings));
  }
}

// Makes a slider for each weight of the quantum router; `change` gets how the arm is altered.
export function weightSliders(arm, change) {
  const sliders = [];
  const add = (group, id, label, said, limit, read, write) => {
    const row = document.createElement("div"), name = document.createElement("label"), value = document.createElement("output"), slider = document.createElement("input");
    row.className = "control weight";
    Object.assign(slider, { type: "range", id, min: -limit, max: limit, step: limit > 3.2 ? 0.05 : 0.01 });
    Object.assign(name, { htmlFor: id, textContent: label });
    slider.setAttribute("aria-label", said);
    value.htmlFor = id;
    row.append(name, slider, value);
    byId(group).append(row);
    slider.addEventListener("input", () => change((found) => write(found, Number(slider.value))));
    sliders.push((found) => {
      const now = read(found);
      if (Math.abs(now) > slider.max) [slider.min, slider.max] = [-Math.ceil(Math.abs(now)), Math.ceil(Math.abs(now))];
      slider.value = now;
      value.textContent = plainNumber(now.toFixed(2));
    });
  };
  arm.angles.forEach((layer, l) => layer.forEach((angles, qubit) => angles.forEach((_, k) => add(
    `layer-${l}`, `angle-${l}-${qubit}-${k}`, `qubit ${qubit} ${ANGLES[k]}`, `Layer ${l + 1}, qubit ${qubit}, ${SAID[k]}`, 3.15,
    (found) => wrapped(found.angles[l][qubit][k]), (found, now) => { found.angles[l][qubit][k] = now; },
  ))));
  [0, 1].forEach((e) => {
    [0, 1].forEach((k) => add(
      "adapter", `adapter-${e}-${k}`, `expert ${e + 1} ⟨Z${"₀₁"[k]}⟩`, `Adapter, expert ${e + 1}, qubit ${k}`, 12,
      (found) => found.adapter[e][k], (found, now) => { found.adapter[e][k] = now; },
    ));
    add("adapter", `bias-${e}`, `expert ${e + 1} bias`, `Adapter, bias of expert ${e + 1}`, 12, (found) => found.bias[e], (found, now) => { found.bias[e] = now; });
  });
  return (found) => sliders.forEach((show) => show(found));
}
