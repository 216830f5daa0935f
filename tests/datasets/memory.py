"""Scenes in memory as a source of patches."""

import numpy as np

from respectra.cubes import wavelengths_of
from respectra.datasets import valid_pixels
from respectra.datasets.store import SceneArrays


class MemoryScenes(list):
    """Cubes by name and their images, as the split of a store gives them."""

    def __init__(self, cubes, tracks):
        for name, cube in cubes.items():
            self.wavelengths_nm = wavelengths_of(cube)
            valid = valid_pixels(cube)
            images = {
                t.name: (np.rint(t.render(cube, key=name).values * 255), 255.0) for t in tracks
            }
            self.append(SceneArrays(name, name, cube.values, images, valid, bool(valid.all())))
