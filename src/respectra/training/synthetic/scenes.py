"""Endless scenes of measured spectra, from which Respectra's own network learns.

Reflectances and lights that anybody can install, as pixels without any order in space or as patches
of pictures; seen by a spectral camera with its stray light, and by the colour camera of a track.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.white_light import light_of_white
from respectra.training.recipe_parts import Kind, SyntheticRecipe
from respectra.training.synthetic.captures import Cameras, Lamps, Sensor, effective
from respectra.training.synthetic.materials import (
    BANDS,
    GRID,
    PATCH_SIDE,
    Layouts,
    Randomness,
    Spectra,
    smooth_factor,
)

#: Patches a batch, where pictures are rendered with noise.
PATCHES = 4
#: Materials of a scene.
PALETTE = 12


class Scenes(NamedTuple):
    """Values (n, 3, y, x), spectra (n, band, y, x), and what is told of them."""

    x: Tensor
    truth: Tensor
    told: dict[str, Any]
    """As ``set_capture`` of the network takes it."""

    def alone(self) -> Scenes:
        """Every pixel a picture of its own."""
        x, truth = (
            t.permute(0, 2, 3, 1).reshape(-1, t.shape[1], 1, 1) for t in (self.x, self.truth)
        )
        return Scenes(x, truth, self.told)


class Sampler(Randomness):
    """Draws scenes: pixels that share a light, materials and an exposure; and captures of them."""

    def __init__(self, recipe: SyntheticRecipe, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        super().__init__(generator)
        self.recipe, self.seed, self.grainy = recipe, seed, recipe.grain
        self.spectra = Spectra(recipe.lights)
        self.clean, self.real = (
            torch.tensor(
                get_track(track).response_matrix(CHALLENGE_WAVELENGTHS_NM), dtype=torch.float32
            )
            for track in ("clean", "real-world")
        )
        self.cameras, self.lamps = Cameras(generator), Lamps(generator)
        self.layouts = Layouts(recipe.layouts, seed) if recipe.noisy else None
        self.rng = np.random.default_rng(seed)
        self.bend = smooth_factor(60.0)

    def batches(self, step: int) -> list[Scenes]:
        """What one step learns from: the same whenever it is asked for.

        Every so many steps, as the recipe says, they are to teach the uncertainty.
        """
        words = np.random.SeedSequence((self.seed, step)).generate_state(3)
        self.g.manual_seed((int(words[0]) << 20) ^ int(words[1]))
        self.rng = np.random.default_rng(int(words[2]))
        recipe = self.recipe
        self.grainy = recipe.uncertainty.grain if recipe.uncertainty.at(step) else recipe.grain
        kinds = recipe.kinds[step % len(recipe.kinds)]
        alone = self.chance(recipe.forget)
        made = [self.scenes(kind) for kind in kinds]
        if alone:
            made = [scenes.alone() for scenes in made]
        if self.chance(recipe.noisy):
            made.append(self.noisy())
        return made

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

    def lights(self, n: int, *, white: bool) -> Tensor:
        """(n, band): a light for each scene, as far as the optics let it through."""
        s = self.spectra
        light = torch.ones(n, BANDS)
        if not white:
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

    def pixels(self, *, white: bool) -> Tensor:
        """Spectra (n, pixel, band) of scenes without any order in space.

        Args:
            white: they are reflectances; otherwise radiances.
        """
        n, p, k = self.recipe.scenes, self.recipe.pixels, PALETTE
        palette, light = self.materials(n, k), self.lights(n, white=white)
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

    def patches(self, *, white: bool) -> Tensor:
        """Spectra (n, pixel, band) of square patches of things that hide one another."""
        n, k, things = PATCHES, PALETTE, 512
        palette, light = self.materials(n, k), self.lights(n, white=white)
        assert self.layouts is not None
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
        """As a spectral camera gives them."""
        n = len(spectra)
        spectra = spectra + 0.01 * self.uniform(n, 1, 1) * spectra.mean(dim=1, keepdim=True)
        return spectra + self.stray(spectra)

    def exposed(self, spectra: Tensor, response: Tensor) -> Tensor:
        """At an exposure: the brightest pixels reach a tenth of full scale up to all of it."""
        n = len(spectra)
        top = (spectra @ response).amax(dim=2).quantile(0.98, dim=1)
        exposure = torch.exp(self.uniform(n, low=float(np.log(0.1)), high=0.1)) / top
        spectra = spectra * exposure[:, None, None]
        if self.grainy:
            spectra = self.grain(spectra)
        return spectra / (spectra @ response).amax(dim=2, keepdim=True).clamp_min(1.0)

    def grain(self, spectra: Tensor) -> Tensor:
        """Noise and codes of the spectral camera, in some of the scenes (n, pixel, band)."""
        n = len(spectra)
        level = spectra.amax(dim=(1, 2), keepdim=True)
        size = torch.exp(self.uniform(n, 1, 1, low=float(np.log(3e-4)), high=float(np.log(0.01))))
        centre = self.uniform(n, 1, 1, low=540, high=600)
        width = self.uniform(n, 1, 1, low=90, high=170)
        sensitivity = torch.exp(-(((GRID - centre) / width) ** 2)) + 0.1
        strength = size * level * (0.3 + (spectra / level).clamp_min(0.0).sqrt()) / sensitivity
        noisy = spectra + strength * torch.randn(spectra.shape, generator=self.g)
        cell = level / 255
        coded = torch.where(self.uniform(n, 1, 1) < 0.5, (noisy / cell).round() * cell, noisy)
        return torch.where(self.uniform(n, 1, 1) < self.grainy, coded.clamp_min(0.0), spectra)

    def step(self) -> float:
        """Width of a code: of 8 bits, of more, or none."""
        if self.chance(self.recipe.exact):
            return 0.0
        return 1 / 255 if self.chance(0.7) else 1 / (2 ** (9 + self.pick(6)) - 1)

    def capture(self, kind: Kind) -> tuple[Tensor, dict[str, Any]]:
        """The true response, and what is told."""
        if kind == "clean":
            return self.clean, {"camera": self.clean, "light": "unknown"}
        white = self.white()
        if kind == "camera":  # and a scene's light of which nothing is known
            response = effective(self.cameras.draw(), torch.ones(BANDS), white)
            return response, {"camera": response, "light": "unknown"}
        observer = kind == "observer" or self.chance(0.15)
        camera = self.clean / self.clean.sum(dim=0) if observer else self.cameras.draw()
        light = torch.ones(BANDS) if kind == "observer" else self.lamps.draw()
        response = effective(camera, light, white)
        if kind in ("told", "observer"):
            return response, {"camera": response, "light": "told"}
        if kind == "white":
            guess = torch.ones(BANDS)
            if self.chance(
                0.6
            ):  # the balance is the sensor's own, so that white tells of the light
                found = light_of_white(camera.numpy(), (light @ camera).numpy())
                guess = torch.tensor(found, dtype=torch.float32)
            return response, {"camera": effective(camera, guess, white), "light": "white"}
        # A camera of which nothing is known but white; the observer stands for it, to whose
        # colours a matrix has brought the picture, more or less.
        near = torch.linalg.lstsq(response, self.clean).solution
        share = self.number()
        response = response @ (share * near + (1 - share) * torch.diag(near.sum(dim=0)))
        stand_in = self.clean / self.clean.sum(dim=0)
        response = response / response.sum(dim=0) * white
        return response, {"camera": stand_in * white, "light": "white", "camera_known": False}

    def white(self) -> Tensor:
        """What a perfect white gives in each channel: even, or as a sensor has it."""
        if self.chance(0.5):
            return torch.ones(3)
        white = self.uniform(3, low=0.3, high=1.0)
        return white / white.max()

    def scenes(self, kind: Kind) -> Scenes:
        """Pictures as a file gives them, and their spectra.

        Args:
            kind: ``clean``, the clean track with nothing said; ``camera``, any other in its place;
                ``told``, any camera with a light that is told; ``observer``, the clean track's
                under equal energy that is told; ``white``, a light of which white alone is
                known; ``stranger``, a camera of which nothing is.
        """
        response, told = self.capture(kind)
        spectra = self.exposed(self.pixels(white=kind not in ("clean", "camera")), response)
        step = self.step()
        values = (spectra @ response).clamp_min(0.0)
        if step:
            values = (values / step).floor() * step
        x, truth = values.transpose(1, 2)[:, :, None], spectra.transpose(1, 2)[:, :, None]
        return Scenes(x, truth, {**told, "step": step})

    def noisy(self) -> Scenes:
        """Patches of pictures with noise; half of them as the real-world track has it."""
        track = self.chance(0.5)
        others: tuple[Kind, ...] = ("told", "white", "camera")
        kind = "camera" if track else others[self.pick(3)]
        response, told = self.capture(kind)
        if track:
            response, told = self.real, {"camera": self.real, "light": "unknown"}
        spectra = self.exposed(self.patches(white=kind != "camera"), response)
        signal = (spectra @ response).view(PATCHES, PATCH_SIDE, PATCH_SIDE, 3).clamp_min(0.0)
        mean = float(signal[..., 1].mean() * torch.exp(0.6 * torch.randn(1, generator=self.g)))
        mean = min(max(mean, 0.01), 0.6)
        sensor = Sensor(
            read=0.02 * mean if track else mean * 10 ** self.number(-3, -1.2),
            gain=mean / 5000 if track else mean * 10 ** self.number(-4.5, -2.5),
            mosaic=track or self.chance(0.4),
            quality=80 if track else 75 + self.pick(25) if self.chance(0.4) else None,
        )
        values = torch.from_numpy(np.stack([sensor(p, self.rng) for p in signal.numpy()]))
        truth = spectra.view(PATCHES, PATCH_SIDE, PATCH_SIDE, BANDS).permute(0, 3, 1, 2)
        levels = {"noise": (sensor.told_read, sensor.gain), "step": 1 / 255}
        return Scenes(values.permute(0, 3, 1, 2), truth, {**told, **levels})
