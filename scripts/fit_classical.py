"""Fit the classical method that Respectra ships, from spectra that anybody can install.

    python scripts/fit_classical.py             # rebuilds the shipped files, bit for bit
    python scripts/fit_classical.py --choose    # compares the candidates, on the choice scenes

It needs ``pip install 'respectra[spectra]'``. With ``RESPECTRA_DATA`` naming the folder of measured
scenes, scores are measured and docs/classical-method.md is written anew; without it, the scores of
the shipped files are kept as long as the weights come out the same.

Scenes are never used for fitting. Those of CHOICE decide between candidates, those of REPORT were
looked at once, for the scores that are published.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.datasets.pairs import Pairs, render_pairs
from respectra.datasets.spectra import illuminants, reflectances
from respectra.methods import (
    Contract,
    ResponseRecord,
    Weights,
    build_classical,
    load_weights,
    save_weights,
)
from respectra.methods.classical.base import ClassicalMethod

ROOT = Path(__file__).parents[1]
SHIPPED = ROOT / "src" / "respectra" / "methods" / "shipped"
PAGE = ROOT / "docs" / "classical-method.md"

SEED = 2020
PAIRS = 20_000
EXPOSURES = (0.02, 1.0)
FLOOR = 0.01
#: Share of the training pixels that are objects (colour charts, materials); the rest is earthlib.
OBJECTS = 0.6
COLLECTIONS = ("colorchecker-babelcolor", "pmc", "cqs", "cie-ces99", "rawtoaces", "earthlib")
#: Shares of the lights under which the reflectances are seen; ``equal`` is equal energy.
LIGHTS: Mapping[str, Mapping[str, float]] = {
    "daylight": {"daylight": 0.7, "equal": 0.3},
    "smooth": {"daylight": 0.4, "blackbody": 0.3, "equal": 0.3},
    "all": {"daylight": 0.5, "equal": 0.2, "blackbody": 0.15, "cie": 0.1, "lamps": 0.05},
}

CHOICE = (
    "cave_u8_feathers",
    "cave_u8_sponges",
    "samson",
    "muufl_demo_51x88",
    "muufl_class_demo",
)
REPORT = (
    "cave_u8_paints",
    "cave_u8_sushi",
    "cave256_chart_and_stuffed_toy",
    "kbr_d3",
    "aviris_jasper_ridge",
    "plantcv_corn_kernel",
)

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Candidate:
    """A method, its options, the lights and the noise it is fitted with."""

    method: str
    options: Mapping[str, Any] = field(default_factory=dict)
    lights: str = "daylight"
    noise: float = 0.0
    """Standard deviation of the RGB values' noise, as a share of the level of the pixel's scene."""

    def __str__(self) -> str:
        options = ", ".join(f"{k}={v}" for k, v in self.options.items())
        noise = f", noise {self.noise:g}" if self.noise else ""
        return f"{self.method}({options}) on {self.lights}{noise}"


#: What ``--choose`` found best on the choice scenes.
CHOSEN: Mapping[str, Candidate] = {
    "clean": Candidate("a-plus", {"anchors": 512, "neighbours": 300}, "daylight"),
    "real-world": Candidate("a-plus", {"anchors": 512, "neighbours": 300}, "daylight", 0.03),
}


Variants = list[tuple[str, dict[str, Any]]]
LOSSES = ("least-squares", "relative")

CLEAN: Variants = [
    ("pseudo-inverse", {}),
    ("pseudo-inverse", {"loss": "relative"}),
    ("wiener", {}),
    ("wiener", {"noise": (0.02, 0.02, 0.02)}),
    ("pca", {}),
    *(("root-polynomial", {"order": k, "loss": loss}) for k in (2, 3) for loss in LOSSES),
    ("polynomial", {"order": 3, "loss": "relative"}),
    ("rbf", {"loss": "relative"}),
    ("nearest-neighbour", {"any_exposure": True, "neighbours": 8}),
    *(
        ("a-plus", {"anchors": 512, "neighbours": k, "ridge": ridge})
        for k in (150, 300, 1024)
        for ridge in (0.1, 1.0)
    ),
    ("sparse-coding", {"iterations": 1, "sparsity": 3}),
]
REAL_WORLD: Variants = [
    ("pseudo-inverse", {}),
    ("wiener", {}),
    *(("root-polynomial", {"order": 2, "loss": loss}) for loss in LOSSES),
    *(("a-plus", {"anchors": 512, "neighbours": k}) for k in (300, 1024)),
    ("a-plus", {"anchors": 512, "neighbours": 1024, "ridge": 10.0}),
]


def candidates(track: str) -> list[Candidate]:
    """All that ``--choose`` compares; the real-world track takes the clean track's lights."""
    if track == "clean":
        return [Candidate(m, options, lights) for lights in LIGHTS for m, options in CLEAN]
    return [
        Candidate(m, options, "daylight", noise)
        for noise in (0.0, 0.03, 0.1)
        for m, options in REAL_WORLD
    ]


