"""Patches for training: where patch i of epoch e lies is settled by seed, e and i alone.

So any number of workers or processes draws the same patches, and training that was stopped goes on
with those it had not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator

from respectra.cameras import Track, get_track, make_response
from respectra.config import Config
from respectra.cubes import make_cube, wavelengths_of
from respectra.datasets.store import SceneArrays, require_track
from respectra.errors import ConfigError, DataError
from respectra.typing import Float32Array, FloatArray

Symmetries = Literal["none", "horizontal", "vertical", "flips", "all"]

#: Which of the eight symmetries each choice draws from: 1 turns rows over, 2 columns, 4 transposes.
SYMMETRIES: Mapping[str, tuple[int, ...]] = {
    "none": (0,),
    "horizontal": (0, 2),
    "vertical": (0, 1),
    "flips": (0, 1, 2, 3),
    "all": tuple(range(8)),
}
_TRIES = 32
#: A re-rendered patch is cut from a larger part of the scene, so that demosaicing and JPEG see
#: its surroundings, beginning where a block of JPEG's chroma begins.
_RENDER_GRID, _RENDER_MARGIN = 16, 16


class RenderChoices(Config):
    """Render each patch anew instead of taking the image of its scene."""

    responses: tuple[str, ...] = ()
    """Cameras, one drawn for each patch; the track's own without it. Each channel is scaled to
    give an equal-energy white the value that the track's own camera gives it."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What else to change in the track."""
    fresh_noise: bool = True
    """Another noise for each patch of each epoch; otherwise the noise of seed 0."""


class RenderOptions(RenderChoices):
    """The same for images of a track."""

    track: str = "clean"


class PatchChoices(Config):
    """How patches are cut and varied, whatever their images are."""

    size: int = Field(default=64, ge=1)
    """Rows and columns in pixels."""
    sampling: Literal["random", "strided"] = "random"
    """``random``: anywhere, each scene equally often. ``strided``: on a grid, each patch once."""
    stride: int | None = Field(default=None, ge=1)
    """Of the grid in pixels; the size without it."""
    per_scene: int = Field(default=1, ge=1)
    """Random patches of each scene in an epoch."""
    symmetries: Symmetries = "none"
    """From which flips and turns one is drawn for each patch."""
    exposure: tuple[float, float] | None = None
    """Range of a factor on the cube and its image, drawn log-uniformly; what leaves the image's
    range is clipped, as in a camera."""
    least_valid: float = Field(default=0.0, ge=0, le=1)
    """Draw again while fewer of the pixels were measured; strided patches are left out."""

    @field_validator("exposure")
    @classmethod
    def _range(cls, limits: tuple[float, float] | None) -> tuple[float, float] | None:
        if limits is not None and not 0 < limits[0] <= limits[1]:
            raise ValueError("exposure is two positive factors, the lower one first")
        return limits


class PatchOptions(PatchChoices):
    """How patches are cut and varied. Nothing is varied unless it is asked for.

    Example:
        >>> import respectra as rs
        >>> rs.datasets.PatchOptions(size=32, symmetries="flips").sampling
        'random'
    """

    track: str = "clean"
    """Whose images go with the cubes."""
    shuffle: bool = True
    """Whether an epoch's order is random."""
    render: RenderOptions | None = None


