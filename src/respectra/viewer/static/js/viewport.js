// The picture on the screen: zoom, pan, tiles painted as time allows, marks on top.

const BUDGET_MS = 10;
const MOST_ZOOM = 64;
const KEPT_PAINTED = 220;

export class Viewport {
  constructor(host, canvas, cross) {
    this.host = host;
    this.canvas = canvas;
    this.cross = cross; // marks the pixel under the pointer without a redrawing of the picture
    this.context = canvas.getContext("2d", { alpha: true });
    this.painted = new Map();
    this.painter = null;
    this.scene = null;
    this.draft = false; // while something is dragged, paint one level coarser
    this.scale = 1;
    this.left = 0;
    this.top = 0;
    this.cursor = null;
    this.marks = [];
    this.pending = false;
    this.onMoved = () => {};
    new ResizeObserver(() => this.resize()).observe(host);
  }

  show(scene) {
    this.scene = scene;
    this.painted.clear();
    this.painter = null;
    this.fit();
  }

  paintWith(painter) {
    this.painter = painter;
    this.draw();
  }

  resize() {
    const { clientWidth, clientHeight } = this.host;
    if (!clientWidth || !clientHeight) return;
    const ratio = window.devicePixelRatio || 1;
    const centre = this.size ? this.middle() : null;
    const fitted = this.scene && this.size && this.isFitted();
    this.size = [clientWidth, clientHeight];
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    this.ratio = ratio;
    if (!this.scene) return;
    if (fitted || !centre) this.fit();
    else this.centre(centre.x, centre.y);
  }

  // Screen pixels for one pixel of the scene when all of it is visible.
  fitScale() {
    const [w, h] = this.size;
    const inset = 16;
    return Math.min((w - inset) / this.scene.width, (h - inset) / this.scene.height);
  }

  isFitted() { return Math.abs(this.scale - this.fitScale()) < 1e-9; }

  middle() { return this.toScene(this.size[0] / 2, this.size[1] / 2); }

  // What is seen, as a link says it: the point in the middle and the scale; null for all of it.
  where() {
    const { x, y } = this.middle();
    return this.isFitted() ? null : [x, y, this.scale];
  }

  fit() {
    if (!this.size || !this.scene) return;
    this.scale = this.fitScale();
    this.centre(this.scene.width / 2, this.scene.height / 2);
  }

  centre(x, y) {
    this.left = x - this.size[0] / 2 / this.scale;
    this.top = y - this.size[1] / 2 / this.scale;
    this.clamp();
  }

  zoomBy(factor, at = [this.size[0] / 2, this.size[1] / 2]) {
    const fixed = this.toScene(...at);
    const least = Math.min(1, this.fitScale()) / 2;
    this.scale = Math.min(MOST_ZOOM, Math.max(least, this.scale * factor));
    this.left = fixed.x - at[0] / this.scale;
    this.top = fixed.y - at[1] / this.scale;
    this.clamp();
  }

  panBy(dx, dy) {
    this.left -= dx / this.scale;
    this.top -= dy / this.scale;
    this.clamp();
  }

  // Some of the scene always stays in sight.
  clamp() {
    const [w, h] = this.size;
    const keep = 40 / this.scale;
    this.left = Math.min(this.scene.width - keep, Math.max(keep - w / this.scale, this.left));
    this.top = Math.min(this.scene.height - keep, Math.max(keep - h / this.scale, this.top));
    this.onMoved();
    this.draw();
  }

  toScene(px, py) { return { x: this.left + px / this.scale, y: this.top + py / this.scale }; }

  toScreen(x, y) { return [(x - this.left) * this.scale, (y - this.top) * this.scale]; }

  // The pixel of the scene under a point of the screen, or null beside it.
  pixelAt(px, py) {
    const { x, y } = this.toScene(px, py);
    const inside = x >= 0 && y >= 0 && x < this.scene.width && y < this.scene.height;
    return inside ? { x: Math.floor(x), y: Math.floor(y) } : null;
  }

  // The level whose pixels are nearest to those of the screen, never coarser than them.
  level() {
    const exact = Math.floor(Math.log2(1 / (this.scale * this.ratio)) + 1e-6);
    return Math.min(this.scene.coarsest, Math.max(0, exact + (this.draft ? 1 : 0)));
  }

