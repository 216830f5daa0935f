// What the picture can show, and the painter for each choice.

import { paintAgain, paintColours, paintDifference, paintPicture } from "./paint.js";

export const VIEWS = [
  { name: "colours", title: "Colours", words: "The recovered spectra as an eye would see them." },
  { name: "picture", title: "Original", words: "The picture as it was given." },
  { name: "band", title: "One band", words: "The light of one wavelength." },
  { name: "false", title: "False colour", words: "Any three bands as red, green and blue." },
  { name: "light", title: "Other light", words: "The same things under another lamp." },
  { name: "again", title: "Seen again", words: "What the camera makes of the recovered spectra." },
  { name: "difference", title: "Difference", words: "Where two spectra of a pixel disagree." },
];

// Largest relative difference that the colour scale tells apart.
export const MOST_DIFFERENCE = 0.5;

export function available(view, scene, other) {
  if (view === "picture") return scene.has("picture");
  if (view === "again") return scene.has("rerendered");
  if (view === "difference") return other !== null;
  return true;
}

// How the picture compares with the one that was given.
export function seenAgain({ differing_pixels: n, largest_difference: most, height, width }) {
  if (n === 0) return "exactly the picture that was given";
  return `${(100 * n / (height * width)).toPrecision(3)} % of the pixels differ, by at most ${most} of 255`;
}

// The wavelengths that a view is made of, as [{ nm, colour }].
export function guidesOf({ view, nm, rgb }, scene) {
  const own = (at) => scene.nm[scene.nearest(at)];
  if (view === "band") return [{ nm: own(nm) }];
  if (view !== "false") return [];
  return rgb.map((at, i) => ({ nm: own(at), colour: ["#d22b2b", "#2a9d3f", "#3a6fe0"][i] }));
}

const matrices = new Map();

async function matrixFor(scene, light, observer, adapt) {
  const key = [scene.job, scene.name, light, observer, adapt].join();
  if (!matrices.has(key)) {
    if (matrices.size > 64) matrices.clear();
    matrices.set(key, (await scene.rendering(light, observer, adapt)).matrix);
  }
  return matrices.get(key);
}

// { key, layers: [{ scene, plane }], paint }: what the viewport needs to draw a view.
export async function painterFor(state, scene, other) {
  const stamp = `${scene.job}.${scene.rank}.${scene.info.finest}`;
  const coefficients = { scene, plane: "coefficients" };
  switch (state.view) {
    case "picture":
      return { key: `picture ${stamp}`, layers: [{ scene, plane: "picture" }], paint: paintPicture() };
    case "again": {
      const layers = [{ scene, plane: "rerendered" }, { scene, plane: "difference" }];
      return { key: `again ${stamp}`, layers, paint: paintAgain() };
    }
    case "band": {
      const band = scene.nearest(state.nm);
      const weights = scene.weights([band, band, band], state.tint ? scene.info.band_colours[band] : [1, 1, 1]);
      const key = `band ${band} ${state.tint} ${stamp}`;
      return { key, layers: [coefficients], paint: paintColours(weights) };
    }
    case "false": {
      const bands = state.rgb.map((nm) => scene.nearest(nm));
      const weights = scene.weights(bands, [1, 1, 1]);
      return { key: `false ${bands} ${stamp}`, layers: [coefficients], paint: paintColours(weights) };
    }
    case "difference": {
      const layers = [coefficients, { scene: other, plane: "coefficients" }];
      const key = `difference ${stamp} ${other.job} ${other.name} ${other.rank}`;
      return { key, layers, paint: paintDifference(scene, other, MOST_DIFFERENCE) };
    }
    default: {
      const usual = { light: "D65", observer: "cie1931", adapt: true };
      const { light, observer, adapt } = state.view === "light" ? state : usual;
      const matrix = await matrixFor(scene, light, observer, adapt);
      const weights = scene.project(matrix, scene.info.exposure);
      const key = `colours ${light} ${observer} ${adapt} ${stamp}`;
      return { key, layers: [coefficients], paint: paintColours(weights) };
    }
  }
}