class SceneSource(Protocol):
    """What patches are cut from, such as a split of a store."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> SceneArrays: ...

    @property
    def wavelengths_nm(self) -> FloatArray:
        """Shape (band,)."""
        ...


@dataclass(frozen=True)
class Window:
    """Where a patch is cut and how it is varied."""

    scene: int
    y: int
    x: int
    symmetry: int
    """Sum of 1 (rows turned over), 2 (columns turned over) and 4 (transposed, before both)."""
    exposure: float
    response: str | None
    noise_seed: int


@dataclass(frozen=True)
class Batch:
    """Patches one after another."""

    images: Float32Array
    """(n, y, x, 3), linear values in [0, 1]."""
    cubes: Float32Array
    """(n, y, x, band)."""
    valid: npt.NDArray[np.bool_]
    """(n, y, x): which pixels were measured."""
    scenes: tuple[str, ...]
    """Where each patch comes from."""


class Patches:
    """The patches of a source, epoch after epoch.

    Args:
        source: such as a split of a store: ``open_store(path)["train"]``.
        options: how they are cut and varied.
        seed: another seed, other patches.

    Raises:
        ConfigError: a negative seed, or an unknown track or response.
        DataError: no scene is as large as a patch, or one lacks the track's image.

    Example:
        >>> import respectra as rs
        >>> from respectra.datasets.still_life import still_life
        >>> rs.save_cube(still_life(64, 64), "cubes/a.npz")
        >>> plan = rs.datasets.plan_store({"train": rs.open_collection("cubes")})
        >>> rs.datasets.prepare_store(plan, "store")
        >>> scenes = rs.datasets.open_store("store")["train"]
        >>> Patches(scenes, PatchOptions(size=32), seed=1).batch(0, [0]).cubes.shape
        (1, 32, 32, 31)
    """

    def __init__(
        self, source: SceneSource, options: PatchOptions | None = None, *, seed: int = 0
    ) -> None:
        if seed < 0:
            raise ConfigError(f"a seed is not negative; got {seed}")
        self.source = source
        self.options = PatchOptions() if options is None else options
        self.seed = seed
        self.wavelengths_nm = np.asarray(source.wavelengths_nm, dtype=np.float64)
        self._places = self._find_places()
        self._order: tuple[int, npt.NDArray[np.int64]] | None = None
        self._tracks: dict[str | None, Track] = {}
        if self.options.render is not None:
            self._tracks = _tracks(self.options.render, self.wavelengths_nm)

    def __len__(self) -> int:
        """Patches in an epoch."""
        each = self.options.per_scene if self.options.sampling == "random" else 1
        return len(self._places) * each

    @property
    def unused(self) -> tuple[int, ...]:
        """Numbers of the scenes that no patch is cut from: they are smaller than one, or too little
        of them was measured."""
        used = {int(number) for number in self._places[:, 0]}
        return tuple(k for k in range(len(self.source)) if k not in used)

    def window(self, epoch: int, number: int) -> Window:
        """Where patch ``number`` of an epoch lies.

        Raises:
            ConfigError: there is no such patch.
        """
        if not 0 <= number < len(self) or epoch < 0:
            raise ConfigError(
                f"an epoch has patches 0 to {len(self) - 1}; got {number} of epoch {epoch}"
            )
        o = self.options
        rng = np.random.default_rng((self.seed, epoch, number))
        scene, y, x = self._places[int(self._permutation(epoch)[number]) % len(self._places)]
        if o.sampling == "random":
            y, x = self._random_place(int(scene), rng)
        choices = SYMMETRIES[o.symmetries]
        symmetry = choices[int(rng.integers(len(choices)))]
        exposure = 1.0
        if o.exposure is not None:
            exposure = float(np.exp(rng.uniform(*np.log(o.exposure))))
        response, noise_seed = None, 0
        if o.render is not None:
            if o.render.responses:
                response = o.render.responses[int(rng.integers(len(o.render.responses)))]
            noise_seed = int(rng.integers(2**31)) if o.render.fresh_noise else 0
        return Window(int(scene), int(y), int(x), symmetry, exposure, response, noise_seed)

    def batch(self, epoch: int, numbers: Sequence[int]) -> Batch:
        """Some patches of an epoch, in the order asked for."""
        n, size = len(numbers), self.options.size
        images = np.empty((n, size, size, 3), np.float32)
        cubes = np.empty((n, size, size, self.wavelengths_nm.size), np.float32)
        valid = np.ones((n, size, size), np.bool_)
        names = []
        for k, number in enumerate(numbers):
            window = self.window(epoch, number)
            scene = self.source[window.scene]
            names.append(scene.name)
            self._cut(window, scene, images[k], cubes[k], valid[k])
        return Batch(images, cubes, valid, tuple(names))

    def _cut(
        self,
        window: Window,
        scene: SceneArrays,
        image: Float32Array,
        cube: Float32Array,
        valid: npt.NDArray[np.bool_],
    ) -> None:
        """Write one patch into its place in a batch."""
        size = self.options.size
        area = (slice(window.y, window.y + size), slice(window.x, window.x + size))
        cube[:] = turn(scene.cube[area], window.symmetry)
        if window.exposure != 1.0:
            cube *= np.float32(window.exposure)
        if not scene.whole:
            valid[:] = turn(scene.valid[area], window.symmetry)
        if self.options.render is not None:
            image[:] = turn(self._render(window, scene), window.symmetry)
            return
        codes, full_scale = require_track(scene, self.options.track)
        np.multiply(
            turn(codes[area], window.symmetry),
            np.float32(window.exposure / full_scale),
            out=image,
            casting="unsafe",
        )
        if window.exposure > 1.0:
            np.minimum(image, np.float32(1.0), out=image)

    def _render(self, window: Window, scene: SceneArrays) -> Float32Array:
        """The image of a patch, cut from that of its surroundings, as yet unturned."""
        parts, inner = [], []
        for start, length in zip((window.y, window.x), scene.cube.shape[:2], strict=True):
            low = max(0, (start - _RENDER_MARGIN) // _RENDER_GRID * _RENDER_GRID)
            high = min(length, start + self.options.size + _RENDER_MARGIN)
            high -= (high - low) % 2 and high - 1 >= start + self.options.size
            parts.append(slice(low, high))
            inner.append(slice(start - low, start - low + self.options.size))
        values = scene.cube[tuple(parts)].astype(np.float32) * np.float32(window.exposure)
        cube = make_cube(values, self.wavelengths_nm)
        rendered = self._tracks[window.response].render(
            cube, seed=window.noise_seed, key=scene.name
        )
        return np.asarray(rendered.values[tuple(inner)], np.float32)

    def _random_place(self, scene: int, rng: np.random.Generator) -> tuple[int, int]:
        arrays, size = self.source[scene], self.options.size
        rows, columns = arrays.cube.shape[:2]
        y = x = 0
        for _ in range(_TRIES):
            y, x = int(rng.integers(rows - size + 1)), int(rng.integers(columns - size + 1))
            if arrays.whole or self.options.least_valid == 0:
                break
            if arrays.valid[y : y + size, x : x + size].mean() >= self.options.least_valid:
                break
        return y, x

    def _permutation(self, epoch: int) -> npt.NDArray[np.int64]:
        """The order of an epoch. Each epoch has one, and the last one is kept."""
        if not self.options.shuffle:
            return np.arange(len(self))
        if self._order is None or self._order[0] != epoch:
            rng = np.random.default_rng((self.seed, epoch))
            self._order = epoch, rng.permutation(len(self))
        return self._order[1]

    def _find_places(self) -> npt.NDArray[np.int64]:
        """Scene, y and x of the strided patches; of random ones only the scene counts."""
        o = self.options
        places: list[tuple[int, int, int]] = []
        for number in range(len(self.source)):
            scene = self.source[number]
            if o.render is None:
                require_track(scene, o.track)
            rows, columns = scene.cube.shape[:2]
            if min(rows, columns) < o.size:
                continue
            if o.sampling == "random":
                places.append((number, 0, 0))
                continue
            step = o.stride or o.size
            for y in range(0, rows - o.size + 1, step):
                for x in range(0, columns - o.size + 1, step):
                    part = scene.valid[y : y + o.size, x : x + o.size]
                    if scene.whole or o.least_valid == 0 or part.mean() >= o.least_valid:
                        places.append((number, y, x))
        if not places:
            raise DataError(
                f"no scene holds a patch of {o.size} x {o.size} pixels; choose a smaller size"
            )
        return np.array(places, dtype=np.int64)


def _tracks(render: RenderOptions, wavelengths_nm: FloatArray) -> dict[str | None, Track]:
    """The track with each response, brought to the scale of its own."""
    own = get_track(render.track, **render.options)
    white = own.signal_matrix(wavelengths_nm).sum(axis=0)
    tracks: dict[str | None, Track] = {} if render.responses else {None: own}
    for name in render.responses:
        raw = get_track(render.track, response=name, **render.options)
        gain = white / raw.signal_matrix(wavelengths_nm).sum(axis=0)
        table = raw.response
        scaled = make_response(
            table.values * gain,
            wavelengths_of(table),
            name=f"{name} balanced",
            source=str(table.attrs["source"]),
        )
        tracks[name] = get_track(render.track, response=scaled, **render.options)
    return tracks


def turn(patch: npt.NDArray[Any], symmetry: int) -> npt.NDArray[Any]:
    """One of the eight symmetries of a square, (y, x, ...), as a view. See :class:`Window`."""
    if symmetry & 4:
        patch = patch.swapaxes(0, 1)
    if symmetry & 1:
        patch = patch[::-1]
    if symmetry & 2:
        patch = patch[:, ::-1]
    return patch


def turn_back(patch: npt.NDArray[Any], symmetry: int) -> npt.NDArray[Any]:
    """Undo :func:`turn`."""
    patch = turn(patch, symmetry & 3)
    return patch.swapaxes(0, 1) if symmetry & 4 else patch
