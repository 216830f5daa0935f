"""What the tasks of a lazy cube do on workers: spectra of a block, and parts of what all decide."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from respectra.cubes import make_cube
from respectra.inference.backends.base import Means, Sums, bits_of, means_of
from respectra.inference.colours import ColourCounts, layout_of_colours, weighted_rows
from respectra.inference.pieces import SeenPicture, keeps_on_device, kept_pieces
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.tiling import Layout, Tile, gathered
from respectra.methods import Tiling
from respectra.typing import Float32Array


def _picture(block: Float32Array, method: Reconstructor, attrs: dict[str, Any]) -> xr.DataArray:
    image = xr.DataArray(
        np.ascontiguousarray(block, np.float32),
        dims=("y", "x", "channel"),
        coords={"channel": ["R", "G", "B"]},
        attrs=attrs,
    )
    return method.values_of(image)


def _scaled(
    block: Float32Array, method: Reconstructor, attrs: dict[str, Any], top: float
) -> tuple[Float32Array, int]:
    """The values of a block that the method sees, and of how many bits they are."""
    scaled, _ = method.guarantees.scale(_picture(block, method, attrs), top)
    return np.asarray(scaled.values, np.float32), bits_of(scaled)


def recover(
    block: Float32Array,
    *,
    method: Reconstructor,
    attrs: dict[str, Any],
    reach: int,
    counts: tuple[int, ...],
    means: Any,
    top: float,
    bounds: tuple[float, float],
    block_id: tuple[int, ...] = (0, 0, 0),
) -> Float32Array:
    """Spectra of a block, from it and what lies around it."""
    with method.tiled.exclusive:
        picture = _picture(block, method, attrs)
        scaled, factor = method.guarantees.scale(picture, top)
        rgb = np.asarray(scaled.values, np.float32)
        rows, columns = rgb.shape[:2]
        layout = Layout(rows, columns, method.card.tiling, (rows, columns))
        if method.card.tiling is Tiling.NATIVE and method.card.native_tile is not None:
            layout = Layout(rows, columns, Tiling.NATIVE, (method.card.native_tile,) * 2)
        kept = method.backend.kept_guarantees(bits_of(picture))
        there = keeps_on_device(method, layout)
        seen = SeenPicture(
            rows,
            columns,
            lambda y, x: rgb[y, x],
            picture.__getitem__,
            bits_of(scaled),
            factor,
            bounds,
        )
        if there:
            pieces = kept_pieces(method, seen, layout, kept=kept, means=means)
        else:
            pieces = method.pieces(seen.read, layout, bounds=bounds, bits=seen.bits, means=means)
        spectra = gathered(pieces, layout)
        inner = tuple(
            slice(
                reach if block_id[axis] > 0 else 0,
                length - (reach if block_id[axis] < counts[axis] - 1 else 0),
            )
            for axis, length in enumerate((rows, columns))
        )
        spectra = spectra[inner]
        if there or method.guarantees.kept_by(kept):
            return np.ascontiguousarray(spectra)
        quantity = method.contract.quantity
        cube = make_cube(spectra, method.contract.wavelengths_nm, quantity=quantity)
        values: Float32Array = method.guarantees.enforce(cube, picture[inner], factor)[0].values
        return values


def extremes(
    block: Float32Array, method: Reconstructor, attrs: dict[str, Any]
) -> tuple[float, float, float]:
    """The largest value of a block; the smallest and the largest of the method's own camera's."""
    values = np.asarray(_picture(block, method, attrs).values, np.float32)
    own = method.contract.own_values(values)
    return float(values.max()), float(own.min()), float(own.max())


def join_extremes(parts: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Those of several blocks."""
    tops, lows, highs = zip(*parts, strict=True)
    return max(tops), min(lows), max(highs)


def top_value(found: tuple[float, float, float], method: Reconstructor) -> float:
    """The largest value of the picture, where it decides on the scale."""
    return found[0] if method.guarantees.scales else 1.0


def own_bounds(found: tuple[float, float, float], method: Reconstructor) -> tuple[float, float]:
    """Between which the values of the method's own camera lie, scaled."""
    if method.contract.keeps_exposure:
        return 0.0, 1.0
    factor = found[0] if method.guarantees.scales and found[0] > 0 else 1.0
    return found[1] / factor, found[2] / factor


def means_of_colours(
    counts: ColourCounts,
    method: Reconstructor,
    attrs: dict[str, Any],
    top: float,
    bounds: tuple[float, float],
) -> list[Any]:
    """Means over the whole picture, from its colours and how often each comes."""
    colours, weight = weighted_rows(*counts)
    with method.tiled.exclusive:
        rgb, bits = _scaled(colours, method, attrs, top)
        return method.compute_global_means(
            lambda y, x: rgb[y, x],
            layout_of_colours(*rgb.shape[:2]),
            bounds=bounds,
            bits=bits,
            weigh=lambda y, x: weight[y, x],
        )


def sums(
    block: Float32Array,
    method: Reconstructor,
    attrs: dict[str, Any],
    top: float,
    bounds: tuple[float, float],
    tile: Tile,
    layout: Layout,
    wanted: frozenset[int],
    known: dict[int, Any],
) -> Any:
    """Sums of the means that are wanted, and their counts, of what a block keeps."""
    with method.tiled.exclusive:
        rgb, bits = _scaled(block, method, attrs, top)
        return method.tiled.sums_of_tile(
            rgb, tile, layout, wanted=wanted, known=known, bounds=bounds, bits=bits
        )


def with_means(sums: Sums, known: Means) -> dict[int, Float32Array]:
    """The means that are known, and those of these sums."""
    return {**known, **means_of(sums)}


def in_order(known: dict[int, Any]) -> list[Any]:
    """Means in the order in which the network asks for them."""
    return [known[number] for number in sorted(known)]
