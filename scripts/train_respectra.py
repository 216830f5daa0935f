"""Train Respectra's own network, from spectra that anybody can install.

    python scripts/train_respectra.py OUT.safetensors                  # as shipped, a few minutes
    python scripts/train_respectra.py OUT.safetensors --lights equal   # one of the ablations

It needs ``pip install 'respectra[spectra]'``. With ``RESPECTRA_DATA`` naming the folder of measured
scenes, the result is scored on those that decide between designs, and with ``--report`` on the
others. No scene is used for training. The same seed gives the same weights on one machine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fit_default import CHOICE, FLOOR, REPORT, load_scenes
from torch import Tensor

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.spectra import illuminants, reflectances
from respectra.methods import Contract, ResponseRecord, Weights, configure, save_weights
from respectra.methods.registry import get_network

OBJECTS = (
    "colorchecker-babelcolor",
    "colorchecker-ohta",
    "colorchecker-iso17321",
    "pmc",
    "cqs",
    "cie-ces99",
    "rawtoaces",
)
#: Shares of the lights of scenes.
LIGHTS: dict[str, dict[str, float]] = {
    "equal": {"equal": 1.0},
    "mostly-white": {"equal": 0.7, "daylight": 0.2, "blackbody": 0.1},
    "daylight": {"daylight": 0.7, "equal": 0.3},
    "mixed": {"equal": 0.35, "daylight": 0.3, "blackbody": 0.2, "cie": 0.1, "lamps": 0.05},
}
GRID = torch.tensor(CHALLENGE_WAVELENGTHS_NM, dtype=torch.float32)
BANDS = len(GRID)


@dataclass(frozen=True)
class Recipe:
    """How the network is trained."""

    preset: str = "published"
    options: dict[str, Any] = field(default_factory=dict)
    track: str = "clean"
    lights: str = "mixed"
    steps: int = 4000
    scenes: int = 32
    """Scenes a step."""
    pixels: int = 96
    """Pixels a scene."""
    rate: float = 3e-3
    seed: int = 2020
    rolloff: float = 0.5
    """Share of scenes whose camera loses light below about 430 nm, as glass and sensors do."""
    vary: float = 1.0
    """Strength of the variation of reflectances: mixtures, pigment strength, shifts, bends."""
    forget: float = 0.25
    """Share of steps in which the scene's code is one of single pixels."""
    floor: float = FLOOR
    """Denominators of the relative error do not fall below this."""
    noise: float = 0.0
    """Noise of the values, as a share of the scene's mean; for cameras that have it."""


class Spectra:
    """Measured spectra on the challenge's bands, with frequencies."""

    def __init__(self, lights: str) -> None:
        self.objects = torch.tensor(
            np.vstack([_positive(reflectances(name).values) for name in OBJECTS]),
            dtype=torch.float32,
        )
        earth = reflectances("earthlib")
        keep = np.max(earth.values, axis=1) > 0
        labels = earth.coords["category"].values[keep]
        # The square root of a category's size is its weight: soils would drown everything.
        _, member, count = np.unique(labels, return_inverse=True, return_counts=True)
        self.earth = torch.tensor(_positive(earth.values), dtype=torch.float32)
        self.earth_weights = torch.tensor(count[member] ** -0.5, dtype=torch.float32)
        values, weights = [], []
        for name, share in LIGHTS[lights].items():
            e = np.ones((1, BANDS)) if name == "equal" else illuminants(name).values
            e = e[e.min(axis=1) >= 0]
            values.append(e / e.mean(axis=1, keepdims=True))
            weights.append(np.full(len(e), share / len(e)))
        self.lights = torch.tensor(np.vstack(values), dtype=torch.float32)
        self.light_weights = torch.tensor(np.concatenate(weights), dtype=torch.float32)


def _positive(values: Any) -> Any:
    values = np.asarray(values)
    return np.clip(values[values.max(axis=1) > 0], 1e-4, None)


