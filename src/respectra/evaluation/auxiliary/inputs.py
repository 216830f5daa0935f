"""Tests that change the picture: its order, its light, its noise and its compression."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

from respectra.cameras import Track, codec, sensor
from respectra.errors import DataError
from respectra.evaluation.auxiliary.base import Case, Challenge, InputTest

Order = npt.NDArray[np.int64]


class SpatialShuffle(InputTest):
    """Every block of the image is moved to a random place.

    Blocks are cut from the top left; rows and columns that fill no whole block are left out, so
    that 482 rows count as 480 with blocks of 4. The answer is put back in place before it is
    scored: the mean over pixels is the same, and a method that looks at one pixel at a time gets
    exactly its plain score. The official test has blocks of 4 × 4 and no stated rule or seed.
    """

    source = "NTIRE 2020 report, section 3.2"
    name_form = "shuffle-{block}"
    title_form = "Spatial {block} px"
    block: int = Field(default=4, ge=1)
    """Side of a block in pixels."""

    def missing(self, case: Case) -> str:
        """A scene with fewer than two blocks cannot be shuffled."""
        lacks = super().missing(case)
        if not lacks and _count(case.image, self.block) < 2:
            return f"smaller than two blocks of {self.block} pixels"
        return lacks

    def challenge(self, case: Case) -> Challenge:
        """The shuffled image, and the truth cropped to whole blocks."""
        truth = case.need_truth()
        rows, columns = (case.image.sizes[d] // self.block * self.block for d in ("y", "x"))
        image = case.image.isel(y=slice(rows), x=slice(columns))
        order = case.random(self.name).permutation(_count(image, self.block))
        return Challenge(
            image=shuffle(image, self.block, order),
            truth=truth.isel(y=slice(rows), x=slice(columns)),
            restore=functools.partial(unshuffle, block=self.block, order=order),
            valid=None if case.valid is None else case.valid[:rows, :columns],
        )


def shuffle(picture: xr.DataArray, block: int, order: Order) -> xr.DataArray:
    """Move block ``order[i]`` to place ``i``, row by row from the top left.

    Args:
        picture: dims (y, x, ...), both divisible by ``block``.
        block: side of a block in pixels.
        order: a permutation of the blocks.

    Raises:
        DataError: the picture does not divide into as many blocks.
    """
    rows, columns = picture.shape[0] // block, picture.shape[1] // block
    if picture.shape[:2] != (rows * block, columns * block) or order.size != rows * columns:
        raise DataError(
            f"a picture of {picture.shape[0]} x {picture.shape[1]} pixels does not divide into "
            f"{order.size} blocks of {block} x {block}; crop it first"
        )
    depth = picture.shape[2]
    blocks = picture.values.reshape(rows, block, columns, block, depth).swapaxes(1, 2)
    moved = blocks.reshape(-1, block, block, depth)[order]
    values = moved.reshape(rows, columns, block, block, depth).swapaxes(1, 2)
    return picture.copy(data=values.reshape(picture.shape))


def unshuffle(picture: xr.DataArray, block: int, order: Order) -> xr.DataArray:
    """Undo :func:`shuffle`."""
    return shuffle(picture, block, np.argsort(order))


def _count(picture: xr.DataArray, block: int) -> int:
    return (picture.sizes["y"] // block) * (picture.sizes["x"] // block)


class Brightness(InputTest):
    """The truth is scaled and its image made anew through the track.

    What the camera clips is lost, as it was in the challenge. A floor of relative errors is scaled
    as well, so that a method whose answer grows as the light does scores as it did before.
    """

    source = "NTIRE 2020 report, section 3.3"
    name_form = "brightness-{factor:g}"
    title_form = "Brightness ×{factor:g}"
    factor: float = Field(default=2.0, gt=0)
    """Factor on the light."""

    def challenge(self, case: Case) -> Challenge:
        """The scaled truth and its image."""
        truth = case.need_truth()
        scaled = truth.copy(data=truth.values * np.float32(self.factor))
        return Challenge(
            image=case.render(scaled), truth=scaled, floor_factor=self.factor, valid=case.valid
        )


class AddedNoise(InputTest):
    """Shot noise at a given number of photo-electrons.

    The mean of the green pixels, as the real-world track counts. That track keeps its other
    properties; the clean one gets shot noise and nothing else; the exposed one as many electrons
    a unit of signal as lead to the same mean.
    """

    source = "the real-world track's sensor"
    name_form = "noise-{electrons:g}"
    title_form = "Noise {electrons:g} e⁻"
    electrons: float = Field(default=5000.0, gt=0)
    """Mean photo-electrons of the green pixels."""

    def repeats(self, track: Track) -> bool:
        """Where it is the real-world track's own level of light."""
        return getattr(track.options, "target_electrons", None) == self.electrons

    def challenge(self, case: Case) -> Challenge:
        """The noisy image of the same truth."""
        truth = case.need_truth()
        return Challenge(image=self._image(truth, case), truth=truth, valid=case.valid)

    def _image(self, truth: xr.DataArray, case: Case) -> xr.DataArray:
        track = case.track
        linear = np.maximum(track.project(truth).values, 0.0)
        per_unit = self.electrons / float(linear[..., 1].mean())
        noisy = track.with_electrons(self.electrons, per_unit)
        if noisy is not None:
            return noisy.render(truth, seed=case.seed, key=case.scene)
        codes = np.empty(linear.shape, np.uint8)
        sensor.expose(
            linear,
            per_unit,
            lambda electrons: codec.quantise(electrons * (255.0 / per_unit), track.rounding),
            out=codes,
            seed=case.seed,
            key=case.scene,
        )
        return track.label(codes, seed=case.seed, key=case.scene)


class Compression(InputTest):
    """JPEG of a given quality instead of the track's own file."""

    source = "the real-world track's codec"
    name_form = "jpeg-{quality}"
    title_form = "JPEG {quality}"
    quality: int = Field(default=80, ge=1, le=100)
    """OpenCV's quality, 1 to 100; the challenge's is 80."""

    def repeats(self, track: Track) -> bool:
        """Where it is the track's own quality."""
        return getattr(track.options, "jpeg_quality", None) == self.quality

    def challenge(self, case: Case) -> Challenge:
        """The compressed image of the same truth."""
        truth = case.need_truth()
        codes = case.track.render_codes(truth, seed=case.seed, key=case.scene)
        read = codec.decode(codec.encode_jpeg(codes, self.quality))
        image = case.track.label(read, seed=case.seed, key=case.scene)
        return Challenge(image=image, truth=truth, valid=case.valid)