@dataclass(frozen=True)
class Spectra:
    """Spectra with their frequencies, and what they are."""

    values: Array
    weights: Array
    facts: list[dict[str, Any]]


def load_reflectances() -> Spectra:
    """All collections; within earthlib, the square root of a category's size is its weight."""
    values, weights, facts = [], [], []
    for name in COLLECTIONS:
        found = reflectances(name)
        v = np.clip(found.values, 0.0, None)
        category = found.coords.get("category")
        labels = np.zeros(len(v), int) if category is None else category.values
        keep = v.max(axis=1) > 0
        v, labels = v[keep], labels[keep]
        w = np.ones(len(v))
        if category is not None:
            for label in np.unique(labels):
                members = labels == label
                w[members] = members.sum() ** -0.5
            w *= (1 - OBJECTS) / w.sum()
        else:
            w *= OBJECTS
        values.append(v)
        weights.append(w)
        facts.append(_facts(name, found, len(v)))
    objects = sum(w.sum() for w in weights[:-1])
    weights[:-1] = [w * OBJECTS / objects for w in weights[:-1]]
    return Spectra(np.vstack(values), np.concatenate(weights), facts)


def load_lights(mix: str) -> Spectra:
    """The illuminants of a mix."""
    values, weights, facts = [], [], []
    for name, share in LIGHTS[mix].items():
        if name == "equal":
            v = np.ones((1, CHALLENGE_WAVELENGTHS_NM.size))
            facts.append({"name": name, "title": "Equal energy", "count": 1, "licence": "none"})
        else:
            found = illuminants(name)
            v = found.values[found.values.min(axis=1) >= 0]
            facts.append(_facts(name, found, len(v)))
        values.append(v)
        weights.append(np.full(len(v), share / len(v)))
    return Spectra(np.vstack(values), np.concatenate(weights), facts)


def _facts(name: str, found: Any, count: int) -> dict[str, Any]:
    attrs = found.attrs
    return {"name": name, "title": attrs["source"], "count": count, "licence": attrs["licence"]}


def training_pairs(track: str, lights: Spectra, surfaces: Spectra) -> Pairs:
    """The pixels that every candidate for a track is fitted on."""
    return render_pairs(
        surfaces.values,
        lights.values,
        get_track(track).response_matrix(CHALLENGE_WAVELENGTHS_NM),
        PAIRS,
        seed=SEED,
        exposure_range=EXPOSURES,
        weights=surfaces.weights,
        illuminant_weights=lights.weights,
    )


def fit(track: str, candidate: Candidate, pairs: Pairs) -> ClassicalMethod:
    """The candidate, fitted."""
    rgb = pairs.rgb
    if candidate.noise:
        # The real-world camera exposes by the mean of the scene: noise goes with that level, which
        # a pixel's own brightest channel stands for.
        rng = np.random.default_rng(SEED)
        level = rgb.max(axis=1, keepdims=True)
        rgb = np.maximum(rgb + candidate.noise * level * rng.normal(size=rgb.shape), 0.0)
    method = build_classical(candidate.method, **candidate.options)
    response = get_track(track).response_matrix(CHALLENGE_WAVELENGTHS_NM)
    return method.fit(rgb, pairs.spectra, response=response, seed=SEED)


@dataclass(frozen=True)
class Scene:
    """A measured scene as a track sees it."""

    name: str
    rgb: npt.NDArray[np.float32]
    truth: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]


