// A scene: its tiles, and the spectra that coefficients and basis give.

import { ask, getJSON } from "./api.js";
import { HALF } from "./half.js";

const KEPT_BYTES = 2 ** 28;
const AT_ONCE = 6;

export class Scene {
  constructor(job, name, info) {
    this.job = job;
    this.name = name;
    this.tiles = new Map();
    this.waiting = new Map();
    this.bytes = 0;
    this.active = 0;
    this.wanted = null; // the tile below the pointer goes before all others
    this.onTile = () => {};
    this.onGrown = () => {};
    this.take(info);
  }

  static async open(job, name) { return new Scene(job, name, await getJSON(`/api/jobs/${job}/${name}`)); }

  get(path) { return getJSON(`/api/jobs/${this.job}/${this.name}${path}`); }

  // More of a scene that is still computed can be read. The basis may have grown; tiles that came
  // before stay right, since its new spectra count nothing in them.
  async update() {
    this.take(await this.get(""));
  }

  // A first look has become the whole scene: its coarse levels are means now.
  async refresh() {
    await this.update();
    this.tiles.clear();
    this.waiting.clear();
    this.bytes = 0;
  }

  take(info) {
    this.info = info;
    this.nm = Float64Array.from(info.wavelengths_nm);
    this.bands = info.wavelengths_nm.length;
    this.rank = info.rank;
    this.basis = info.basis.map((row) => Float32Array.from(row));
    this.deviationBasis = info.deviation_basis.map((row) => Float32Array.from(row));
    this.planes = new Map(info.planes.map((plane) => [plane.name, plane]));
    this.ready = new Set(info.ready.map(String));
    this.colours = info.band_colours.map((c) => `rgb(${c.map((v) => Math.round(255 * v ** (1 / 2.2))).join()})`);
  }

  get height() { return this.info.height; }
  get width() { return this.info.width; }
  get coarsest() { return this.info.levels.length - 1; }

  has(plane) { return this.planes.has(plane); }

  // Whether a tile of a level has been computed.
  covers(level, row, column) {
    const { finest, tile, block } = this.info;
    if (level >= finest) return true;
    const side = block >> level;
    const [height, width] = this.info.levels[level];
    const bottom = Math.min(height, (row + 1) * tile) - 1, right = Math.min(width, (column + 1) * tile) - 1;
    for (let y = Math.floor(row * tile / side); y <= Math.floor(bottom / side); y++) {
      for (let x = Math.floor(column * tile / side); x <= Math.floor(right / side); x++) {
        if (!this.ready.has(`${y},${x}`)) return false;
      }
    }
    return true;
  }

  // The tile if it is here; otherwise it is asked for, and onTile tells when it has come.
  tile(plane, level, row, column) {
    const key = `${plane}/${level}/${row}/${column}`;
    const found = this.tiles.get(key);
    if (found) {
      this.tiles.delete(key); // most recently used goes last
      this.tiles.set(key, found);
      return found;
    }
    if (!this.covers(level, row, column)) return null;
    if (!this.waiting.has(key)) {
      this.waiting.set(key, { plane, level, row, column, asked: false });
      this.pump();
    }
    return null;
  }

  // Only what is on the screen is worth waiting for: forget what was not asked for yet.
  forget() {
    for (const [key, entry] of this.waiting) if (!entry.asked) this.waiting.delete(key);
  }

  pump() {
    const first = this.waiting.get(this.wanted);
    const others = this.waiting.entries();
    if (first && !first.asked && this.active < AT_ONCE) this.start(this.wanted, first);
    for (const [key, entry] of others) {
      if (this.active >= AT_ONCE) return;
      if (!entry.asked) this.start(key, entry);
    }
  }

  start(key, entry) {
    entry.asked = true;
    this.active++;
    this.load(key, entry).finally(() => { this.active--; this.pump(); });
  }

  async load(key, entry) {
    const { plane, level, row, column } = entry;
    try {
      const response = await ask(`/api/jobs/${this.job}/${this.name}/tiles/${key}`);
      const buffer = await response.arrayBuffer();
      if (this.waiting.get(key) !== entry) return; // the scene was refreshed meanwhile
      const [rows, columns] = this.info.levels[level];
      const side = this.info.tile;
      const height = Math.min(side, rows - row * side), width = Math.min(side, columns - column * side);
      const half = this.planes.get(plane).dtype === "float16";
      const values = half ? new Uint16Array(buffer) : new Uint8Array(buffer);
      const channels = values.length / (height * width);
      if (half && channels > (plane === "deviation" ? this.deviationBasis : this.basis).length) {
        await this.update();
        this.onGrown();
      }
      this.keep(key, { plane, level, row, column, height, width, channels, values });
      this.onTile(level);
    } catch {
      // The next drawing asks again; a server that is gone is reported where the user acts.
    } finally {
      if (this.waiting.get(key) === entry) this.waiting.delete(key);
    }
  }

