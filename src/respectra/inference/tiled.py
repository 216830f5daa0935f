"""A backend over a picture: cut into tiles within a memory limit, with means over the whole of it.

Pictures are linear values in the units of the track or capture. What comes out is finished by the
contract: clipped, and in the scale of the cube.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np

from respectra.allocator import trim_malloc
from respectra.devices import free_device_bytes
from respectra.errors import ConfigError, DataError
from respectra.guards.limits import free_memory
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
from respectra.inference.colours import (
    LEAST_PIXELS,
    TOGETHER,
    ByColour,
    ColourFinder,
    ReadOnce,
    layout_of_colours,
    weighted_picture,
)
from respectra.inference.memory import (
    AUTO_SHARE,
    Budget,
    MemoryUse,
    parse_memory,
    resident_bytes,
)
from respectra.inference.tiling import (
    LARGEST_SIDE,
    ROUND_SIDE,
    Layout,
    Pieces,
    Predictor,
    Reader,
    Region,
    Tile,
    checked,
    gathered,
    plan,
    run,
)
from respectra.methods import Tiling
from respectra.typing import Float32Array

if TYPE_CHECKING:
    from torch import Tensor


#: Pixels of the frame that a card's memory is claimed for.
FRAME_PIXELS = 482 * 512
#: Pictures up to this many pixels are not cut when memory is left to us and plenty is free.
SMALL_IMAGE = 1024 * 1024
#: Of a pixel of a picture whose colours are looked for: its values twice, its colour's number, and
#: the spectra of as many colours as are worth it.
_COLOUR_BYTES = 2 * 12 + 4 + 100
#: Tiles are measured for rather than made smaller than this.
_LEAST_UNMEASURED = 256

TileSide = int | Literal["auto"] | None
#: Makes of the finished spectra of a region, on the device, what is copied here.
Keep = Callable[[Region, "Tensor"], "Tensor"]


class TiledInference:
    """A backend with the size of its tiles; see :class:`Reconstructor` for that and the memory.

    ``rounded`` says whether codes of the pictures are the nearest to their values.

    Raises:
        ConfigError: no such tile or size of memory.
    """

    def __init__(
        self, backend: Backend, *, tile: TileSide, max_memory: str | int, rounded: bool
    ) -> None:
        if isinstance(tile, int) and tile < 1:
            raise ConfigError(f"a tile is at least 1 pixel wide; got {tile}")
        parse_memory(max_memory)
        self.backend, self.tile, self.max_memory = backend, tile, max_memory
        self.contract = backend.contract
        self._rounded = rounded
        self._given: Sequence[Float32Array] | None = None
        #: Of the thread that works with the method: networks are told of pictures by what is set
        #: on them.
        self.exclusive = threading.RLock()

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
        """Spectra (y, x, band) of a picture (y, x, 3) in memory, and how it was cut.

        The layout is as memory allows by default; the rest is as for :meth:`pieces`.
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
            find = ColourFinder()
            prepared = ReadOnce(prepared, layout) if layout.whole else prepared
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

        The arguments are its; ``weigh`` says how often each pixel counts, (rows, columns).
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

    # --- how a picture is cut --------------------------------------------------------------------

    def layout(
        self, height: int, width: int, *, held: float = 0.0, per_pixel: float = 0.0
    ) -> Layout:
        """How a picture of this size is cut up.

        ``held`` are bytes that the caller will hold besides, such as the cube itself, ``per_pixel``
        those that it takes for every pixel of a piece.

        Raises:
            DataError: the picture is smaller than the method accepts.
            ConfigError: the memory limit is too small for the least tile.
        """
        card = self.backend.card
        smallest = card.size_minimum
        if min(height, width) < smallest:
            raise DataError(
                f"{self.backend.weights.method} needs images of at least {smallest} x {smallest} "
                f"pixels; got {height} x {width}"
            )
        if self.tile is None and card.tiling is not Tiling.NATIVE:
            return Layout(height, width, card.tiling, (height, width))
        side = self.tile if isinstance(self.tile, int) else None
        free = self._free_pixels(held, per_pixel)
        if side is None and free is not None and self._by_colour(height * width):
            # Such methods may be cut anywhere at no cost: what their card claims will do.
            largest = int(free**0.5) // ROUND_SIDE * ROUND_SIDE
            if largest >= _LEAST_UNMEASURED:
                whole = height * width <= free and max(height, width) <= LARGEST_SIDE
                sides = (height, width) if whole else (min(largest, LARGEST_SIDE),) * 2
                return Layout(height, width, card.tiling, sides)
        budget = self._budget(height * width, held, per_pixel)
        return plan(height, width, card, halo=self.backend.halo, side=side, budget=budget)

    def layout_in_memory(self, height: int, width: int, *, cubes: int = 1) -> Layout:
        """How a picture is cut up whose cube is in memory, as several of its size may be."""
        card = self.backend.card
        if self.backend.is_light and self.tile == "auto":
            whole = Layout(height, width, card.tiling, (height, width))
            return checked(whole, card, self._budget(height * width, 0.0, 0.0))
        pixels = height * width
        if self.tile == "auto" and self.max_memory == "auto" and self._by_colour(pixels):
            # What is computed are colours, some at a time; held are the cubes and what pixels say.
            held = pixels * (4 * cubes * self.contract.bands + _COLOUR_BYTES)
            if held <= AUTO_SHARE * free_memory():
                return Layout(height, width, card.tiling, (height, width))
        return self.layout(height, width, held=cubes * 4 * height * width * self.contract.bands)

    def _by_colour(self, pixels: int) -> bool:
        """Whether each colour of a picture is computed once: where nothing but a pixel's own
        values, and means over all pixels, decides on its spectrum."""
        return self.backend.runs_by_colour and pixels >= LEAST_PIXELS

    def _budget(self, pixels: int, held: float, per_pixel: float) -> Budget | None:
        """What a piece may take; None where the question does not arise."""
        if self.backend.device != "cpu":
            # What the card claims was measured on a processor; kernels of a GPU take workspace.
            each = 2e9 * (self.backend.card.memory_gb or 0.5) / FRAME_PIXELS
            most = int(AUTO_SHARE * free_device_bytes(self.backend.device))
            # Here lie its values and its answer, in pinned memory and as it is used further.
            here = per_pixel + 4.0 * (2 * self.contract.bands + 3)
            room = parse_memory(self.max_memory) - resident_bytes() - held
            return Budget(min(most, max(0, int(each * room / here))), 0, MemoryUse(0, each))
        free = self._free_pixels(held, per_pixel)
        if free is not None and (isinstance(self.tile, int) or pixels <= min(SMALL_IMAGE, free)):
            return None
        use = self.backend.memory()  # measured first: it loads libraries, which then are held
        if self._by_colour(pixels):
            each = _COLOUR_BYTES + 4 * self.contract.bands
            use = MemoryUse(use.of(TOGETHER), min(each, use.per_pixel))
        use = dataclasses.replace(use, per_pixel=use.per_pixel + per_pixel)
        return Budget(parse_memory(self.max_memory), resident_bytes() + held, use)

    def _free_pixels(self, held: float, per_pixel: float) -> float | None:
        """Pixels that a piece may have by what the card claims; None where memory is limited."""
        if self.max_memory != "auto":
            return None
        each = (self.backend.card.memory_gb or 0.5) * 1e9 / FRAME_PIXELS + per_pixel
        return max(0.0, (AUTO_SHARE * free_memory() - held) / each)


def _same(spectra: Float32Array) -> Float32Array:
    return spectra


def _reader_of(array: Float32Array) -> Reader:
    return lambda rows, columns: array[rows, columns]
