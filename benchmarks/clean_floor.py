"""How far the error on the clean track could fall: what knows more than a picture tells.

    RESPECTRA_DATA=... python benchmarks/clean_floor.py [--pixels 3000]

Prints the MRAE with a floor of 0.01, mean over the scenes that choose between designs and over
those that chose nothing, of

* the default method, and the default method on values that were not rounded;
* estimators of the spectrum from the pixel's codes alone, polynomials of second and third degree;
* the default method's answer times a factor for each band;
* the same times an exponential of second degree in chromaticity and log-brightness for each band.

The last three are fitted to measured spectra, by least relative error: to those of the other scenes
that choose, which is what a design may learn from; of all other scenes of both lists, what it could
learn from more measurements; and of the very scene that is scored, which nobody has. The bands of
one place are never in its own teachers, but in the last.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np

import respectra as rs
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))
from fit_classical import CHOICE, FLOOR, REPORT, Scene, load_scenes

#: Scenes that show one place.
PLACES = {name: "muufl" for name in CHOICE if name.startswith("muufl")}
#: Rounds of reweighted least squares that come to the least absolute error.
ROUNDS = 12


class Pixels:
    """Some pixels of a scene: codes, spectra, and what the default method makes of them."""

    def __init__(self, scene: Scene, method: rs.Reconstructor, count: int) -> None:
        track = rs.get_track("clean")
        exact = scene.truth @ track.response_matrix(CHALLENGE_WAVELENGTHS_NM)
        rounded = rs.make_image(scene.rgb, bits=8, track="clean")
        unrounded = rs.make_image(np.minimum(exact, 1.0), bits=32, track="clean")
        chosen = np.random.default_rng(0).permutation(np.flatnonzero(scene.valid))[:count]
        self.place = PLACES.get(scene.name, scene.name)
        self.rgb, self.truth, self.answer, self.exact = (
            np.asarray(a, np.float64).reshape(-1, np.shape(a)[-1])[chosen]
            for a in (scene.rgb + 0.5 / 255, scene.truth, method(rounded), method(unrounded))
        )
        light = self.rgb.sum(axis=1, keepdims=True)
        self.colour = np.hstack([self.rgb[:, :2] / light, np.log(light)])

    def error(self, found: np.ndarray) -> float:
        return float((np.abs(np.maximum(found, 0.0) - self.truth) / self.least).mean())

    @property
    def least(self) -> np.ndarray:
        return np.maximum(self.truth, FLOOR)


def powers(values: np.ndarray, degree: int) -> np.ndarray:
    """Products of up to so many values, (n, terms)."""
    terms = [np.ones(len(values))]
    for count in range(1, degree + 1):
        for chosen in combinations_with_replacement(range(values.shape[1]), count):
            terms.append(values[:, chosen].prod(axis=1))
    return np.stack(terms, axis=1)


def fitted(known: np.ndarray, wanted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The matrix with the least weighted absolute error, (terms, bands)."""
    columns = []
    for target, weight in zip(wanted.T, weights.T, strict=True):
        own = weight**2
        for _ in range(ROUNDS):
            gram = (known * own[:, None]).T @ known
            gram += 1e-9 * np.trace(gram) / len(gram) * np.eye(len(gram))
            matrix = np.linalg.solve(gram, known.T @ (own * target))
            own = weight / np.maximum(np.abs(known @ matrix - target), 1e-4 / weight)
        columns.append(matrix)
    return np.stack(columns, axis=1)


def from_codes(degree: int, teachers: list[Pixels], pupil: Pixels) -> np.ndarray:
    """The spectra that a polynomial of the codes gives."""
    known = np.vstack([powers(p.rgb, degree) for p in teachers])
    truth = np.vstack([p.truth for p in teachers])
    weights = np.vstack([1 / p.least for p in teachers])
    return powers(pupil.rgb, degree) @ fitted(known, truth, weights)


def corrected(degree: int, teachers: list[Pixels], pupil: Pixels) -> np.ndarray:
    """The answer times the exponential of a polynomial of the colour: of the median ratio."""
    known = np.vstack([powers(p.colour, degree) for p in teachers])
    ratios = [np.log(p.least / np.maximum(p.answer, FLOOR)) for p in teachers]
    weights = np.vstack([np.maximum(p.answer, FLOOR) / p.least for p in teachers])
    found = powers(pupil.colour, degree) @ fitted(known, np.vstack(ratios), weights)
    return pupil.answer * np.exp(np.clip(found, -3.0, 3.0))


KINDS: dict[str, Callable[[list[Pixels], Pixels], np.ndarray]] = {
    "polynomial of the codes, 2nd degree": partial(from_codes, 2),
    "polynomial of the codes, 3rd degree": partial(from_codes, 3),
    "default times factors of bands": partial(corrected, 0),
    "default times a function of colour": partial(corrected, 2),
}


def main() -> None:
    """Print a row for each estimator."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pixels", type=int, default=3000, help="of each scene")
    count, data = parser.parse_args().pixels, Path(os.environ["RESPECTRA_DATA"])
    method = rs.load()
    lists = [
        [Pixels(s, method, count) for s in load_scenes("clean", names, data)]
        for names in (CHOICE, REPORT)
    ]

    def show(name: str, found: Callable[[Pixels], np.ndarray]) -> None:
        means = [np.mean([p.error(found(p)) for p in scenes]) for scenes in lists]
        print(f"{name:60}", *(f"{value:8.4f}" for value in means), flush=True)

    def others(pool: list[Pixels]) -> Callable[[Pixels], list[Pixels]]:
        return lambda pupil: [p for p in pool if p.place != pupil.place]

    show("default", lambda p: p.answer)
    show("default, values not rounded", lambda p: p.exact)
    taught = {
        "other scenes that choose": others(lists[0]),
        "all other scenes": others([*lists[0], *lists[1]]),
        "the very scene": lambda pupil: [pupil],
    }
    for name, estimator in KINDS.items():
        for whose, teachers in taught.items():
            show(f"{name}, {whose}", lambda p, e=estimator, t=teachers: e(t(p), p))


if __name__ == "__main__":
    main()