class Sampler:
    """Draws scenes: pixels that share a light, materials and an exposure."""

    def __init__(self, recipe: Recipe, generator: torch.Generator) -> None:
        self.recipe, self.g = recipe, generator
        self.spectra = Spectra(recipe.lights)
        self.camera = torch.tensor(
            get_track(recipe.track).response_matrix(CHALLENGE_WAVELENGTHS_NM), dtype=torch.float32
        )
        distance = (GRID[:, None] - GRID) / 60.0
        covariance = torch.exp(-0.5 * distance**2).double() + 1e-6 * torch.eye(BANDS).double()
        self.bend = torch.linalg.cholesky(covariance).float()

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform random numbers."""
        return low + (high - low) * torch.rand(*shape, generator=self.g)

    def materials(self, n: int, k: int) -> Tensor:
        """(n, k, band): the palette of each scene, of objects, of the earth, or of both."""
        s, vary = self.spectra, self.recipe.vary

        def draw() -> Tensor:
            of_objects = self.uniform(n, 1, high=1.0)
            share = torch.where(of_objects < 0.6, 1.0, torch.where(of_objects < 0.8, 0.0, 0.5))
            objects = s.objects[torch.randint(len(s.objects), (n, k), generator=self.g)]
            picks = torch.multinomial(s.earth_weights, n * k, True, generator=self.g)
            earth = s.earth[picks.view(n, k)]
            return torch.where((self.uniform(n, k) < share)[..., None], objects, earth)

        r = draw()
        if vary == 0:
            return r
        mixed = self.uniform(n, k, 1) * (self.uniform(n, k, 1) < 0.5)
        r = (1 - mixed) * r + mixed * draw()
        # Pigment strength: the logarithm of a reflectance grows with the amount of pigment.
        r = r ** torch.exp(vary * 0.35 * torch.randn(n, k, 1, generator=self.g))
        # Positions of edges: shift by up to a band and a half.
        shift = vary * 1.5 * self.uniform(n, k, 1, low=-1.0)
        at = (torch.arange(BANDS) + shift).clamp(0, BANDS - 1.001)
        left = at.long()
        a, b = r.gather(2, left), r.gather(2, left + 1)
        r = a + (b - a) * (at - left)
        bend = torch.randn(n, k, BANDS, generator=self.g) @ self.bend.T
        return r * torch.exp(0.06 * vary * bend)

    def scenes(self) -> tuple[Tensor, Tensor]:
        """Values (n, 3, 1, pixel) as a file gives them, and spectra (n, band, 1, pixel)."""
        n, p, k = self.recipe.scenes, self.recipe.pixels, 12
        s = self.spectra
        light = s.lights[torch.multinomial(s.light_weights, n, True, generator=self.g)]
        edge = self.uniform(n, 1, low=385.0, high=430.0)
        fall = torch.sigmoid((GRID - edge) / self.uniform(n, 1, low=4.0, high=14.0))
        light = torch.where(self.uniform(n, 1) < self.recipe.rolloff, light * fall, light)
        palette = self.materials(n, k)
        # A material's share of the scene is uneven.
        liking = torch.rand(n, k, generator=self.g) ** 2 + 0.02
        first = torch.multinomial(liking, p, True, generator=self.g)
        second = torch.multinomial(liking, p, True, generator=self.g)
        row = torch.arange(n)[:, None]
        share = torch.where(self.uniform(n, p) < 0.35, self.uniform(n, p), 1.0)[..., None]
        r = share * palette[row, first] + (1 - share) * palette[row, second]
        gloss = torch.where(self.uniform(n, p, 1) < 0.15, 0.3 * self.uniform(n, p, 1) ** 2, 0.0)
        shade = torch.exp(self.uniform(n, p, 1, low=-1.0) * self.uniform(n, 1, 1, high=3.5))
        spectra = (r * shade + gloss) * light[:, None]
        glare = 0.01 * self.uniform(n, 1, 1) * spectra.mean(dim=1, keepdim=True)
        spectra = spectra + glare
        values = spectra @ self.camera
        # Exposure: the brightest of the scene's pixels reach a tenth of full scale up to all of it.
        top = values.amax(dim=2).quantile(0.98, dim=1)
        exposure = torch.exp(self.uniform(n, low=float(np.log(0.1)), high=0.1)) / top
        spectra = spectra * exposure[:, None, None]
        over = (spectra @ self.camera).amax(dim=2, keepdim=True).clamp_min(1.0)
        spectra = spectra / over
        values = spectra @ self.camera
        if self.recipe.noise:
            level = values.mean(dim=(1, 2), keepdim=True) * self.recipe.noise
            level = level * torch.exp(self.uniform(n, 1, 1, low=-3.0))
            noise = torch.randn(values.shape, generator=self.g)
            values = (values + level * noise).clamp(0.0, 1.0)
        codes = (values * 255).floor().clamp(0, 254)
        fine = self.uniform(n, 1, 1) < 0.1
        values = torch.where(fine, values, (codes + 0.5) / 255)
        return values.transpose(1, 2)[:, :, None], spectra.transpose(1, 2)[:, :, None]


def prepare(network: Any, sampler: Sampler) -> None:
    """Set the camera, the prior covariance and the first basis from drawn spectra."""
    with torch.no_grad():
        s = torch.cat([sampler.scenes()[1] for _ in range(40)]).squeeze(2).transpose(1, 2)
        s = s.reshape(-1, BANDS).double()
        s = s / (s @ sampler.camera.double()).sum(dim=1, keepdim=True).clamp_min(1e-3)
        covariance = s.T @ s / len(s)
        covariance += 1e-4 * covariance.diagonal().mean() * torch.eye(BANDS).double()
        network.covariance.copy_(covariance)
        standard = get_track("clean").response_matrix(CHALLENGE_WAVELENGTHS_NM)
        network.standard.copy_(torch.tensor(standard))
        network.set_camera(sampler.camera)
        hidden = s @ (network.free.double())
        _, size, basis = torch.linalg.svd(hidden[:8000], full_matrices=False)
        rank = len(network.basis_spectra)
        scale = size[:rank, None] / len(hidden[:8000]) ** 0.5
        network.basis_spectra.copy_(basis[:rank] * scale)


def relative_error(estimate: Tensor, truth: Tensor, floor: float) -> Tensor:
    """The challenge's error, with a floor in its denominator."""
    return ((estimate - truth).abs() / truth.clamp_min(floor)).mean()