  draw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => { this.pending = false; this.drawNow(); });
  }

  drawNow() {
    if (!this.scene || !this.painter || !this.size) return;
    const { context, ratio } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, ...this.size);
    const wanted = this.level();
    const complete = Math.max(wanted, this.scene.info.finest);
    const until = performance.now() + BUDGET_MS;
    for (const { scene } of this.painter.layers) scene.forget();
    let unfinished = false;
    // Coarse levels lie below fine ones, so that there is always something to see.
    for (let level = this.scene.coarsest; level >= wanted; level--) {
      const must = level === wanted || level === complete || level === this.scene.coarsest;
      for (const place of this.visible(level)) {
        unfinished = this.drawTile(level, place, must, until) || unfinished;
      }
    }
    for (const mark of this.marks) this.drawMark(context, mark);
    this.placeCursor();
    if (unfinished) this.draw();
  }

  // The pixel under the pointer, or null.
  point(pixel) {
    this.cursor = pixel;
    this.placeCursor();
  }

  placeCursor() {
    const { cross, cursor } = this;
    if (!cursor) { cross.style.visibility = "hidden"; return; }
    const [x, y] = this.toScreen(cursor.x + 0.5, cursor.y + 0.5);
    const side = 2 * Math.max(5, this.scale / 2);
    if (side !== this.side) {
      this.side = side;
      cross.style.width = cross.style.height = `${side}px`;
    }
    cross.style.transform = `translate(${x - side / 2}px, ${y - side / 2}px)`;
    cross.style.visibility = "visible";
  }

  // True when painting has to go on in the next frame.
  drawTile(level, { row, column, x, y, width, height }, must, until) {
    const key = `${level}/${row}/${column}`;
    let entry = this.painted.get(key);
    let later = false;
    if (must && entry?.key !== this.painter.key) {
      const tiles = this.painter.layers.map(
        ({ scene, plane }) => scene.tile(plane, level, row, column));
      if (tiles.every(Boolean)) {
        if (performance.now() < until) entry = this.paintTile(key, tiles, entry);
        else later = true;
      }
    }
    if (entry && (must || entry.key === this.painter.key)) {
      const [sx, sy] = this.toScreen(x, y);
      const { context } = this;
      context.imageSmoothingEnabled = this.scale * 2 ** level < 2;
      // Whole device pixels leave no seams between tiles.
      const snap = (v) => Math.round(v * this.ratio) / this.ratio;
      const left = snap(sx), top = snap(sy);
      const right = snap(sx + width * this.scale), bottom = snap(sy + height * this.scale);
      context.drawImage(entry.canvas, left, top, right - left, bottom - top);
    }
    return later;
  }

  paintTile(key, tiles, old) {
    const { width, height } = tiles[0];
    const canvas = old?.canvas ?? document.createElement("canvas");
    if (canvas.width !== width) canvas.width = width;
    if (canvas.height !== height) canvas.height = height;
    const context = canvas.getContext("2d");
    const image = context.createImageData(width, height);
    this.painter.paint(tiles, image);
    context.putImageData(image, 0, 0);
    const entry = { key: this.painter.key, canvas };
    this.painted.delete(key);
    this.painted.set(key, entry);
    if (this.painted.size > KEPT_PAINTED) this.painted.delete(this.painted.keys().next().value);
    return entry;
  }

  *visible(level) {
    const { tile } = this.scene.info;
    const step = 2 ** level, side = tile * step;
    const corner = this.toScene(0, 0), far = this.toScene(...this.size);
    const right = Math.min(this.scene.width, far.x), bottom = Math.min(this.scene.height, far.y);
    const [levelHeight, levelWidth] = this.scene.info.levels[level];
    for (let row = Math.max(0, Math.floor(corner.y / side)); row * side < bottom; row++) {
      for (let column = Math.max(0, Math.floor(corner.x / side)); column * side < right; column++) {
        const width = Math.min(tile, levelWidth - column * tile) * step;
        const height = Math.min(tile, levelHeight - row * tile) * step;
        yield { row, column, x: column * side, y: row * side, width, height };
      }
    }
  }

  drawMark(context, { x, y, width, height, colour, label }) {
    const region = width !== undefined;
    const [left, top] = region ? this.toScreen(x, y) : this.toScreen(x + 0.5, y + 0.5);
    const trace = () => {
      context.beginPath();
      if (region) context.rect(left, top, width * this.scale, height * this.scale);
      else context.arc(left, top, 6, 0, 2 * Math.PI);
    };
    for (const [stroke, line] of [["rgba(0,0,0,.6)", 4.5], ["#fff", 3.25], [colour, 2.25]]) {
      trace();
      context.strokeStyle = stroke;
      context.lineWidth = line;
      context.stroke();
    }
    if (!label) return;
    const tx = region ? left + 10 : left + 14, ty = region ? top - 11 : top - 10;
    context.beginPath();
    context.arc(tx, ty, 8.5, 0, 2 * Math.PI);
    context.fillStyle = "rgba(16,18,22,.85)";
    context.fill();
    context.fillStyle = "#fff";
    context.font = "600 11px system-ui, sans-serif";
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(label, tx, ty + 0.5);
  }
}
