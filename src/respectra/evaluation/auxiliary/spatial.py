"""Spatial shuffle: how much does a method lean on what stands next to what?"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import xarray as xr
from pydantic import Field

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

    @property
    def official(self) -> bool:
        """Blocks of 4 × 4."""
        return self.block == 4

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
            restore=_restorer(self.block, order),
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


def _restorer(block: int, order: Order) -> Callable[[xr.DataArray], xr.DataArray]:
    return functools.partial(unshuffle, block=block, order=order)