def train(recipe: Recipe, *, quiet: bool = False) -> Any:
    """A trained network."""
    torch.manual_seed(recipe.seed)
    sampler = Sampler(recipe, torch.Generator().manual_seed(recipe.seed))
    config = configure("respectra", preset=recipe.preset, **recipe.options)
    network: Any = get_network("respectra").network(config)
    prepare(network, sampler)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.rate, total_steps=recipe.steps, pct_start=0.1
    )
    start, running = time.perf_counter(), 0.0
    for step in range(recipe.steps):
        x, truth = sampler.scenes()
        if float(sampler.uniform(1)) < recipe.forget:
            # Single pixels, each a scene of its own.
            x, truth = _alone(x), _alone(truth)
        estimate = network(x)
        loss = relative_error(estimate, truth, recipe.floor)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        running = 0.99 * running + 0.01 * loss.item() if step else loss.item()
        if not quiet and (step + 1) % 500 == 0:
            print(f"{step + 1:6d}  {running:.4f}  {time.perf_counter() - start:.0f} s", flush=True)
    learn_doubt(network, sampler)
    return network.eval()


def learn_doubt(network: Any, sampler: Sampler, steps: int = 300) -> None:
    """Fit the last layer of the uncertainty; what was learned before stays as it is.

    An error is taken as a draw from a Laplace distribution of that mean size. Afterwards each band
    is scaled so that the mean size is right on scenes that were not trained on.
    """
    parameters = list(network.doubt.parameters())
    optimiser = torch.optim.Adam(parameters, lr=3e-3)
    for _ in range(steps):
        x, truth = sampler.scenes()
        with torch.no_grad():
            error = (network(x) - truth).abs()
        expected = network.uncertainty(x) + 1e-4
        loss = (torch.log(expected) + error / expected).mean()
        grads = torch.autograd.grad(loss, parameters)
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad
        optimiser.step()
    with torch.no_grad():
        sums = torch.zeros(2, BANDS)
        for _ in range(30):
            x, truth = sampler.scenes()
            sums[0] += (network(x) - truth).abs().sum(dim=(0, 2, 3))
            sums[1] += network.uncertainty(x).sum(dim=(0, 2, 3))
        network.spread.mul_(sums[0] / sums[1])