  keep(key, tile) {
    this.tiles.set(key, tile);
    this.bytes += tile.values.byteLength;
    for (const [oldest, { values }] of this.tiles) {
      if (this.bytes <= KEPT_BYTES) return;
      this.tiles.delete(oldest);
      this.bytes -= values.byteLength;
    }
  }

  // The finest level that a pixel has by now.
  levelOf(x, y) {
    const { block, finest } = this.info;
    return finest && this.ready.has(`${Math.floor(y / block)},${Math.floor(x / block)}`) ? 0 : finest;
  }

  // The pixel nearest to a point.
  nearestPixel(x, y) {
    const within = (v, size) => Math.min(size - 1, Math.max(0, Math.floor(v)));
    return { x: within(x, this.width), y: within(y, this.height) };
  }

  // The tile of a level that a pixel is in, and where in it.
  placeOf(x, y, level) {
    const side = this.info.tile, px = x >> level, py = y >> level;
    return { row: Math.floor(py / side), column: Math.floor(px / side), inner: [px % side, py % side] };
  }

  // The spectrum at a pixel from the finest tile that is here; null when there is none yet.
  spectrum(x, y) {
    const start = this.levelOf(x, y);
    for (let level = start; level <= this.coarsest; level++) {
      const { row, column, inner } = this.placeOf(x, y, level);
      const tile = level === start
        ? this.want(level, row, column)
        : this.tiles.get(`coefficients/${level}/${row}/${column}`);
      if (tile) return { values: this.evaluate(tile, inner), level };
    }
    return null;
  }

  // A tile of coefficients, before everything else; the one that was wanted before is not any more.
  want(level, row, column) {
    const key = `coefficients/${level}/${row}/${column}`;
    if (key !== this.wanted) {
      if (this.waiting.get(this.wanted)?.asked === false) this.waiting.delete(this.wanted);
      this.wanted = key;
    }
    return this.tile("coefficients", level, row, column);
  }

  // The method's own standard deviation at a pixel of a level; null where there is none (yet).
  deviation(x, y, level) {
    if (!this.has("deviation")) return null;
    const { row, column, inner } = this.placeOf(x, y, level);
    const tile = this.tile("deviation", level, row, column);
    return tile ? this.evaluate(tile, inner, this.deviationBasis).map((v) => Math.max(0, v)) : null;
  }

  evaluate(tile, [x, y], basis = this.basis) {
    const out = new Float64Array(this.bands);
    const plane = tile.width * tile.height;
    const at = y * tile.width + x;
    for (let k = 0; k < Math.min(tile.channels, basis.length); k++) {
      const weight = HALF[tile.values[k * plane + at]];
      if (weight === 0) continue;
      const row = basis[k];
      for (let b = 0; b < row.length; b++) out[b] += weight * row[b];
    }
    return out;
  }

  region({ x, y, width, height }) { return this.get(`/region?${new URLSearchParams({ x, y, width, height })}`); }

  references() { return this.get("/references"); }

  rendering(illuminant, observer, adapt) {
    return this.get(`/rendering?${new URLSearchParams({ illuminant, observer, adapt })}`);
  }

  // Per coefficient what a spectrum gives: (band, 3) times basis, shape rank rows of 3.
  project(matrix, factor = 1) {
    return this.basis.map((row) => {
      const sums = [0, 0, 0];
      for (let b = 0; b < row.length; b++) {
        for (let c = 0; c < 3; c++) sums[c] += row[b] * matrix[b][c];
      }
      return sums.map((sum) => sum * factor);
    });
  }

  // Per coefficient what three bands show, each with its share of white.
  weights(bands, shares) {
    return this.basis.map((row) => bands.map((band, c) => row[band] * shares[c] / this.info.peak));
  }

  // Index of the band nearest to a wavelength.
  nearest(nm) {
    let best = 0;
    for (let b = 1; b < this.bands; b++) {
      if (Math.abs(this.nm[b] - nm) < Math.abs(this.nm[best] - nm)) best = b;
    }
    return best;
  }
}
