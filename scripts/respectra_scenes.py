"""Endless scenes of measured spectra, from which Respectra's own network learns.

Reflectances and lights that anybody can install, as pixels without any order in space or as patches
of pictures; seen by a spectral camera with its stray light, and by the colour camera of a track.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from fit_classical import FLOOR
from torch import Tensor

from respectra.cameras import get_track
from respectra.config import Config
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.datasets.lighting import light_maps
from respectra.datasets.spectra import illuminants, reflectances
from respectra.datasets.textures import dead_leaves, power_law_fields
from respectra.methods import configure

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
#: Patches a step and rows of each, where pictures are rendered with noise.
PATCHES, SIDE = 12, 32


@dataclass(frozen=True)
class Recipe:
    """How the network is trained."""

    preset: str = "published"
    options: dict[str, Any] = field(default_factory=dict)
    track: str = "clean"
    lights: str = "mostly-white"
    steps: int = 4000
    scenes: int = 32
    """Scenes a step."""
    pixels: int = 96
    """Pixels a scene."""
    rate: float = 3e-3
    seed: int = 2020
    rolloff: float = 0.25
    """Share of scenes whose camera loses light below about 430 nm, as glass and sensors do."""
    stray: float = 0.6
    """Share of scenes with stray light and dark level as spectral cameras have them: even at the
    sensor, so that after division by its sensitivity they are highest at both ends of the range."""
    vary: float = 0.5
    """Strength of the variation of reflectances: mixtures, pigment strength, shifts, bends."""
    forget: float = 0.25
    """Share of steps in which every pixel is a scene of its own."""
    floor: float = FLOOR
    """Denominators of the relative error do not fall below this."""
    exact: float = 0.2
    """Share of steps in which values are exact instead of 8-bit codes; only where a pixel's code
    is all that the camera adds."""
    shuffle: float = 0.15
    """Share of steps in which patches lose their order."""
    noise: float = 0.0
    """Width of the range in which the noise of a camera's values lies. Above 0, scenes are patches
    of pictures, rendered by the track with all its noise."""

    @property
    def config(self) -> Config:
        """Of the network."""
        return configure("respectra", preset=self.preset, noise=self.noise, **self.options)


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


@dataclass(frozen=True)
class Batch:
    """Values (n, 3, y, x), spectra (n, band, y, x), and how exactly the values are known."""

    x: Tensor
    truth: Tensor
    step: float

    def alone(self) -> Batch:
        """Every pixel a picture of its own."""
        x, truth = (
            t.permute(0, 2, 3, 1).reshape(-1, t.shape[1], 1, 1) for t in (self.x, self.truth)
        )
        return Batch(x, truth, self.step)

    def shuffled(self, generator: torch.Generator) -> Batch:
        """Pixels in another order."""
        order = torch.randperm(self.x[0, 0].numel(), generator=generator)
        x, truth = (t.flatten(2)[:, :, order].view(t.shape) for t in (self.x, self.truth))
        return Batch(x, truth, self.step)


class Layouts:
    """A store of pictures without colour: which thing a pixel shows, mixture, shade, gloss."""

    def __init__(self, count: int, seed: int, side: int = 128) -> None:
        rng = np.random.default_rng(seed)
        rows, columns = np.arange(side)[:, None], np.arange(side)
        every = []
        for _ in range(count):
            layout = dead_leaves(
                side, side, round(np.exp(rng.uniform(np.log(15), np.log(400)))), rng
            )
            fields = power_law_fields(6, side, side, rng, (0.9, 1.6))
            diffuse, mirrored = (m.sum(axis=-1) for m in light_maps(layout, fields, 3, rng))
            field_of = rng.integers(len(fields), size=layout.count)[layout.thing]
            contrast = np.exp(rng.uniform(np.log(0.3), np.log(4), layout.count))[layout.thing]
            bias = rng.normal(1.0, 1.2, layout.count)[layout.thing]
            share = 1 / (
                1 + np.exp(np.clip(contrast * (fields[field_of, rows, columns] - bias), -30, 30))
            )
            level = diffuse.mean()
            every.append((layout.thing, share, np.maximum(diffuse / level, 1e-3), mirrored / level))
        self.things = torch.tensor(np.stack([layers[0] for layers in every]), dtype=torch.long)
        self.maps = torch.tensor(np.stack([layers[1:] for layers in every]), dtype=torch.float32)

    def patches(self, n: int, sampler: Sampler) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Thing (n, pixel), and share, shade and gloss, (n, pixel, 1) each, of random patches."""
        which = torch.randint(len(self.things), (n,), generator=sampler.g).view(n, 1, 1)
        last = self.things.shape[1] - SIDE + 1
        y, x = torch.randint(last, (2, n, 1), generator=sampler.g) + torch.arange(SIDE)
        things = self.things[which, y[:, :, None], x[:, None, :]]
        maps = self.maps[
            which[..., None], torch.arange(3), y[:, :, None, None], x[:, None, :, None]
        ]
        share, shade, gloss = maps.reshape(n, -1, 3, 1).unbind(dim=2)
        return things.reshape(n, -1), share, shade, gloss


