"""Pictures on dask's chunks: cubes of the same answer, computed where and when they are asked for.

The picture's chunks become the cube's. What a method sees around a chunk comes from its neighbours;
means over the whole picture are a reduction within the graph. Nothing here schedules: dask does.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from respectra.cubes import make_cube
from respectra.errors import ConfigError, DataError, MissingExtraError
from respectra.inference.agreement import agreeing
from respectra.inference.bits import bits_of
from respectra.inference.colours import (
    ColourCounts,
    count_colours,
    join_counts,
    layout_of_colours,
    weighted_rows,
)
from respectra.inference.guaranteed_pieces import keeps_on_device, kept_pieces
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.tiling import Layout, Region, Tile, gathered, round_up
from respectra.methods import Tiling
from respectra.typing import Float32Array

if TYPE_CHECKING:
    from respectra.cameras import Capture
    from respectra.cubes import Quantity

#: Partial results that are put together at a time.
_FAN = 16
#: Codes of a colour are counted where a picture has at most this many bits.
_COUNTED_BITS = 8


def reconstruct_lazily(
    image: xr.DataArray,
    reconstructor: Reconstructor,
    *,
    capture: Capture | None = None,
    quantity: Quantity | None = None,
) -> xr.DataArray:
    """The cube behind a picture on dask chunks; nothing is computed until it is asked for.

    Args:
        image: dims (y, x, channel), linear or encoded for a display, on dask chunks: from
            ``xarray.open_zarr``, a TIFF through tifffile's Zarr view, or ``image.chunk(...)``.
        reconstructor: the method. One with references is corrected chunk by chunk: fit them on a
            picture in memory first, ``reconstructor.with_references(crop, references)``.
        capture: what is known of how it was taken; its white not as a place in the picture.
        quantity: see :meth:`Reconstructor.with_capture`.

    Returns:
        dims (y, x, wavelength), float32, on the picture's chunks; the bands are one chunk. It is
        what the method gives in memory, to rounding, where its card says that tiles are exact.

    Raises:
        ConfigError: a method or guarantee that needs the whole picture at once, which is cut.
        DataError: it is no image.
        MissingExtraError: the extra ``cluster`` is not installed.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> image = rs.make_image(np.full((8, 8, 3), 0.3)).chunk({"y": 4, "x": 4, "channel": 3})
        >>> cube = rs.reconstruct_lazily(image, rs.load("wiener"))
        >>> cube.shape, cube[2:4, 2:4].compute().shape
        ((8, 8, 31), (2, 2, 31))
    """
    try:
        import dask
        import dask.array as da
    except ImportError:
        raise MissingExtraError("dask", "cluster", "a lazy cube") from None
    _require_picture(image)
    method = _bound(image, reconstructor, capture, quantity)
    attrs = {key: value for key, value in image.attrs.items() if key in _TOLD}
    source = da.asarray(image.data)
    data, reach = _cut(method, source)
    key = method.signature() + str(sorted(method.guarantees.names))
    key += str(method.guarantees.correction_key)
    shipped = dask.delayed(method, name=f"reconstructor-{dask.base.tokenize(key)}", traverse=False)
    again = _Again(source, data, reach)
    top, bounds = _whole_picture(method, shipped, again, attrs)
    around = _with_surroundings(data, reach)
    known = None
    if method.card.tiling is Tiling.STATISTICS and method.backend.takes_means:
        known = _means(method, shipped, data, again, reach, attrs, top, bounds)
    bands = method.contract.bands
    spectra = da.map_blocks(
        _recover,
        around,
        dtype=np.float32,
        chunks=(data.chunks[0], data.chunks[1], (bands,)),
        meta=np.empty((0, 0, 0), np.float32),
        method=shipped,
        attrs=attrs,
        reach=reach,
        counts=data.numblocks,
        means=known,
        top=top,
        bounds=bounds,
    )
    height, width = map(int, data.shape[:2])
    layout = Layout(height, width, method.card.tiling, (height, width))
    facts: dict[str, Any] = {"units": "relative", **method.cube_facts(layout)}
    if method.guarantees.names:
        facts["guarantees"] = ", ".join(sorted(method.guarantees.names))
    return xr.DataArray(
        spectra,
        dims=("y", "x", "wavelength"),
        coords={"wavelength": np.asarray(method.contract.wavelengths_nm, np.float64)},
        attrs=facts,
        name="cube",
    )


#: Attributes of an image that decide on its values.
_TOLD = ("encoding", "bits", "track", "capture")


def _require_picture(image: xr.DataArray) -> None:
    if image.dims != ("y", "x", "channel") or image.sizes["channel"] != 3:
        raise DataError(
            f"an image has the dims (y, x, channel) with three channels; got {dict(image.sizes)}"
        )


def _bound(
    image: xr.DataArray,
    reconstructor: Reconstructor,
    capture: Capture | None,
    quantity: Quantity | None,
) -> Reconstructor:
    """The method for this picture; no pixel is looked at."""
    from respectra.cameras import Capture as Known

    photograph = image.attrs.get("encoding") == "srgb"
    if capture is None and quantity is not None:
        capture = reconstructor.capture or (Known.photograph() if photograph else Known())
    if capture is None:
        return (
            reconstructor.for_kind("srgb") if photograph else agreeing(reconstructor, image.attrs)
        )
    if capture.needs_picture:
        raise ConfigError(
            "the capture's white or references are places in a picture, which a lazy picture is "
            "not looked at for; give values: capture.resolve(picture) on a picture in memory"
        )
    if photograph and capture.camera is None:
        capture = Known.photograph(**capture.known())
    return reconstructor.with_capture(capture, quantity=quantity)


def _cut(method: Reconstructor, data: Any) -> tuple[Any, int]:
    """The picture in chunks that the method takes, and the rows around them that it sees."""
    card = method.card
    data = data.rechunk({2: -1})
    whole = data.numblocks[:2] == (1, 1)
    reason = method.whole_image_reason(*data.shape[:2])
    if card.tiling in (Tiling.WHOLE, Tiling.APPROXIMATE):
        reason = reason or f"{method.name} looks at the whole picture"
    if reason and not whole:
        raise ConfigError(
            f"{reason}, and this one is cut into {data.numblocks[0]} x {data.numblocks[1]} "
            "chunks; take a method whose tiles are exact, or one chunk: image.chunk(y=-1, x=-1)"
        )
    halo = method.backend.halo or 0
    align = math.lcm(card.size_multiple, 4) if halo or card.size_multiple > 1 else 1
    if card.tiling is Tiling.NATIVE and card.native_tile is not None:
        align = math.lcm(align, card.native_tile)
    reach = 0 if whole else round_up(halo, align)
    chunks = {
        axis: _aligned(data.chunks[axis], align, max(reach, card.size_minimum)) for axis in (0, 1)
    }
    return data.rechunk(chunks), reach


def _aligned(chunks: tuple[int, ...], align: int, least: int) -> tuple[int, ...]:
    """Chunks that begin at multiples and are not too small; as they are where they fit."""
    if all(c % align == 0 for c in chunks[:-1]) and min(chunks) >= min(least, sum(chunks)):
        return chunks
    side, total = round_up(max(chunks[0], least, 1), align), sum(chunks)
    count = max(1, total // side)
    starts = [k * side for k in range(count)]
    return tuple(stop - start for start, stop in zip(starts, [*starts[1:], total], strict=True))


def _whole_picture(
    method: Reconstructor, shipped: Any, again: _Again, attrs: dict[str, Any]
) -> tuple[Any, Any]:
    """The largest value of the picture, and the bounds of its own values, where they decide."""
    import dask

    if not method.guarantees.scales and method.contract.keeps_exposure:
        return 1.0, (0.0, 1.0)
    parts = _of_each(_extremes, again.chunks("extremes"), method=shipped, attrs=attrs)
    found = _merged(parts, _join_extremes)
    return dask.delayed(_top)(found, shipped), dask.delayed(_own_bounds)(found, shipped)


def _means(
    method: Reconstructor,
    shipped: Any,
    data: Any,
    again: _Again,
    reach: int,
    attrs: dict[str, Any],
    top: Any,
    bounds: Any,
) -> Any:
    """Means over the whole picture, as one delayed value."""
    import dask

    if not reach and not method.sees_neighbours and int(attrs.get("bits", 32)) <= _COUNTED_BITS:
        counts = _of_each(count_colours, again.chunks("colours"))
        return dask.delayed(_means_of_colours)(
            _merged(counts, join_counts), shipped, attrs, top, bounds
        )
    known: Any = {}
    tiles = _tiles(data.chunks, reach)
    height, width = map(int, data.shape[:2])
    layout = Layout(height, width, Tiling.STATISTICS, (data.chunks[0][0], data.chunks[1][0]))
    for number, wanted in enumerate(method.tiled.mean_passes()):
        blocks = again.surrounded(f"pass {number}").to_delayed().ravel()
        sums = [
            dask.delayed(_sums)(block, shipped, attrs, top, bounds, tile, layout, wanted, known)
            for block, tile in zip(blocks, tiles, strict=True)
        ]
        known = dask.delayed(_with_means)(_merged(sums, _join_sums), known)
    return dask.delayed(_in_order)(known)


class _Again:
    """The picture read once more for what depends on all of it, so that no chunk has to wait in
    memory until that is known; where it is more than read, once for everything.

    Args:
        source: the picture as it was given.
        data: the same in the chunks that the method takes.
        reach: rows around a chunk that the method sees.
    """

    def __init__(self, source: Any, data: Any, reach: int) -> None:
        self._source, self._data, self._reach = source, data, reach
        self._is_read = _is_read(source)

    def chunks(self, purpose: str) -> Any:
        """The chunks, read for this."""
        if not self._is_read:
            return self._data
        from dask.graph_manipulation import clone

        return clone(self._source, seed=purpose).rechunk(self._data.chunks)

    def surrounded(self, purpose: str) -> Any:
        """The same with what lies around them."""
        return _with_surroundings(self.chunks(purpose), self._reach)


def _is_read(data: Any) -> bool:
    """Whether chunks come from their places one by one, with no exchange between them."""
    from dask.blockwise import Blockwise
    from dask.highlevelgraph import HighLevelGraph

    graph = data.__dask_graph__()
    return isinstance(graph, HighLevelGraph) and all(
        isinstance(layer, Blockwise) or not graph.dependencies[name]
        for name, layer in graph.layers.items()
    )


def _with_surroundings(data: Any, reach: int) -> Any:
    import dask.array as da

    return da.overlap.overlap(data, {0: reach, 1: reach, 2: 0}, "none") if reach else data


def _of_each(function: Any, data: Any, **arguments: Any) -> list[Any]:
    """What a function makes of each chunk; as one task with reading it."""
    one = tuple((1,) * count for count in data.numblocks)
    empty = np.empty((0,) * data.ndim, object)
    found = data.map_blocks(function, dtype=object, chunks=one, meta=empty, **arguments)
    return list(found.to_delayed().ravel())


def _merged(parts: list[Any], join: Any) -> Any:
    """Partial results put together as a tree."""
    import dask

    while len(parts) > 1:
        parts = [
            dask.delayed(join)(parts[k : k + _FAN]) if len(parts[k : k + _FAN]) > 1 else parts[k]
            for k in range(0, len(parts), _FAN)
        ]
    return dask.delayed(join)(parts)


def _tiles(chunks: Any, reach: int) -> list[Tile]:
    """What each block reads and answers for, row by row."""
    spans = []
    for lengths in chunks[:2]:
        ends = np.cumsum(lengths)
        spans.append(
            [
                (slice(max(0, e - n - reach), min(int(ends[-1]), e + reach)), slice(e - n, e))
                for n, e in zip(lengths, map(int, ends), strict=True)
            ]
        )
    return [
        Tile(read=(rows, columns), keep=(keep_rows, keep_columns))
        for rows, keep_rows in spans[0]
        for columns, keep_columns in spans[1]
    ]


# What runs on workers.


def _picture(block: Float32Array, method: Reconstructor, attrs: dict[str, Any]) -> xr.DataArray:
    image = xr.DataArray(
        np.ascontiguousarray(block, np.float32),
        dims=("y", "x", "channel"),
        coords={"channel": ["R", "G", "B"]},
        attrs=attrs,
    )
    return method.picture_of(image)


def _recover(
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
    with method.tiled.exclusive():
        picture = _picture(block, method, attrs)
        scaled, factor = method.guarantees.scale(picture, top)
        rgb = np.asarray(scaled.values, np.float32)
        rows, columns = rgb.shape[:2]
        layout = Layout(rows, columns, method.card.tiling, (rows, columns))
        if method.card.tiling is Tiling.NATIVE and method.card.native_tile is not None:
            layout = Layout(rows, columns, Tiling.NATIVE, (method.card.native_tile,) * 2)
        kept = method.backend.kept_guarantees(bits_of(picture))
        there = keeps_on_device(method, layout)
        options: dict[str, Any] = {"bounds": bounds, "bits": bits_of(scaled), "means": means}
        read = functools.partial(_part, rgb)
        if there:
            seen = functools.partial(_seen, picture)
            pieces = kept_pieces(
                method, read, layout, seen=seen, factor=factor, kept=kept, **options
            )
        else:
            pieces = method.pieces(read, layout, **options)
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
        cube = make_cube(spectra, method.contract.wavelengths_nm, **_quantity(method))
        values: Float32Array = method.guarantees.enforce(cube, picture[inner], factor)[0].values
        return values


def _part(rgb: Float32Array, rows: slice, columns: slice) -> Float32Array:
    return rgb[rows, columns]


def _seen(picture: xr.DataArray, region: Region) -> xr.DataArray:
    return picture[region]


def _quantity(method: Reconstructor) -> dict[str, Any]:
    return {"quantity": method.contract.quantity}


def _extremes(
    block: Float32Array, method: Reconstructor, attrs: dict[str, Any]
) -> tuple[float, float, float]:
    """The largest value of a block; the smallest and the largest of the method's own camera's."""
    values = np.asarray(_picture(block, method, attrs).values, np.float32)
    own = method.contract.own_values(values)
    return float(values.max()), float(own.min()), float(own.max())


def _join_extremes(parts: list[tuple[float, float, float]]) -> tuple[float, float, float]:
    tops, lows, highs = zip(*parts, strict=True)
    return max(tops), min(lows), max(highs)


def _top(found: tuple[float, float, float], method: Reconstructor) -> float:
    return found[0] if method.guarantees.scales else 1.0


def _own_bounds(found: tuple[float, float, float], method: Reconstructor) -> tuple[float, float]:
    if method.contract.keeps_exposure:
        return 0.0, 1.0
    factor = found[0] if method.guarantees.scales and found[0] > 0 else 1.0
    return found[1] / factor, found[2] / factor


def _means_of_colours(
    counts: ColourCounts,
    method: Reconstructor,
    attrs: dict[str, Any],
    top: float,
    bounds: tuple[float, float],
) -> list[Any]:
    colours, weight = weighted_rows(*counts)
    with method.tiled.exclusive():
        picture = _picture(colours, method, attrs)
        scaled, _ = method.guarantees.scale(picture, top)
        rgb = np.asarray(scaled.values, np.float32)
        return method.compute_global_means(
            lambda y, x: rgb[y, x],
            layout_of_colours(*rgb.shape[:2]),
            bounds=bounds,
            bits=bits_of(scaled),
            weigh=lambda y, x: weight[y, x],
        )


def _sums(
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
    with method.tiled.exclusive():
        scaled, _ = method.guarantees.scale(_picture(block, method, attrs), top)
        rgb = np.asarray(scaled.values, np.float32)
        return method.tiled.sums_of_tile(
            rgb, tile, layout, wanted=wanted, known=known, bounds=bounds, bits=bits_of(scaled)
        )


def _join_sums(parts: list[Any]) -> Any:
    def join(one: Any, other: Any) -> Any:
        return {n: (one[n][0] + other[n][0], one[n][1] + other[n][1]) for n in one}

    return functools.reduce(join, parts)


def _with_means(sums: Any, known: dict[int, Any]) -> dict[int, Any]:
    return {**known, **{n: (total / count).float() for n, (total, count) in sums.items()}}


def _in_order(known: dict[int, Any]) -> list[Any]:
    return [known[number] for number in sorted(known)]
