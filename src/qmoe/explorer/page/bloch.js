// Bloch pictures: where the state of each qubit stands at one point, from the encoding to the last layer.

const SVG = "http://www.w3.org/2000/svg";
const AZIMUTH = 0.55, ELEVATION = 0.32, RADIUS = 42;

function flat([x, y, z]) {
  const right = y * Math.cos(AZIMUTH) - x * Math.sin(AZIMUTH), depth = x * Math.cos(AZIMUTH) + y * Math.sin(AZIMUTH);
  const up = z * Math.cos(ELEVATION) - depth * Math.sin(ELEVATION);
  return [RADIUS * right, -RADIUS * up];
}

function element(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  return made;
}

const joined = (points) => points.map((p) => flat(p).map((v) => v.toFixed(2)).join(",")).join(" ");

// Draws the sphere once; `update` moves what is on it.
export function blochView(svg) {
  const circle = (turn) => joined(Array.from({ length: 73 }, (_, i) => turn(Math.cos((i * Math.PI) / 36), Math.sin((i * Math.PI) / 36))));
  svg.append(element("circle", { r: RADIUS, class: "sphere" }));
  svg.append(element("polyline", { points: circle((c, s) => [c, s, 0]), class: "equator" }));
  svg.append(element("polyline", { points: circle((c, s) => [0, c, s]), class: "equator" }));
  for (const [label, end] of [["x", [1, 0, 0]], ["y", [0, 1, 0]], ["|0⟩", [0, 0, 1]], ["|1⟩", [0, 0, -1]]]) {
    const [u, v] = flat(end), far = Math.hypot(u, v) || 1;
    svg.append(element("line", { x1: 0, y1: 0, x2: u, y2: v, class: "axis" }));
    svg.append(element("text", { x: u + (u / far) * 7, y: v + (v / far) * 7 + 3, class: "name" }, label));
  }
  const path = svg.appendChild(element("polyline", { class: "path" })), dots = svg.appendChild(element("g", {}));
  const arrow = svg.appendChild(element("line", { x1: 0, y1: 0, class: "arrow" })), tip = svg.appendChild(element("circle", { r: 4, class: "tip" }));
  return function update(points, stage) {
    path.setAttribute("points", joined(points.slice(0, stage + 1)));
    dots.replaceChildren(...points.slice(0, stage).map((p) => {
      const [cx, cy] = flat(p);
      return element("circle", { cx, cy, r: 2.2, class: "before" });
    }));
    const [x, y] = flat(points[stage]);
    arrow.setAttribute("x2", x);
    arrow.setAttribute("y2", y);
    tip.setAttribute("cx", x);
    tip.setAttribute("cy", y);
  };
}
