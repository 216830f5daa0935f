"""How a picture is cut for a backend: into tiles that fit the memory, or not at all."""

from __future__ import annotations

import dataclasses
from typing import Literal

from respectra.devices import free_device_bytes
from respectra.errors import ConfigError, DataError
from respectra.guards.limits import free_memory
from respectra.inference.backends.base import Backend
from respectra.inference.colours import LEAST_PIXELS, TOGETHER
from respectra.inference.memory import (
    AUTO_SHARE,
    Budget,
    MemoryUse,
    parse_memory,
    resident_bytes,
)
from respectra.inference.tiling import LARGEST_SIDE, ROUND_SIDE, Layout, checked, plan
from respectra.methods import Tiling

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


class Cutter:
    """Cuts pictures for a backend; see :class:`Reconstructor` for tiles and memory.

    Raises:
        ConfigError: no such tile or size of memory.
    """

    def __init__(self, backend: Backend, *, tile: TileSide, max_memory: str | int) -> None:
        if isinstance(tile, int) and tile < 1:
            raise ConfigError(f"a tile is at least 1 pixel wide; got {tile}")
        parse_memory(max_memory)
        self.backend, self.tile, self.max_memory = backend, tile, max_memory
        self.contract = backend.contract

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
