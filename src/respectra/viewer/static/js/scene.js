// A scene: its tiles, and the spectra that coefficients and basis give.

import { ask, getJSON } from "./api.js";
import { HALF } from "./half.js";

const KEPT_TILES = 160;
const AT_ONCE = 6;

export class Scene {
  constructor(job, name, info) {
    this.job = job;
    this.name = name;
    this.tiles = new Map();
    this.waiting = new Map();
    this.active = 0;
    this.onTile = () => {};
    this.take(info);
  }

  static async open(job, name) {
    return new Scene(job, name, await getJSON(`/api/jobs/${job}/${name}`));
  }

  // A first look becomes the whole scene: the basis may have grown, finer tiles exist.
  async refresh() {
    this.take(await getJSON(`/api/jobs/${this.job}/${this.name}`));
    this.tiles.clear();
    this.waiting.clear();
  }

  take(info) {
    this.info = info;
    this.nm = Float64Array.from(info.wavelengths_nm);
    this.bands = info.wavelengths_nm.length;
    this.rank = info.rank;
    this.basis = info.basis.map((row) => Float32Array.from(row));
    this.planes = new Map(info.planes.map((plane) => [plane.name, plane]));
  }

  get height() { return this.info.height; }
  get width() { return this.info.width; }
  get coarsest() { return this.info.levels.length - 1; }

  has(plane) { return this.planes.has(plane); }

  // The tile if it is here; otherwise it is asked for, and onTile tells when it has come.
  tile(plane, level, row, column) {
    const key = `${plane}/${level}/${row}/${column}`;
    const found = this.tiles.get(key);
    if (found) {
      this.tiles.delete(key); // most recently used goes last
      this.tiles.set(key, found);
      return found;
    }
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
    for (const [key, entry] of this.waiting) {
      if (this.active >= AT_ONCE) return;
      if (entry.asked) continue;
      entry.asked = true;
      this.active++;
      this.load(key, entry).finally(() => { this.active--; this.pump(); });
    }
  }

  async load(key, entry) {
    const { plane, level, row, column } = entry;
    const basisThen = this.info;
    try {
      const response = await ask(`/api/jobs/${this.job}/${this.name}/tiles/${key}`);
      const buffer = await response.arrayBuffer();
      if (basisThen !== this.info) return;
      const [height, width] = this.info.levels[level];
      const side = this.info.tile;
      const half = this.planes.get(plane).dtype === "float16";
      this.tiles.set(key, {
        plane, level, row, column,
        height: Math.min(side, height - row * side),
        width: Math.min(side, width - column * side),
        values: half ? new Uint16Array(buffer) : new Uint8Array(buffer),
      });
      while (this.tiles.size > KEPT_TILES) this.tiles.delete(this.tiles.keys().next().value);
      this.onTile();
    } catch {
      // The next drawing asks again; a server that is gone is reported where the user acts.
    } finally {
      this.waiting.delete(key);
    }
  }

  // The spectrum at a pixel from the finest tile that is here; null when there is none yet.
  spectrum(x, y, wanted = 0) {
    const side = this.info.tile;
    const start = Math.max(this.info.finest, wanted);
    for (let level = start; level <= this.coarsest; level++) {
      const px = x >> level, py = y >> level;
      const row = Math.floor(py / side), column = Math.floor(px / side);
      const tile = level === start
        ? this.tile("coefficients", level, row, column)
        : this.tiles.get(`coefficients/${level}/${row}/${column}`);
      if (tile) return { values: this.evaluate(tile, px - column * side, py - row * side), level };
    }
    return null;
  }

  evaluate(tile, x, y) {
    const out = new Float64Array(this.bands);
    const plane = tile.width * tile.height;
    const at = y * tile.width + x;
    for (let k = 0; k < this.rank; k++) {
      const weight = HALF[tile.values[k * plane + at]];
      if (weight === 0) continue;
      const row = this.basis[k];
      for (let b = 0; b < row.length; b++) out[b] += weight * row[b];
    }
    return out;
  }

  region(x, y, width, height) {
    const query = `y=${y}&x=${x}&height=${height}&width=${width}`;
    return getJSON(`/api/jobs/${this.job}/${this.name}/region?${query}`);
  }

  rendering(illuminant, observer, adapt) {
    const query = new URLSearchParams({ illuminant, observer, adapt });
    return getJSON(`/api/jobs/${this.job}/${this.name}/rendering?${query}`);
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

  // Index of the band nearest to a wavelength.
  nearest(nm) {
    let best = 0;
    for (let b = 1; b < this.bands; b++) {
      if (Math.abs(this.nm[b] - nm) < Math.abs(this.nm[best] - nm)) best = b;
    }
    return best;
  }
}