def load_scenes(track: str, names: Iterable[str], folder: Path) -> list[Scene]:
    """Measured scenes, cropped to even sizes, rendered by the track with the seed."""
    scenes = []
    for name in names:
        with np.load(folder / "scenes" / f"{name}.npz") as data:
            key = "cube_u8" if "cube_u8" in data else "cube_u16"
            values = data[key].astype(np.float32) * data["scale"]
            wavelengths = data["wavelengths"]
        values = values[: values.shape[0] // 2 * 2, : values.shape[1] // 2 * 2]
        cube = make_cube(values, wavelengths)
        # One scene has a corner without data: a constant spectrum, zero up to 570 nm.
        valid = (
            values[:, :, :15].max(axis=2) > 0
            if "muufl" in name
            else np.ones(values.shape[:2], bool)
        )
        rgb = get_track(track, seed=SEED).render(cube, key=name).values
        scenes.append(Scene(name, rgb, values, valid))
    return scenes


def score(method: ClassicalMethod, scene: Scene) -> tuple[float, float]:
    """MRAE with the floor in its denominator, and RMSE; negative estimates are clipped."""
    estimate = np.maximum(method.predict(scene.rgb), 0.0)[scene.valid].astype(np.float64)
    truth = scene.truth[scene.valid].astype(np.float64)
    difference = estimate - truth
    mrae = np.mean(np.abs(difference) / np.maximum(truth, FLOOR))
    return float(mrae), float(np.sqrt(np.mean(difference**2)))


def choose(track: str, folder: Path) -> None:
    """Print the candidates, best first, by their mean MRAE on the choice scenes."""
    scenes, surfaces = load_scenes(track, CHOICE, folder), load_reflectances()
    pairs = {mix: training_pairs(track, load_lights(mix), surfaces) for mix in LIGHTS}
    rows = []
    for candidate in candidates(track):
        method = fit(track, candidate, pairs[candidate.lights])
        mrae, rmse = np.mean([score(method, scene) for scene in scenes], axis=0)
        rows.append((mrae, rmse, str(candidate)))
        print(".", end="", flush=True, file=sys.stderr)
    print(f"\n{track}: mean over {', '.join(CHOICE)}")
    for mrae, rmse, name in sorted(rows):
        print(f"{mrae:.4f}  {rmse:.4f}  {name}")


def build(track: str, folder: Path | None) -> tuple[Weights, Pairs]:
    """The weights of the chosen candidate, and the pixels they were fitted on."""
    candidate, surfaces = CHOSEN[track], load_reflectances()
    lights = load_lights(candidate.lights)
    pairs = training_pairs(track, lights, surfaces)
    method = fit(track, candidate, pairs)
    camera = get_track(track)
    contract = Contract(track=track, clip_low=0.0, response=ResponseRecord.of(camera.response))
    provenance: dict[str, Any] = {
        "made_by": "scripts/fit_classical.py",
        "seed": SEED,
        "pairs": PAIRS,
        "exposure_range": EXPOSURES,
        "noise": candidate.noise,
        "lights": candidate.lights,
        "reflectances": surfaces.facts,
        "illuminants": lights.facts,
        "licence": "MIT; fitted on spectra under BSD-3-Clause and MIT licences",
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("numpy", "scipy", "colour-science", "earthlib")
        },
        "protocol": {
            "data": "measured scenes never used for fitting or for choosing",
            "input": f"rendered by the track {track!r}, 8-bit, seed {SEED}",
            "mrae": f"mean |estimate - truth| / max(truth, {FLOOR}); full scale is 1",
            "chosen_on": CHOICE,
        },
    }
    if folder is not None:
        provenance["scores"] = {
            scene.name: dict(zip(("mrae", "rmse"), _rounded(score(method, scene)), strict=True))
            for scene in load_scenes(track, REPORT, folder)
        }
    else:
        provenance["scores"] = _kept_scores(track, method)
    return method.to_weights(contract, provenance), pairs


def _rounded(values: tuple[float, float]) -> tuple[float, float]:
    return round(values[0], 4), round(values[1], 5)


def _kept_scores(track: str, method: ClassicalMethod) -> Any:
    path = SHIPPED / f"classical-{track}.safetensors"
    if path.is_file():
        old = load_weights(path)
        if old.tensors.keys() == method.tensors.keys() and all(
            np.array_equal(old.tensors[name], method.tensors[name]) for name in old.tensors
        ):
            return old.provenance["scores"]
    sys.exit(
        f"the weights for {track!r} changed, so their scores have to be measured: "
        "set RESPECTRA_DATA to the folder of measured scenes"
    )


