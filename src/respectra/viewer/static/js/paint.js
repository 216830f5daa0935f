// From tiles of values to tiles of pixels: each painter fills an ImageData.

import { HALF } from "./half.js";

const STEPS = 4096;
const SRGB = new Uint8ClampedArray(STEPS + 1);
for (let i = 0; i <= STEPS; i++) {
  const v = i / STEPS;
  SRGB[i] = Math.round(255 * (v <= 0.0031308 ? 12.92 * v : 1.055 * v ** (1 / 2.4) - 0.055));
}

function code(linear) {
  return linear <= 0 ? 0 : linear >= 1 ? 255 : SRGB[(linear * STEPS + 0.5) | 0];
}

// Linear sRGB of coefficients: weights are rank rows of three.
export function paintColours(weights) {
  return ([tile], image) => {
    const n = tile.width * tile.height;
    const r = new Float32Array(n), g = new Float32Array(n), b = new Float32Array(n);
    const rank = Math.min(tile.channels, weights.length);
    for (let k = 0; k < rank; k++) {
      const [wr, wg, wb] = weights[k];
      const start = k * n;
      for (let i = 0; i < n; i++) {
        const c = HALF[tile.values[start + i]];
        r[i] += c * wr; g[i] += c * wg; b[i] += c * wb;
      }
    }
    const out = image.data;
    for (let i = 0, o = 0; i < n; i++, o += 4) {
      out[o] = code(r[i]); out[o + 1] = code(g[i]); out[o + 2] = code(b[i]); out[o + 3] = 255;
    }
  };
}

// A plane of bytes as it is.
export function paintPicture() {
  return ([tile], image) => {
    const n = tile.width * tile.height;
    const { values } = tile;
    const out = image.data;
    for (let i = 0, o = 0; i < n; i++, o += 4) {
      out[o] = values[i]; out[o + 1] = values[n + i]; out[o + 2] = values[2 * n + i];
      out[o + 3] = 255;
    }
  };
}

// The picture that the camera sees in the spectra; pixels that differ from the given one in blue.
export function paintAgain() {
  const picture = paintPicture();
  return ([tile, difference], image) => {
    picture([tile], image);
    const out = image.data;
    for (let i = 0, o = 0; i < difference.values.length; i++, o += 4) {
      const d = difference.values[i];
      if (!d) continue;
      const grey = 0.25 * out[o] + 0.6 * out[o + 1] + 0.15 * out[o + 2];
      const a = Math.min(1, 0.35 + d * 0.15);
      out[o] = grey * (1 - a) * 0.6;
      out[o + 1] = grey * (1 - a) * 0.6 + 114 * a;
      out[o + 2] = grey * (1 - a) * 0.6 + 220 * a;
    }
  };
}

// cividis (Nuñez, Anderton, Renslow 2018), sampled: even to eyes with and without colour vision.
export const CIVIDIS = [
  [0, 32, 77], [0, 48, 111], [57, 72, 107], [87, 93, 109], [112, 113, 115], [138, 134, 120],
  [166, 157, 117], [196, 181, 108], [228, 207, 91], [255, 234, 70],
];

const RAMP = new Uint8ClampedArray(256 * 3);
for (let i = 0; i < 256; i++) {
  const at = Math.min(0.99999, i / 255) * (CIVIDIS.length - 1);
  const low = Math.floor(at), share = at - low;
  RAMP.set(CIVIDIS[low].map((v, c) => v + share * (CIVIDIS[low + 1][c] - v)), 3 * i);
}

// Root mean square over the bands of the difference of two scenes, over that of the second one.
// The rows of a basis are orthogonal and of one length, so coefficients tell without spectra:
// |a - b|² = |a|² + |b|² - 2 a·b, and a·b needs the products of the basis rows alone.
export function paintDifference(first, second, most) {
  const products = first.basis.map((a) => Float64Array.from(second.basis, (b) => dot(a, b)));
  const scaleA = dot(first.basis[0], first.basis[0]), scaleB = dot(second.basis[0], second.basis[0]);
  const floor = 0.01 * second.info.peak * Math.sqrt(second.bands);
  return ([one, two], image) => {
    const n = one.width * one.height;
    const ka = Math.min(one.channels, products.length), kb = Math.min(two.channels, products[0].length);
    const out = image.data;
    const a = new Float64Array(ka), b = new Float64Array(kb);
    for (let i = 0, o = 0; i < n; i++, o += 4) {
      let aa = 0, bb = 0, ab = 0;
      for (let k = 0; k < ka; k++) { a[k] = HALF[one.values[k * n + i]]; aa += a[k] * a[k]; }
      for (let k = 0; k < kb; k++) { b[k] = HALF[two.values[k * n + i]]; bb += b[k] * b[k]; }
      for (let k = 0; k < ka; k++) {
        const row = products[k];
        let sum = 0;
        for (let l = 0; l < kb; l++) sum += row[l] * b[l];
        ab += a[k] * sum;
      }
      const gap = Math.sqrt(Math.max(0, scaleA * aa + scaleB * bb - 2 * ab));
      const whole = Math.max(floor, Math.sqrt(scaleB * bb));
      const at = 3 * Math.min(255, (255 * gap / whole / most) | 0);
      out[o] = RAMP[at]; out[o + 1] = RAMP[at + 1]; out[o + 2] = RAMP[at + 2]; out[o + 3] = 255;
    }
  };
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}