class Sampler:
    """Draws scenes: pixels that share a light, materials and an exposure."""

    def __init__(self, recipe: Recipe, generator: torch.Generator) -> None:
        self.recipe, self.g = recipe, generator
        self.spectra = Spectra(recipe.lights)
        self.track, self.rendered = get_track(recipe.track, seed=recipe.seed), 0
        self.camera = torch.tensor(
            self.track.response_matrix(CHALLENGE_WAVELENGTHS_NM), dtype=torch.float32
        )
        if recipe.noise:
            self.layouts = Layouts(160, recipe.seed)
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

    def lights(self, n: int) -> Tensor:
        """(n, band): a light for each scene, as far as the optics let it through."""
        s = self.spectra
        light = s.lights[torch.multinomial(s.light_weights, n, True, generator=self.g)]
        edge = self.uniform(n, 1, low=385.0, high=430.0)
        fall = torch.sigmoid((GRID - edge) / self.uniform(n, 1, low=4.0, high=14.0))
        return torch.where(self.uniform(n, 1) < self.recipe.rolloff, light * fall, light)

    def stray(self, spectra: Tensor) -> Tensor:
        """(n, 1, band): what a spectral camera adds to the spectra (n, pixel, band) of a scene."""
        n = len(spectra)
        centre, width = self.uniform(n, 1, low=540, high=600), self.uniform(n, 1, low=90, high=170)
        sensitivity = torch.exp(-(((GRID - centre) / width) ** 2))
        shape = 1 / (sensitivity + self.uniform(n, 1, low=0.01, high=0.15))
        shape = shape / shape.mean(dim=1, keepdim=True)
        level = torch.exp(self.uniform(n, 1, low=float(np.log(0.01)), high=float(np.log(0.3))))
        level = torch.where(self.uniform(n, 1) < self.recipe.stray, level, 0.0)
        return (level * shape)[:, None] * spectra.mean(dim=(1, 2), keepdim=True)

    def pixels(self) -> Tensor:
        """Spectra (n, pixel, band) of scenes without any order in space."""
        n, p, k = self.recipe.scenes, self.recipe.pixels, 12
        palette, light = self.materials(n, k), self.lights(n)
        # A material's share of the scene is uneven.
        liking = torch.rand(n, k, generator=self.g) ** 2 + 0.02
        first = torch.multinomial(liking, p, True, generator=self.g)
        second = torch.multinomial(liking, p, True, generator=self.g)
        row = torch.arange(n)[:, None]
        share = torch.where(self.uniform(n, p) < 0.35, self.uniform(n, p), 1.0)[..., None]
        r = share * palette[row, first] + (1 - share) * palette[row, second]
        gloss = torch.where(self.uniform(n, p, 1) < 0.15, 0.3 * self.uniform(n, p, 1) ** 2, 0.0)
        shade = torch.exp(self.uniform(n, p, 1, low=-1.0) * self.uniform(n, 1, 1, high=3.5))
        return self.seen((r * shade + gloss) * light[:, None])

    def patches(self) -> Tensor:
        """Spectra (n, pixel, band) of square patches of things that hide one another."""
        n, k, things = PATCHES, 12, 512
        palette, light = self.materials(n, k), self.lights(n)
        thing, share, shade, gloss = self.layouts.patches(n, self)
        liking = torch.rand(n, k, generator=self.g) ** 2 + 0.02
        first = torch.multinomial(liking, things, True, generator=self.g).gather(1, thing)
        second = torch.multinomial(liking, things, True, generator=self.g).gather(1, thing)
        row = torch.arange(n)[:, None]
        r = share * palette[row, first] + (1 - share) * palette[row, second]
        contrast = self.uniform(n, 1, 1, low=0.5, high=1.5)
        gloss = gloss * (self.uniform(n, 1, 1) < 0.5)
        return self.seen((r * shade**contrast + gloss) * light[:, None])

    def seen(self, spectra: Tensor) -> Tensor:
        """As a spectral camera gives them, at the exposure of the colour camera's picture."""
        n = len(spectra)
        spectra = spectra + 0.01 * self.uniform(n, 1, 1) * spectra.mean(dim=1, keepdim=True)
        spectra = spectra + self.stray(spectra)
        # The brightest of the scene's pixels reach a tenth of full scale up to all of it.
        top = (spectra @ self.camera).amax(dim=2).quantile(0.98, dim=1)
        exposure = torch.exp(self.uniform(n, low=float(np.log(0.1)), high=0.1)) / top
        spectra = spectra * exposure[:, None, None]
        return spectra / (spectra @ self.camera).amax(dim=2, keepdim=True).clamp_min(1.0)

    def spectra_of_scenes(self) -> Tensor:
        """(n, pixel, band)."""
        return self.patches() if self.recipe.noise else self.pixels()

    def scenes(self) -> Batch:
        """Pictures as a file gives them, and their spectra."""
        spectra = self.spectra_of_scenes()
        if self.recipe.noise:
            cubes = spectra.view(PATCHES, SIDE, SIDE, BANDS)
            self.rendered += 1
            pictures = [
                self.track.render(make_cube(cube.numpy(), GRID.numpy()), key=f"{self.rendered}-{i}")
                for i, cube in enumerate(cubes)
            ]
            x = torch.from_numpy(np.stack([picture.values for picture in pictures]))
            return Batch(x.permute(0, 3, 1, 2), cubes.permute(0, 3, 1, 2), self.recipe.noise)
        values = spectra @ self.camera
        step = 0.0
        if float(self.uniform(1)) >= self.recipe.exact:
            step = 1 / 255
            values = (values * 255).floor() / 255
        return Batch(values.transpose(1, 2)[:, :, None], spectra.transpose(1, 2)[:, :, None], step)
