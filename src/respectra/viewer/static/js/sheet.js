// The view as one picture: what the screen shows of the scene, the plot beside it, the pins by name.

import { by, make } from "./dom.js";

const WIDE = 520;
const PAD = 20;
const LINE = 26;

export function sheetOf({ viewport, plot, pins, job, scene }) {
  const { ratio } = viewport;
  const [width, height] = viewport.size;
  const lines = pins.items.map(({ colour, name }, i) => ({ colour, words: `${i + 1}   ${name}` }));
  if (viewport.cursor) lines.push({ words: by("readout").textContent });
  const drawn = plot.picture();
  const high = WIDE * drawn.height / drawn.width;
  const side = WIDE + 2 * PAD;
  const tall = Math.max(height, high + 4 * PAD + 2 * LINE + lines.length * LINE);
  const sheet = make("canvas", { width: Math.round((width + side) * ratio), height: Math.round(tall * ratio) });
  const context = sheet.getContext("2d");
  context.scale(ratio, ratio);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`);
  const text = (words, x, y, font, fill) => {
    context.font = `${font} system-ui, sans-serif`;
    context.fillStyle = colour(fill);
    context.fillText(words, x, y, side - (x - width) - PAD);
  };
  context.fillStyle = colour("stage");
  context.fillRect(0, 0, width, tall);
  context.drawImage(viewport.canvas, 0, (tall - height) / 2, width, height);
  if (viewport.cursor) cross(context, viewport, (tall - height) / 2);
  context.fillStyle = colour("card");
  context.fillRect(width, 0, side, tall);
  context.textBaseline = "middle";
  const left = width + PAD;
  text(job.name, left, PAD + LINE / 2, "600 16px", "ink");
  const top = PAD + LINE + PAD / 2;
  context.drawImage(drawn, left, top, WIDE, high);
  lines.forEach(({ colour: dot, words }, i) => {
    const y = top + high + PAD + (i + 0.5) * LINE;
    context.fillStyle = dot ?? colour("ink");
    context.beginPath();
    context.arc(left + 7, y, 6, 0, 2 * Math.PI);
    context.fill();
    text(words, left + 24, y, "14px", "ink");
  });
  const { title } = scene.info.facts;
  text(title ? `Recovered by ${title} · Respectra` : "Respectra", left, tall - PAD, "12px", "soft");
  return sheet;
}

function cross(context, viewport, top) {
  const [x, y] = viewport.toScreen(viewport.cursor.x + 0.5, viewport.cursor.y + 0.5);
  const half = Math.max(5, viewport.scale / 2);
  for (const [stroke, width] of [["rgba(0,0,0,.55)", 3], ["#fff", 1.25]]) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.strokeRect(x - half, top + y - half, 2 * half, 2 * half);
  }
}