def table(track: str, pairs: Pairs, folder: Path) -> list[str]:
    """Rows of all classical methods, fitted on the same pairs, on the report scenes."""
    scenes = load_scenes(track, REPORT, folder)
    chosen = CHOSEN[track]
    rows = [chosen]
    for method, options in (
        ("a-plus", {}),
        ("sparse-coding", {}),
        ("nearest-neighbour", {}),
        ("nearest-neighbour", {"any_exposure": True}),
        ("rbf", {}),
        ("rbf", {"loss": "relative"}),
        ("root-polynomial", {}),
        ("root-polynomial", {"loss": "relative"}),
        ("root-polynomial", {"order": 2}),
        ("polynomial", {}),
        ("polynomial", {"loss": "relative"}),
        ("pseudo-inverse", {}),
        ("pseudo-inverse", {"loss": "relative"}),
        ("wiener", {}),
        ("pca", {}),
    ):
        rows.append(Candidate(method, options, chosen.lights, chosen.noise))
    lines = ["| method | MRAE | RMSE |", "|---|---|---|"]
    for row, candidate in enumerate(rows):
        fitted = fit(track, candidate, pairs)
        mrae, rmse = np.mean([score(fitted, scene) for scene in scenes], axis=0)
        options = ", ".join(f"{k} = {v}" for k, v in candidate.options.items())
        name = f"{candidate.method}{f' ({options})' if options else ''}"
        name = f"**{name}**, shipped" if row == 0 else name
        lines.append(f"| {name} | {mrae:.3f} | {rmse:.4f} |")
    return lines


def write_page(parts: Mapping[str, tuple[Weights, list[str]]]) -> None:
    """docs/classical-method.md, from the weights and the measured tables."""
    lines = [_INTRODUCTION]
    for track, (weights, rows) in parts.items():
        facts = weights.provenance
        lines += [
            f"## Track `{track}`\n",
            f"Method: {CHOSEN[track]}; {weights.parameters} stored values. {PAIRS} training pixels "
            f"at exposures {EXPOSURES[0]:g} to {EXPOSURES[1]:g} (1: a perfect white reaches full "
            f"scale), half of them mixtures of two reflectances, seed {SEED}.\n",
            "| fitted on | spectra | licence |",
            "|---|---|---|",
            *(
                f"| {fact['title']} | {fact['count']} | {fact['licence']} |"
                for fact in (*facts["reflectances"], *facts["illuminants"])
            ),
            "",
            f"Scenes that decided between candidates: {', '.join(CHOICE)}. Scores on scenes that "
            "had no part in fitting or choosing:\n",
            f"| scene | MRAE (floor {FLOOR:g}) | RMSE |",
            "|---|---|---|",
            *(
                f"| {name} | {value['mrae']:.3f} | {value['rmse']:.4f} |"
                for name, value in facts["scores"].items()
            ),
            "",
            "All classical methods, fitted on the same pixels, mean over the same scenes:\n",
            *rows,
            "",
        ]
    lines.append(_NOTE)
    PAGE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")


_INTRODUCTION = f"""# The classical method

`respectra.load("default-classical")` uses weights that are part of the package.
`scripts/fit_classical.py` makes them, bit for bit, from spectra that anybody can install; no image
was used to fit them.
With `RESPECTRA_DATA` naming a folder of measured scenes it also measures the scores below and
writes this page.

The method is A+ (Aeschbacher et al. 2017): one small linear map for each of a few hundred
directions of colour. k times the light gives exactly k times the spectrum, so a picture's exposure
does not matter. Estimates below 0 are set to 0, which the weights' contract states. It sees one
pixel at a time: trained networks use the surroundings as well and are more accurate on pictures
like those that they were trained on.

MRAE is the mean of |estimate − truth| / max(truth, {FLOOR:g}), where full scale is 1: without the
floor, the darkest bands of these scenes, 8-bit zeros among them, would decide alone. The scores of
the challenge's teams were measured on other data and do not compare with these.
"""

_NOTE = """The training pixels of the clean track are free of noise. High orders of roots then
amplify the rounding of dark 8-bit codes, which is what their scores show.

The camera of the challenge's real-world track is secret: this one is the example that its
organisers published, and so are its noise and its compression.
"""


def main() -> None:
    """Fit, or choose."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--choose", action="store_true", help="compare the candidates")
    parser.add_argument("--track", choices=("clean", "real-world"), help="this track alone")
    arguments = parser.parse_args()
    data = os.environ.get("RESPECTRA_DATA")
    folder = Path(data) if data else None
    tracks = [arguments.track] if arguments.track else list(CHOSEN)
    parts: dict[str, tuple[Weights, list[str]]] = {}
    with threadpool_limits(1):  # sums in one order, whatever the machine
        for track in tracks:
            if arguments.choose:
                if folder is None:
                    sys.exit("set RESPECTRA_DATA to the folder of measured scenes")
                choose(track, folder)
                continue
            weights, pairs = build(track, folder)
            path = SHIPPED / f"classical-{track}.safetensors"
            save_weights(weights, path, overwrite=True)
            print(f"{path.relative_to(ROOT)}: {path.stat().st_size / 1000:.0f} kB")
            if folder is not None:
                parts[track] = weights, table(track, pairs, folder)
    if list(parts) == list(CHOSEN):
        write_page(parts)


if __name__ == "__main__":
    main()
