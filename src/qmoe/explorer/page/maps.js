// Maps of the plane: pixels of a grid, the line between both sides, and the rows of the data on top.

import { sigmoid } from "./arms.js";

export const GRID = 100;

// The middles of the pixels of a map, along one feature.
export function gridValues(window, feature) {
  const low = window[0][feature], high = window[1][feature];
  return Float64Array.from({ length: GRID }, (_, i) => low + ((i + 0.5) / GRID) * (high - low));
}

export class MapView {
  constructor(figure) {
    this.pixels = figure.querySelector("canvas.pixels");
    this.overlay = figure.querySelector("canvas.overlay");
    this.pixels.width = this.pixels.height = GRID;
    this.context = this.pixels.getContext("2d");
    this.image = this.context.createImageData(GRID, GRID);
    this.words = new Uint32Array(this.image.data.buffer);
    this.fit();
  }

  // Makes the layer of lines and marks as fine as the screen.
  fit() {
    this.side = this.pixels.clientWidth || GRID;
    this.fine = Math.min(2, window.devicePixelRatio || 1);
    const size = Math.round(this.side * this.fine);
    if (this.overlay.width !== size) this.overlay.width = this.overlay.height = size;
  }

  // Values from 0 to 1 as colours; `logits` says that they are not values yet.
  paint(values, table, logits, sampled) {
    for (let i = 0; i < values.length; i += 1) {
      const value = logits ? sigmoid(values[i]) : values[i];
      this.words[i] = table[(value * 255 + 0.5) | 0];
    }
    this.context.putImageData(this.image, 0, 0);
    this.pixels.classList.toggle("sampled", sampled);
  }

  // Begins the layer above: the line where `values` cross a level, then whatever marks there are.
  line(values, level, colour, width) {
    const brush = this.overlay.getContext("2d"), scale = this.overlay.width / GRID;
    brush.setTransform(1, 0, 0, 1, 0, 0);
    brush.clearRect(0, 0, this.overlay.width, this.overlay.height);
    brush.lineWidth = width * this.fine;
    brush.strokeStyle = colour;
    brush.lineCap = "round";
    brush.beginPath();
    contour(values, level, (x0, y0, x1, y1) => {
      brush.moveTo((x0 + 0.5) * scale, (y0 + 0.5) * scale);
      brush.lineTo((x1 + 0.5) * scale, (y1 + 0.5) * scale);
    });
    brush.stroke();
    return brush;
  }

  // Rows of the data: class 0 as dots, class 1 as triangles; a ring round those that come out wrong.
  rows(brush, places, labels, wrong, colours) {
    const size = this.overlay.width, r = Math.max(1.6, this.side / 95) * this.fine, full = 2 * Math.PI;
    for (const label of [0, 1]) {
      brush.fillStyle = label ? colours.class1 : colours.class0;
      brush.strokeStyle = colours.sheet;
      brush.lineWidth = 0.8 * this.fine;
      brush.beginPath();
      for (let i = 0; i < labels.length; i += 1) {
        if (labels[i] !== label) continue;
        const x = places[2 * i] * size, y = places[2 * i + 1] * size;
        if (label) {
          brush.moveTo(x, y - 1.25 * r);
          brush.lineTo(x + 1.15 * r, y + 0.8 * r);
          brush.lineTo(x - 1.15 * r, y + 0.8 * r);
          brush.closePath();
        } else {
          brush.moveTo(x + r, y);
          brush.arc(x, y, r, 0, full);
        }
      }
      brush.stroke();
      brush.fill();
    }
    if (!wrong) return;
    brush.strokeStyle = colours.ink;
    brush.lineWidth = 1.2 * this.fine;
    brush.beginPath();
    for (let i = 0; i < labels.length; i += 1) {
      if (!wrong[i]) continue;
      const x = places[2 * i] * size, y = places[2 * i + 1] * size;
      brush.moveTo(x + 2.1 * r, y);
      brush.arc(x, y, 2.1 * r, 0, full);
    }
    brush.stroke();
  }

  // The point whose numbers and Bloch pictures are shown.
  cross(brush, [x, y], colours) {
    const size = this.overlay.width, arm = 5 * this.fine;
    for (const [colour, width] of [[colours.sheet, 4], [colours.ink, 1.6]]) {
      brush.strokeStyle = colour;
      brush.lineWidth = width * this.fine;
      brush.beginPath();
      brush.moveTo(x * size - arm, y * size);
      brush.lineTo(x * size + arm, y * size);
      brush.moveTo(x * size, y * size - arm);
      brush.lineTo(x * size, y * size + arm);
      brush.stroke();
    }
  }
}

// Marching squares: a piece of line for every square of four neighbours on both sides of the level.
function contour(values, level, draw) {
  for (let row = 0; row + 1 < GRID; row += 1) {
    for (let i = 0; i + 1 < GRID; i += 1) {
      const at = row * GRID + i, a = values[at] - level, b = values[at + 1] - level, c = values[at + GRID + 1] - level, d = values[at + GRID] - level;
      const kind = (a > 0 ? 1 : 0) | (b > 0 ? 2 : 0) | (c > 0 ? 4 : 0) | (d > 0 ? 8 : 0);
      if (kind === 0 || kind === 15) continue;
      const ends = [];
      if (a > 0 !== b > 0) ends.push(i + a / (a - b), row);
      if (b > 0 !== c > 0) ends.push(i + 1, row + b / (b - c));
      if (c > 0 !== d > 0) ends.push(i + d / (d - c), row + 1);
      if (d > 0 !== a > 0) ends.push(i, row + a / (a - d));
      for (let k = 0; k + 3 < ends.length; k += 4) draw(ends[k], ends[k + 1], ends[k + 2], ends[k + 3]);
    }
  }
}