def _alone(x: Tensor) -> Tensor:
    """(n, c, 1, p) -> (n p, c, 1, 1)."""
    return x.permute(0, 3, 1, 2).reshape(-1, x.shape[1], 1, 1)


def score(network: Any, track: str, names: tuple[str, ...], folder: Path) -> dict[str, float]:
    """MRAE with the floor of each scene, as docs/default-method.md measures it."""
    result = {}
    for scene in load_scenes(track, names, folder):
        rgb = torch.from_numpy(scene.rgb).permute(2, 0, 1)[None]
        with torch.inference_mode():
            estimate = network(rgb)[0].permute(1, 2, 0).clamp_min(0).numpy()[scene.valid]
        truth = scene.truth[scene.valid]
        result[scene.name] = float(np.mean(np.abs(estimate - truth) / np.maximum(truth, FLOOR)))
    return result


def to_weights(network: Any, recipe: Recipe, scores: dict[str, Any]) -> Weights:
    """The weights with everything that is known of them."""
    camera = get_track(recipe.track)
    contract = Contract(
        track=recipe.track,
        clip_low=0.0,
        response=ResponseRecord.of(camera.response),
    )
    provenance = {
        "made_by": "scripts/train_respectra.py",
        "recipe": asdict(recipe),
        "reflectances": [*OBJECTS, "earthlib"],
        "lights": LIGHTS[recipe.lights],
        "licence": "MIT; trained on spectra under BSD-3-Clause and MIT licences",
        "versions": {
            name: importlib.metadata.version(name)
            for name in ("numpy", "torch", "colour-science", "earthlib")
        },
        "scores": scores,
    }
    tensors = {name: t.detach().numpy() for name, t in network.state_dict().items()}
    config = configure("respectra", preset=recipe.preset, **recipe.options)
    return Weights("respectra", config, contract, tensors, provenance)


def main() -> None:
    """Train, score, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path)
    parser.add_argument("--preset", default="published")
    parser.add_argument("--option", action="append", default=[], help="NAME=VALUE of the network")
    parser.add_argument("--report", action="store_true", help="score the other scenes too")
    for name, kind in (
        ("track", str),
        ("lights", str),
        ("steps", int),
        ("seed", int),
        ("rate", float),
        ("rolloff", float),
        ("vary", float),
        ("forget", float),
        ("floor", float),
        ("noise", float),
    ):
        parser.add_argument(f"--{name}", type=kind, default=getattr(Recipe, name))
    given = vars(parser.parse_args())
    output, report = given.pop("output"), given.pop("report")
    options = dict(pair.split("=", 1) for pair in given.pop("option"))
    recipe = Recipe(options={name: json.loads(value) for name, value in options.items()}, **given)
    torch.set_num_threads(1)
    network = train(recipe)
    scores: dict[str, Any] = {}
    if folder := os.environ.get("RESPECTRA_DATA"):
        for names in (CHOICE, REPORT) if report else (CHOICE,):
            found = score(network, recipe.track, names, Path(folder))
            print({name: round(value, 4) for name, value in found.items()})
            print(f"mean {np.mean(list(found.values())):.4f}")
            scores |= found
    save_weights(to_weights(network, recipe, scores), output, overwrite=True)


if __name__ == "__main__":
    main()
