"""A backend over a picture: cut into tiles within a memory limit, with means over the whole of it.

Pictures are linear values in the units of the track or capture. What comes out is finished by the
contract: clipped, and in the scale of the cube.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from respectra.allocator import trim_malloc
from respectra.inference.backends.base import (
    CODE_BITS,
    EXACT_BITS,
    Backend,
    Means,
    Output,
    Sums,
    join_sums,
    means_of,
)
from respectra.inference.cutting import Cutter, TileSide
from respectra.inference.tiling import (
    Layout,
    Pieces,
    Predictor,
    Reader,
    Region,
    Tile,
    gathered,
    run,
)
from respectra.methods import Tiling
from respectra.typing import Float32Array

if TYPE_CHECKING:
    from torch import Tensor

    from respectra.inference.colours import ColourFinder

#: Makes of the finished spectra of a region, on the device, what is copied here.
Keep = Callable[[Region, "Tensor"], "Tensor"]


class TiledInference(Cutter):
    """A backend with the size of its tiles.

    Args:
        backend: what runs a tile.
        tile: ``auto``, a side in pixels, or None for the whole picture at once.
        max_memory: what this process may hold at its peak; see :func:`parse_memory`.
        rounded: whether codes of the pictures are the nearest to their values.

    Raises:
        ConfigError: no such tile or size of memory.
    """

    def __init__(
        self, backend: Backend, *, tile: TileSide, max_memory: str | int, rounded: bool
    ) -> None:
        super().__init__(backend, tile=tile, max_memory=max_memory)
        self._rounded = rounded
        self._given: Sequence[Float32Array] | None = None
        self._lock = threading.RLock()

    #: Memory for each pixel of a piece besides what the backend itself takes, bytes.
    answer_bytes = 0

    def whole_image_reason(self, height: int, width: int) -> str | None:
        """Why a picture of this size has to be in memory as a whole; None where it need not."""
        return None

    def assemble(
        self,
        rgb: Float32Array,
        bits: int,
        *,
        layout: Layout | None = None,
        output: Output | Predictor | None = None,
    ) -> tuple[Float32Array, Layout]:
        """Spectra of a picture in memory, (y, x, band), and how it was cut.

        Args:
            rgb: shape (y, x, 3).
            bits: as for :meth:`pieces`.
            layout: as for :meth:`pieces`; as memory allows by default.
            output: as for :meth:`pieces`.
        """
        layout = layout or self.layout_in_memory(*rgb.shape[:2])
        pieces = self.pieces(
            lambda rows, columns: rgb[rows, columns],
            layout,
            bounds=self.bounds_of(rgb),
            bits=bits,
            output=output,
        )
        return gathered(pieces, layout), layout

    def bounds_of(self, rgb: Float32Array) -> tuple[float, float]:
        """Smallest and largest value of a whole picture, where the contract asks for them."""
        if self.contract.keeps_exposure:
            return 0.0, 1.0
        own = self.contract.own_values(rgb)
        return float(own.min()), float(own.max())

    def pieces(
        self,
        read: Reader,
        layout: Layout,
        *,
        bounds: tuple[float, float],
        bits: int = EXACT_BITS,
        means: Sequence[Float32Array] | None = None,
        done: frozenset[tuple[int, int]] = frozenset(),
        output: Output | Predictor | None = None,
        keep: Keep | None = None,
    ) -> Pieces:
        """Finished spectra of a picture, piece by piece; together they cover it once.

        Args:
            read: gives the values of rows and columns, (rows, columns, 3).
            layout: how the picture is cut.
            bounds: smallest and largest value of the whole picture.
            bits: depth of the codes that the values came from; more than 16: they are exact.
            means: what :meth:`compute_global_means` gave for the picture, of which this may be a
                part; computed first where they are needed and not given.
            done: first row and column of pieces that are not wanted again.
            output: what answers instead, and is not clipped: another method of the network, or a
                function of the pixels as the contract prepares them.
            keep: of a method whose answers lie on a device: what is made of each finished piece
                there, before it is copied here.

        Yields:
            The rows and columns of a piece, and its spectra (y, x, band), float32.
        """
        backend = self.backend
        prepared = self._prepared(read, bounds, bits)
        by_colour = self._by_colour(layout.height * layout.width)
        find: ColourFinder | None = None
        if by_colour:
            from respectra.inference.colours import ColourFinder

            find = ColourFinder()
            prepared = _ReadOnce(prepared, layout) if layout.whole else prepared
        with contextlib.ExitStack() as stack:
            stack.enter_context(backend.conditioned(bits))
            needs = self.needs_means(layout)
            wanted = needs or (by_colour and layout.policy is Tiling.STATISTICS)
            if backend.takes_means and (wanted or means is not None):
                means = means or self._given
                if means is None:
                    means = self._global_means(prepared, layout, bits, find=find)
                stack.enter_context(self.given(means))
            predict: Predictor = backend
            if isinstance(output, str):
                stack.enter_context(backend.giving(output))
            elif output is not None:
                predict = output
            elif not by_colour:
                predict = backend.for_tiles(layout, bits, means=needs)
            if find is not None:
                from respectra.inference.colours import ByColour

                predict = ByColour(predict, find, self.contract.finish if output is None else _same)
            if keep is not None:
                yield from self._kept_there(keep, prepared, layout, done)
                return
            unfinished = output is None and find is None
            for region, spectra in run(predict, prepared, layout, done=done):
                yield region, self.contract.finish(spectra) if unfinished else spectra
                del spectra
                if not layout.whole:
                    trim_malloc()

    def _kept_there(
        self, keep: Keep, prepared: Reader, layout: Layout, done: frozenset[tuple[int, int]]
    ) -> Pieces:
        """Pieces that are finished and kept on the device."""
        from respectra.inference.on_device.guarantees import finish

        there = cast("Callable[[Float32Array], Any]", self.backend.there)
        for region, spectra in run(there, prepared, layout, done=done):
            kept = keep(region, finish(self.contract, cast("Tensor", spectra)))
            yield region, self.backend.fetch(kept)
            del spectra, kept
            if not layout.whole:
                trim_malloc()

    def needs_means(self, layout: Layout) -> bool:
        """Whether tiles of this layout need means over the whole picture first."""
        by_means = layout.policy is Tiling.STATISTICS and self.backend.takes_means
        return by_means and not layout.whole

    def compute_global_means(
        self,
        read: Reader,
        layout: Layout,
        *,
        bounds: tuple[float, float],
        bits: int = EXACT_BITS,
        weigh: Reader | None = None,
    ) -> list[Float32Array]:
        """Means over the whole picture that the network uses, for :meth:`pieces`.

        Args:
            read: as for :meth:`pieces`.
            layout: as for :meth:`pieces`.
            bounds: as for :meth:`pieces`.
            bits: as for :meth:`pieces`.
            weigh: how often each pixel counts, (rows, columns); once by default.
        """
        return self._global_means(self._prepared(read, bounds, bits), layout, bits, weigh=weigh)

    def _global_means(
        self,
        prepared: Reader,
        layout: Layout,
        bits: int,
        *,
        weigh: Reader | None = None,
        find: ColourFinder | None = None,
    ) -> list[Float32Array]:
        if weigh is None and self._by_colour(layout.height * layout.width):
            from respectra.inference.colours import (
                ColourFinder,
                layout_of_colours,
                weighted_picture,
            )

            found = weighted_picture(prepared, layout, find or ColourFinder())
            if found is not None:
                colours, weight, layout = found
                prepared, weigh = _reader_of(colours), _reader_of(weight)
            elif layout.whole:
                layout = layout_of_colours(layout.height, layout.width)
        means: dict[int, Float32Array] = {}
        with self.backend.conditioned(bits):
            for wanted in self.backend.mean_passes():
                parts = [
                    self.backend.sums(
                        prepared(*tile.read),
                        tile,
                        layout,
                        wanted=wanted,
                        known=means,
                        weight=None if weigh is None else weigh(*tile.keep),
                    )
                    for tile in layout.tiles()
                ]
                means |= means_of(join_sums(parts))
        return [means[number] for number in sorted(means)]

    @contextlib.contextmanager
    def given(self, means: Sequence[Float32Array]) -> Iterator[None]:
        """Within this block these means stand for those of the pictures that it is asked about.

        They are what :meth:`compute_global_means` gave for the whole, of which the pictures are
        parts, each small enough not to be cut.
        """
        before, self._given = self._given, means
        try:
            with self.backend.given(means):
                yield
        finally:
            self._given = before

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Within this block no other thread works with the method: networks are told of pictures
        by what is set on them."""
        with self._lock:
            yield

    def sums_of_tile(
        self,
        rgb: Float32Array,
        tile: Tile,
        layout: Layout,
        *,
        wanted: frozenset[int],
        known: Means,
        bounds: tuple[float, float],
        bits: int,
    ) -> Sums:
        """What a tile adds to the means of one pass; see :meth:`Backend.sums`."""
        pixels = self.contract.prepare(rgb - self._code_shift(bits), bounds=bounds)
        with self.backend.conditioned(bits):
            return self.backend.sums(pixels, tile, layout, wanted=wanted, known=known)

    def _prepared(self, read: Reader, bounds: tuple[float, float], bits: int) -> Reader:
        """Gives pixels as the backend takes them."""
        shift = self._code_shift(bits)
        return lambda rows, columns: self.contract.prepare(
            read(rows, columns) - shift, bounds=bounds
        )

    def _code_shift(self, bits: int) -> np.float32:
        """From the values of codes to the lower bounds of their cells, which networks expect."""
        if not self._rounded or not self.backend.knows_codes or bits > CODE_BITS:
            return np.float32(0.0)
        return np.float32(0.5 / (2**bits - 1))


def _same(spectra: Float32Array) -> Float32Array:
    return spectra


class _ReadOnce:
    """A reader of a picture that is one piece; whatever is asked of it, the piece is read once."""

    def __init__(self, read: Reader, layout: Layout) -> None:
        self._read, self._all = read, (slice(0, layout.height), slice(0, layout.width))
        self._whole: Float32Array | None = None

    def __call__(self, rows: slice, columns: slice) -> Float32Array:
        if self._whole is None:
            self._whole = self._read(*self._all)
        return self._whole if (rows, columns) == self._all else self._whole[rows, columns]


def _reader_of(array: Float32Array) -> Reader:
    return lambda rows, columns: array[rows, columns]
