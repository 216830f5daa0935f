// The spectra: axes and up to eight pins drawn by Bokeh, the live line above them by ourselves.

import { LiveLine } from "./live.js";
import { MOST_PINS } from "./pins.js";

const THEMES = {
  light: { ink: "#1d2129", soft: "#69707d", grid: "#e6e4de", live: "#1d2129" },
  dark: { ink: "#eceef2", soft: "#9aa2b1", grid: "#2a2e37", live: "#ffffff" },
};

export class SpectrumPlot {
  constructor(host) {
    this.host = host;
    this.slots = [];
    this.live = new LiveLine(host);
  }

  // A new scene has its own wavelengths.
  open(scene) {
    const { Bokeh } = window;
    this.host.replaceChildren();
    const nm = Array.from(scene.nm);
    this.nm = nm;
    const margin = Math.max(1, (nm[nm.length - 1] - nm[0]) * 0.01);
    this.top = 0;
    const figure = Bokeh.Plotting.figure({
      sizing_mode: "stretch_both",
      x_range: [nm[0] - margin, nm[nm.length - 1] + margin],
      y_range: [0, 1],
      toolbar_location: null,
      tools: "",
      min_border: 6,
      outline_line_color: null,
      background_fill_alpha: 0,
      border_fill_alpha: 0,
    });
    this.figure = figure;
    figure.below[0].axis_label = "wavelength, nm";
    figure.left[0].axis_label = scene.info.quantity;
    this.strip(figure, nm, scene.info.band_colours);
    this.slots = Array.from({ length: MOST_PINS }, () => this.slot(figure, 2.25));
    this.style();
    this.view = null;
    this.most = 0;
    this.live.frame = null;
    this.live.show(null);
    Bokeh.Plotting.show(figure, this.host).then((view) => {
      if (figure !== this.figure) return; // another scene was opened meanwhile
      this.view = view;
      view.repainted.connect(() => this.live.place(view));
      this.live.place(view);
    });
  }

  // What colour a wavelength has, along the axis.
  strip(figure, nm, colours) {
    const { Bokeh } = window;
    const edges = nm.map((v, i) => (i ? (v + nm[i - 1]) / 2 : v));
    const ends = nm.map((v, i) => (i < nm.length - 1 ? (v + nm[i + 1]) / 2 : v));
    const css = colours.map((c) => `rgb(${c.map((v) => Math.round(255 * v ** (1 / 2.2))).join()})`);
    const source = new Bokeh.ColumnDataSource({
      data: { left: edges, right: ends, colour: css, bottom: nm.map(() => 0), top: nm.map(() => 0) },
    });
    this.stripSource = source;
    figure.quad({ field: "left" }, { field: "right" }, { field: "bottom" }, { field: "top" }, {
      source, fill_color: { field: "colour" }, line_color: { field: "colour" }, line_width: 1,
    });
  }

  slot(figure, width) {
    const { Bokeh } = window;
    const empty = () => ({ x: [], y: [], low: [], high: [] });
    const main = new Bokeh.ColumnDataSource({ data: empty() });
    const other = new Bokeh.ColumnDataSource({ data: { x: [], y: [] } });
    const band = figure.varea({ field: "x" }, { field: "low" }, { field: "high" }, {
      source: main, fill_alpha: 0.16,
    });
    const dashed = figure.line({ field: "x" }, { field: "y" }, {
      source: other, line_width: width - 0.5, line_dash: [5, 4],
    });
    const line = figure.line({ field: "x" }, { field: "y" }, {
      source: main, line_width: width, line_join: "round", line_cap: "round",
    });
    return { main, other, band, dashed, line, filled: false };
  }

  style() {
    if (!this.figure) return;
    const theme = THEMES[document.documentElement.dataset.theme] ?? THEMES.light;
    const font = "system-ui, sans-serif";
    for (const axis of [this.figure.below[0], this.figure.left[0]]) {
      axis.setv({
        axis_line_color: theme.grid, major_tick_line_color: null, minor_tick_line_color: null,
        major_label_text_color: theme.soft, major_label_text_font: font,
        major_label_text_font_size: "11.5px", axis_label_text_color: theme.soft,
        axis_label_text_font: font, axis_label_text_font_style: "normal",
        axis_label_text_font_size: "12px", axis_label_standoff: 6,
      });
    }
    for (const grid of this.figure.center) {
      grid.setv({ grid_line_color: theme.grid, grid_line_width: 1 });
    }
    this.live.colour = theme.live;
    this.live.draw();
  }

  colour(slot, colour) {
    slot.line.glyph.line_color = colour;
    slot.dashed.glyph.line_color = colour;
    slot.band.glyph.fill_color = colour;
  }

  // { values, spread, other } or null for nothing.
  setLive(spectrum) {
    this.live.show(spectrum && { nm: this.nm, ...spectrum });
    this.most = spectrum ? highest(spectrum) : 0;
    if (spectrum) this.rescale(false);
  }

  // Wavelengths that the picture shows: [{ nm, colour }], the colour that of the text by default.
  setGuides(guides) {
    this.live.guides = guides.map(({ nm, colour }) => ({ nm, colour: colour ?? this.live.colour }));
    this.live.draw();
  }

  setPins(pins) {
    this.slots.forEach((slot, i) => {
      const pin = pins[i];
      if (pin) this.colour(slot, pin.colour);
      this.fill(slot, pin?.spectrum ?? null);
    });
    this.rescale(true);
  }

  fill(slot, spectrum) {
    if (!spectrum) {
      if (!slot.filled) return;
      slot.filled = false;
      slot.main.data = { x: [], y: [], low: [], high: [] };
      slot.other.data = { x: [], y: [] };
      slot.most = 0;
      return;
    }
    const y = Array.from(spectrum.values);
    const spread = spectrum.spread;
    slot.main.data = {
      x: this.nm, y,
      low: spread ? y.map((v, b) => Math.max(0, v - spread[b])) : y,
      high: spread ? y.map((v, b) => v + spread[b]) : y,
    };
    const other = spectrum.other;
    if (other) slot.other.data = { x: Array.from(other.nm), y: Array.from(other.values) };
    else if (slot.other.data.x.length) slot.other.data = { x: [], y: [] };
    slot.filled = true;
    slot.most = highest(spectrum);
  }

  // All of it as a canvas, as it is on the screen.
  picture() {
    const { canvas } = this.view.export("png", true);
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.live.canvas, 0, 0, canvas.width, canvas.height);
    return canvas;
  }

  // The axis follows in steps, so that it does not tremble under a moving pointer.
  rescale(shrink) {
    const most = Math.max(this.most, ...this.slots.map((slot) => slot.most ?? 0), 1e-6);
    const fits = most * 1.08 <= this.top && most * 1.08 > this.top * (shrink ? 0.6 : 0.3);
    if (fits) return;
    this.top = niceAbove(most * 1.15);
    const foot = -this.top * 0.035;
    this.figure.y_range.setv({ start: foot, end: this.top });
    const { data } = this.stripSource;
    this.stripSource.data = { ...data, bottom: this.nm.map(() => foot), top: this.nm.map(() => foot * 0.3) };
  }
}

// The highest value that the axis has to show; of a wide band not all.
function highest({ values, spread, other }) {
  let most = 0;
  for (let b = 0; b < values.length; b++) {
    most = Math.max(most, values[b] + (spread ? Math.min(spread[b], 0.35 * values[b]) : 0));
  }
  for (const value of other?.values ?? []) most = Math.max(most, value);
  return most;
}

function niceAbove(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= value);
}
