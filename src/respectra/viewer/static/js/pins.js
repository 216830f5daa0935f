// Pinned points and rectangles: up to eight, each with a name and a colour.

import { make, toast } from "./dom.js";

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

  add(pin) {
    if (this.items.length >= MOST_PINS) { toast(`There is room for ${MOST_PINS} pins; remove one first.`); return; }
    const used = new Set(this.items.map((item) => item.colour));
    const colour = COLOURS.find((c) => !used.has(c));
    const item = { colour, ...pin };
    item.name ??= pin.width === undefined ? `x ${pin.x}, y ${pin.y}` : `${pin.width} × ${pin.height} at x ${pin.x}, y ${pin.y}`;
    this.items.push(item);
    this.render();
    this.onChange();
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
    return this.items.map((item, i) => ({ ...item, label: String(i + 1) }));
  }

  render() {
    this.list.replaceChildren(...this.items.map((item, i) => this.row(item, i)));
  }

  row(item, index) {
    const { known } = item;
    const pin = `pin ${index + 1}`;
    const colour = make("input", {
      type: "color", value: item.colour, title: "Colour", ariaLabel: `Colour of ${pin}`,
      oninput: () => { item.colour = colour.value; this.onChange(); },
    });
    const name = make("input", {
      type: "text", value: item.name, maxLength: 60, spellcheck: false, ariaLabel: `Name of ${pin}`,
      oninput: () => { item.name = name.value; this.onChange(false); },
    });
    const teach = make("button", {
      type: "button", className: "quiet small", textContent: known ? "known" : "known?", hidden: !this.teachable,
      title: known ? `Its spectrum is known: ${known.label}` : "Give it its measured spectrum; the others follow",
      ariaLabel: `Known spectrum of ${pin}${known ? `: ${known.label}` : ""}`, onclick: () => this.onKnown(item),
    });
    const drop = make("button", {
      type: "button", className: "quiet icon", textContent: "×", title: "Remove", ariaLabel: `Remove ${pin}`,
      onclick: () => this.remove(item),
    });
    return make("li", {}, colour, make("span", { className: "number", textContent: index + 1 }), name, teach, drop);
  }
}
