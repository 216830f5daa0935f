// The spectra: one line under the pointer and up to eight pins, drawn by uPlot.

import { MOST_PINS } from "./pins.js";

const THEMES = {
  light: { soft: "#5f6673", grid: "#e6e4de", live: "#1d2129" },
  dark: { soft: "#a0a8b6", grid: "#2a2e37", live: "#ffffff" },
};
const LIVE = MOST_PINS; // the slot after those of the pins
const EACH = 4; // series of a slot: lower and upper end of the band, the line, the other spectrum
const FONT = "12px system-ui, sans-serif";

export class SpectrumPlot {
  constructor(host) {
    this.host = host;
    this.guides = [];
    this.slots = Array.from({ length: MOST_PINS + 1 }, () => ({ spectrum: null, colour: "#000" }));
    new ResizeObserver(() => this.chart?.setSize(this.size())).observe(host);
  }

  size() { return { width: this.host.clientWidth, height: this.host.clientHeight }; }

  // A new scene has its own wavelengths.
  open(scene) {
    this.chart?.destroy();
    this.nm = this.x = Array.from(scene.nm);
    this.colours = scene.colours;
    this.top = 1;
    for (const slot of this.slots) slot.spectrum = null;
    const margin = Math.max(1, (this.nm.at(-1) - this.nm[0]) * 0.01);
    const axis = (label, size) => ({
      label, size, labelSize: 20, font: FONT, labelFont: `12px system-ui, sans-serif`, ticks: { show: false },
      stroke: () => this.theme.soft, grid: { stroke: () => this.theme.grid, width: 1 },
    });
    this.chart = new window.uPlot({
      ...this.size(),
      padding: [8, 14, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: false, range: () => [this.nm[0] - margin, this.nm.at(-1) + margin] },
        y: { range: () => [-0.035 * this.top, this.top] },
      },
      axes: [axis("wavelength (nm)", 28), axis(scene.info.quantity, 48)],
      series: [{}, ...this.slots.flatMap((slot, i) => this.series(slot, i))],
      bands: this.slots.map((slot, i) => ({ series: [i * EACH + 2, i * EACH + 1], fill: () => `${slot.colour}29` })),
      hooks: { drawClear: [(chart) => this.strip(chart)], draw: [(chart) => this.drawGuides(chart)] },
    }, this.data(), this.host);
    this.style();
  }

  series(slot, index) {
    const width = index === LIVE ? 2.5 : 2.25;
    const line = (more) => ({ spanGaps: true, points: { show: false }, stroke: () => slot.colour, width, ...more });
    const edge = () => ({ spanGaps: true, points: { show: false }, width: 0 });
    return [edge(), edge(), line({}), line({ width: width - 0.5, dash: [5, 4] })];
  }

  data() {
    const empty = this.x.map(() => null);
    return [this.x, ...this.slots.flatMap(({ spectrum }) => {
      if (!spectrum) return [empty, empty, empty, empty];
      const { values, spread, other } = spectrum;
      const ends = spread ? [values.map((v, b) => Math.max(0, v - spread[b])), values.map((v, b) => v + spread[b])] : [];
      return [...[0, 1].map((i) => (spread ? this.at(this.nm, ends[i]) : empty)), this.at(this.nm, values),
        other ? this.at(other.nm, other.values) : empty];
    })];
  }

  // Values on the axis' wavelengths, with gaps where they have none.
  at(nm, values) {
    if (nm.length === this.x.length) return values;
    const known = new Map(Array.from(nm, (v, b) => [v, values[b]]));
    return this.x.map((v) => known.get(v) ?? null);
  }

  // The axis has the wavelengths of both spectra.
  widen(nm) {
    const all = new Set([...this.x, ...nm]);
    if (all.size > this.x.length) this.x = [...all].sort((a, b) => a - b);
  }

  draw() { this.chart?.setData(this.data()); }

  // What colour a wavelength has, along the axis.
  strip({ ctx, bbox, valToPos }) {
    const { nm } = this;
    const end = (b, to) => valToPos(nm[to] === undefined ? nm[b] : (nm[b] + nm[to]) / 2, "x", true);
    const top = valToPos(-0.0105 * this.top, "y", true);
    nm.forEach((_, b) => {
      ctx.fillStyle = this.colours[b];
      ctx.fillRect(end(b, b - 1), top, end(b, b + 1) - end(b, b - 1) + 0.5, bbox.top + bbox.height - top);
    });
  }

  // Where on the axis the picture's bands are.
  drawGuides({ ctx, bbox, valToPos }) {
    ctx.save();
    ctx.setLineDash([2, 3]);
    ctx.lineWidth = 1.5 * devicePixelRatio;
    for (const { nm, colour } of this.guides) {
      const x = valToPos(nm, "x", true);
      ctx.strokeStyle = colour ?? this.theme.live;
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  get theme() { return THEMES[document.documentElement.dataset.theme] ?? THEMES.light; }

  style() {
    this.slots[LIVE].colour = this.theme.live;
    this.chart?.redraw();
  }

  // { values, spread, other } or null for nothing.
  setLive(spectrum) {
    this.slots[LIVE].spectrum = spectrum;
    this.host.spectrum = spectrum; // for scripts that want to know what is drawn
    if (spectrum?.other) this.widen(spectrum.other.nm);
    this.rescale(false);
    this.draw();
  }

  // Wavelengths that the picture shows: [{ nm, colour }], the colour that of the text by default.
  setGuides(guides) {
    this.guides = guides;
    this.chart?.redraw(false);
  }

  setPins(pins) {
    for (let i = 0; i < MOST_PINS; i++) {
      const slot = this.slots[i];
      slot.spectrum = pins[i]?.spectrum ?? null;
      slot.colour = pins[i]?.colour ?? slot.colour;
      if (slot.spectrum?.other) this.widen(slot.spectrum.other.nm);
    }
    this.rescale(true);
    this.draw();
  }

  // All of it as a canvas, as it is on the screen.
  picture() { return this.chart.ctx.canvas; }

  // The axis follows in steps, so that it does not tremble under a moving pointer.
  rescale(shrink) {
    const most = Math.max(1e-6, ...this.slots.map(({ spectrum }) => (spectrum ? highest(spectrum) : 0)));
    if (most === 1e-6) return;
    if (most * 1.08 > this.top || most * 1.08 <= this.top * (shrink ? 0.6 : 0.3)) this.top = niceAbove(most * 1.15);
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
