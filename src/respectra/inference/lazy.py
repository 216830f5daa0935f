"""Pictures on dask's chunks: cubes of the same answer, computed where and when they are asked for.

The picture's chunks become the cube's. What a method sees around a chunk comes from its neighbours;
means over the whole picture are a reduction within the graph. Nothing here schedules: dask does.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from respectra.errors import ConfigError, DataError, MissingExtraError
from respectra.inference import lazy_tasks as tasks
from respectra.inference.backends.base import join_sums
from respectra.inference.binding import agreeing
from respectra.inference.colours import count_colours, join_counts
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.tiling import Layout, Tile, round_up
from respectra.methods import Tiling

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
        tasks.recover,
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
    facts |= method.guarantees.facts()
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
    from respectra.cameras import described_capture

    photograph = image.attrs.get("encoding") == "srgb"
    if capture is None and "capture" in image.attrs and reconstructor.capture is None:
        capture = described_capture(image.attrs)
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
    parts = _of_each(tasks.extremes, again.chunks("extremes"), method=shipped, attrs=attrs)
    found = _merged(parts, tasks.join_extremes)
    return dask.delayed(tasks.top_value)(found, shipped), dask.delayed(tasks.own_bounds)(
        found, shipped
    )


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
        return dask.delayed(tasks.means_of_colours)(
            _merged(counts, join_counts), shipped, attrs, top, bounds
        )
    known: Any = {}
    tiles = _tiles(data.chunks, reach)
    height, width = map(int, data.shape[:2])
    layout = Layout(height, width, Tiling.STATISTICS, (data.chunks[0][0], data.chunks[1][0]))
    for number, wanted in enumerate(method.backend.mean_passes()):
        blocks = again.surrounded(f"pass {number}").to_delayed().ravel()
        parts = [
            dask.delayed(tasks.sums)(
                block, shipped, attrs, top, bounds, tile, layout, wanted, known
            )
            for block, tile in zip(blocks, tiles, strict=True)
        ]
        known = dask.delayed(tasks.with_means)(_merged(parts, join_sums), known)
    return dask.delayed(tasks.in_order)(known)


class _Again:
    """The picture read once more for what depends on all of it, so that no chunk has to wait in
    memory until that is known; where it is more than read, once for everything.

    The data are the source in the chunks that the method takes, which sees ``reach`` rows around.
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
