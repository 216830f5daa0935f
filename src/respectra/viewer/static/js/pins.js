// Pinned points and rectangles: up to eight, each with a name and a colour.

import { make } from "./dom.js";

// Okabe and Ito's colours, which eyes of all kinds tell apart; numbers say the same.
const COLOURS = ["#E69F00", "#56B4E9", "#009E73", "#D55E00", "#CC79A7", "#0072B2", "#B8A800", "#7F7F7F"];
export const MOST_PINS = COLOURS.length;

export class Pins {
  constructor(list, onChange) {
    this.list = list;
    this.onChange = onChange;
    this.items = [];
    this.onKnown = () => {};
    this.teachable = false; // whether a spectrum can be given to a pin
  }

  get full() { return this.items.length >= MOST_PINS; }

  add(pin) {
    if (this.full) return null;
    const used = new Set(this.items.map((item) => item.colour));
    const colour = COLOURS.find((c) => !used.has(c));
    const item = { colour, ...pin };
    item.name ??= pin.width === undefined ? `x ${pin.x}, y ${pin.y}` : `${pin.width} × ${pin.height} at x ${pin.x}, y ${pin.y}`;
    this.items.push(item);
    this.render();
    this.onChange();
    return item;
  }

  remove(item) {
    this.items = this.items.filter((other) => other !== item);
    this.render();
    this.onChange();
  }

  clear() {
    this.items = [];
    this.render();
  }

  marks() {
    return this.items.map(({ x, y, width, height, colour }, i) => ({
      x, y, width, height, colour, label: String(i + 1),
    }));
  }

  render() {
    this.list.replaceChildren(...this.items.map((item, i) => this.row(item, i)));
  }

  row(item, index) {
    const row = make("li");
    const colour = make("input", { type: "color", value: item.colour, title: "Colour" });
    colour.setAttribute("aria-label", `Colour of pin ${index + 1}`);
    colour.addEventListener("input", () => { item.colour = colour.value; this.onChange(); });
    const number = make("span", { className: "number", textContent: String(index + 1) });
    const name = make("input", { type: "text", value: item.name, maxLength: 60, spellcheck: false });
    name.setAttribute("aria-label", `Name of pin ${index + 1}`);
    name.addEventListener("input", () => { item.name = name.value; this.onChange(false); });
    const known = make("button", { type: "button", className: "quiet small", textContent: item.known ? "known" : "known?" });
    known.title = item.known ? `Its spectrum is known: ${item.known.label}` : "Give it its measured spectrum; the others follow";
    known.setAttribute("aria-label", `Known spectrum of pin ${index + 1}${item.known ? `: ${item.known.label}` : ""}`);
    known.addEventListener("click", () => this.onKnown(item));
    known.hidden = !this.teachable;
    const drop = make("button", { type: "button", className: "quiet icon", textContent: "×", title: "Remove" });
    drop.setAttribute("aria-label", `Remove pin ${index + 1}`);
    drop.addEventListener("click", () => this.remove(item));
    row.append(colour, number, name, known, drop);
    return row;
  }
}
