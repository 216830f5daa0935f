// The spectrum under the pointer, on a canvas above the plot: a movement redraws one line and no plot.

export class LiveLine {
  constructor(host) {
    this.host = host;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "live";
    this.context = this.canvas.getContext("2d");
    this.frame = null;
    this.spectrum = null;
    this.colour = "#000";
    this.guides = [];
  }

  // The plot was painted: its frame may be elsewhere, its axes may have other ends.
  place(view) {
    const { frame } = view;
    const ratio = window.devicePixelRatio || 1;
    const host = this.host.getBoundingClientRect();
    const plot = view.canvas.el.getBoundingClientRect();
    const left = plot.left - host.left, top = plot.top - host.top;
    const line = (scale, offset) => {
      const start = scale.compute(0);
      return { start: start + offset, step: scale.compute(1) - start };
    };
    this.x = line(frame.x_scale, left);
    this.y = line(frame.y_scale, top);
    const { bbox } = frame;
    this.frame = [bbox.left + left, bbox.top + top, bbox.width, bbox.height];
    const width = Math.round(host.width * ratio), height = Math.round(host.height * ratio);
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    if (!this.canvas.isConnected) this.host.append(this.canvas);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.context.clearRect(0, 0, host.width, host.height); // the frame may have been elsewhere
    this.draw();
  }

  // { nm, values, spread, other } or null for nothing.
  show(spectrum) {
    this.spectrum = spectrum;
    this.host.spectrum = spectrum; // for scripts that want to know what is drawn
    this.draw();
  }

  draw() {
    const { context, frame, spectrum } = this;
    if (!frame) return;
    context.clearRect(...frame);
    context.save();
    context.beginPath();
    context.rect(...frame);
    context.clip();
    for (const { nm, colour } of this.guides) this.guide(nm, colour);
    if (spectrum) this.curve(spectrum);
    context.restore();
  }

  curve({ nm, values, spread, other }) {
    const { context } = this;
    context.lineJoin = context.lineCap = "round";
    context.strokeStyle = context.fillStyle = this.colour;
    if (spread) this.band(nm, values, spread);
    if (other) {
      context.setLineDash([5, 4]);
      context.lineWidth = 2;
      this.line(other.nm, other.values);
      context.setLineDash([]);
    }
    context.lineWidth = 2.5;
    this.line(nm, values);
  }

  // Where on the axis the picture's bands are.
  guide(nm, colour) {
    const { context } = this;
    const at = this.x.start + this.x.step * nm;
    context.beginPath();
    context.moveTo(at, this.frame[1]);
    context.lineTo(at, this.frame[1] + this.frame[3]);
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.setLineDash([2, 3]);
    context.stroke();
    context.setLineDash([]);
  }

  line(nm, values) {
    const { context } = this;
    context.beginPath();
    this.trace(nm, values.length, (b) => values[b]);
    context.stroke();
  }

  band(nm, values, spread) {
    const { context } = this;
    context.beginPath();
    this.trace(nm, values.length, (b) => values[b] + spread[b]);
    this.trace(nm, values.length, (b) => Math.max(0, values[b] - spread[b]), true);
    context.globalAlpha = 0.16;
    context.fill();
    context.globalAlpha = 1;
  }

  trace(nm, count, value, backwards = false) {
    const { context, x, y } = this;
    for (let i = 0; i < count; i++) {
      const b = backwards ? count - 1 - i : i;
      context.lineTo(x.start + x.step * nm[b], y.start + y.step * value(b));
    }
  }
}
