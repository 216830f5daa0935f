"""Compare synthetic scenes with measured ones by the statistics of spectra, colours and edges.

    python scripts/compare_synthetic.py --real DIR [--images DIR] [-n 24] [--seed 1] [--earthlib]

``--real`` is a folder of cubes on the challenge's bands, ``--images`` one of clean-track images
without cubes (PNG). Prints a table in Markdown: each row a statistic, each column a set of scenes;
what is taken per scene is averaged over the scenes of a set.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from respectra.cameras import get_track, open_image
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, wavelengths_of
from respectra.datasets.collections import open_collection
from respectra.datasets.palette import DEFAULT_MATERIALS
from respectra.datasets.scenes import valid_pixels
from respectra.datasets.synthesize import SynthesisOptions, synthesize_scene

Array = npt.NDArray[np.float64]

_SAMPLES = 4000
_SMALLEST_SIDE = 64
_TRACK = get_track("clean")
_MATRIX = _TRACK.response_matrix(CHALLENGE_WAVELENGTHS_NM)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--images", type=Path)
    parser.add_argument("-n", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--earthlib", action="store_true", help="also materials of earthlib")
    parser.add_argument("--photos", type=Path, help="also scenes with these photos' structure")
    arguments = parser.parse_args()
    materials = (*DEFAULT_MATERIALS, *(["earthlib"] if arguments.earthlib else []))

    def made(**options: object) -> Iterator[tuple[Array, Array]]:
        o = SynthesisOptions.model_validate({"materials": materials, **options})
        for index in range(arguments.n):
            cube = np.asarray(synthesize_scene(arguments.seed, index, o).values, np.float64)
            yield cube @ _MATRIX, _sample(cube.reshape(-1, cube.shape[2]), index)

    columns = {"measured": _measured(arguments.real), "synthetic": made()}
    if arguments.photos:
        columns["synthetic, photos"] = made(photos=arguments.photos)
    tables = {name: _statistics(scenes) for name, scenes in columns.items()}
    if arguments.images:
        tables["challenge images"] = _statistics(_pictures(arguments.images))
    rows = list(dict.fromkeys(row for table in tables.values() for row in table))
    print(f"| statistic | {' | '.join(tables)} |\n|---|{'---:|' * len(tables)}")
    for row in rows:
        cells = [f"{t[row]:.3g}" if row in t else "" for t in tables.values()]
        print(f"| {row} | {' | '.join(cells)} |")


def _measured(folder: Path) -> Iterator[tuple[Array, Array]]:
    """Linear RGB and sampled spectra of the scenes that are large enough."""
    groups: set[str] = set()
    for number, scene in enumerate(
        sorted(open_collection(folder), key=lambda s: -s.cube.stat().st_size)
    ):
        cube = scene.open_cube()
        grid = wavelengths_of(cube)
        if min(cube.shape[:2]) < _SMALLEST_SIDE or scene.group in groups:
            continue
        if not np.array_equal(grid, CHALLENGE_WAVELENGTHS_NM):
            continue
        groups.add(scene.group)
        values = np.asarray(cube.values, np.float64)
        yield values @ _MATRIX, _sample(values[valid_pixels(cube)], number)


def _pictures(folder: Path) -> Iterator[tuple[Array, None]]:
    for path in sorted(folder.glob("*_clean.png")):
        # The middle of each code, so that the darkest one is not zero.
        yield np.asarray(_TRACK.invert_codes(open_image(path)), np.float64), None


def _sample(spectra: Array, seed: int) -> Array:
    chosen = np.random.default_rng(seed).choice(len(spectra), min(_SAMPLES, len(spectra)), False)
    return spectra[chosen]


def _statistics(scenes: Iterable[tuple[Array, Array | None]]) -> dict[str, float]:
    pictures, spectra = [], []
    for rgb, sampled in scenes:
        pictures.append(rgb)
        if sampled is not None:
            spectra.append(sampled)
    table = {"scenes": float(len(pictures))}
    if spectra:
        table |= _spectral(np.concatenate([s / s.mean() for s in spectra]))
        table["3 components, within one scene, %"] = float(
            np.mean([_energy(s)[2] for s in spectra])
        )
        unit = np.concatenate(spectra)
        unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
        second = np.abs(np.diff(unit, n=2, axis=1)).mean()
        table["curvature of unit spectra, 1e-3"] = float(1e3 * second)
    table |= {
        name: float(np.mean([value[name] for value in map(_pictorial, pictures)]))
        for name in _pictorial(pictures[0])
    }
    centres = np.array([_chromaticity(rgb).mean(axis=0) for rgb in pictures])
    table["chromaticity, deviation between scenes"] = float(centres.std(axis=0).mean())
    return table


def _energy(spectra: Array) -> Array:
    """Share of the energy in the first 1, 2, ... principal components, in percent."""
    values = np.linalg.eigvalsh(spectra.T @ spectra)[::-1]
    shares: Array = 100 * np.cumsum(values) / values.sum()
    return shares


def _spectral(spectra: Array) -> dict[str, float]:
    share = _energy(spectra)
    return {f"{k} components, %": float(share[k - 1]) for k in (1, 3, 6, 10)}


def _chromaticity(rgb: Array) -> Array:
    bright = rgb.reshape(-1, 3)
    bright = bright[bright.sum(axis=1) > 0.02]
    shares: Array = bright[:, :2] / bright.sum(axis=1, keepdims=True)
    return shares


def _pictorial(rgb: Array) -> dict[str, float]:
    green = rgb[..., 1]
    log = np.log(np.maximum(green, 1e-3))
    gradient = np.concatenate([np.diff(log, axis=0).ravel(), np.diff(log, axis=1).ravel()])
    return {
        "mean of G": float(green.mean()),
        "99th percentile of the largest channel": float(np.quantile(rgb.max(axis=2), 0.99)),
        "deviation of log G": float(log.std()),
        "chromaticity, deviation within a scene": float(_chromaticity(rgb).std(axis=0).mean()),
        "gradient of log G, mean magnitude": float(np.abs(gradient).mean()),
        "gradient of log G, kurtosis": float((gradient**4).mean() / (gradient**2).mean() ** 2),
        "slope of the amplitude spectrum": _slope(log),
    }


def _slope(log: Array) -> float:
    side = min(log.shape)
    part = (log - log.mean())[:side, :side] * np.outer(np.hanning(side), np.hanning(side))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side))
    amplitude = np.abs(np.fft.fft2(part))
    ring = (frequency > 4 / side) & (frequency < 0.35)
    return float(-np.polyfit(np.log(frequency[ring]), np.log(amplitude[ring] + 1e-12), 1)[0])


if __name__ == "__main__":
    main()
