// Colours of the style sheet, in the light or dark theme that is on, as tables for maps.

export function palette() {
  const style = getComputedStyle(document.documentElement), names = ["ink", "muted", "faint", "sheet", "class0", "class1", "qnn", "other", "quantum", "classical"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

function channels(hex) {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
}

// 256 colours from one over the sheet to another, as the pixels of a canvas want them.
export function ramp(low, middle, high, strength) {
  const [from, between, to] = [low, middle, high].map(channels), table = new Uint32Array(256);
  for (let i = 0; i < 256; i += 1) {
    const t = i / 255, end = t < 0.5 ? from : to, weight = Math.abs(2 * t - 1) * strength;
    const [r, g, b] = between.map((value, k) => Math.round(value + weight * (end[k] - value)));
    table[i] = (255 << 24) | (b << 16) | (g << 8) | r;
  }
  return table;
}
