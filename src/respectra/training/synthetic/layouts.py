"""Pictures without colour, in which the things of synthetic scenes hide one another."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from respectra.datasets.lighting import light_maps
from respectra.datasets.textures import dead_leaves, power_law_fields
from respectra.training.synthetic.draws import Randomness

#: Rows and columns of the patches that are cut out.
PATCH_SIDE = 32


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

    def patches(self, n: int, draws: Randomness) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Thing (n, pixel), and share, shade and gloss, (n, pixel, 1) each, of random patches."""
        which = torch.randint(len(self.things), (n,), generator=draws.g).view(n, 1, 1)
        last = self.things.shape[1] - PATCH_SIDE + 1
        y, x = torch.randint(last, (2, n, 1), generator=draws.g) + torch.arange(PATCH_SIDE)
        things = self.things[which, y[:, :, None], x[:, None, :]]
        maps = self.maps[
            which[..., None], torch.arange(3), y[:, :, None, None], x[:, None, :, None]
        ]
        share, shade, gloss = maps.reshape(n, -1, 3, 1).unbind(dim=2)
        return things.reshape(n, -1), share, shade, gloss
