"""The reconstructor: a method, its weights and its contract, ready to turn images into cubes."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import html
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, get_args

import numpy as np
import xarray as xr

from respectra.allocator import trim_malloc
from respectra.cameras import (
    Capture,
    InputKind,
    References,
    described_capture,
    require_image,
    to_track_values,
)
from respectra.cubes import Quantity, make_cube
from respectra.devices import free_device_bytes, pick_device
from respectra.errors import ConfigError, DataError, unknown_name
from respectra.inference.capture import bind, capture_of
from respectra.inference.engines import ENGINES, Engine
from respectra.inference.guarantees import Guarantees
from respectra.inference.memory import (
    AUTO_SHARE,
    RESERVE,
    Budget,
    MemoryUse,
    free_bytes,
    measure_memory,
    parse_memory,
    resident_bytes,
)
from respectra.inference.predictors import (
    FloatArray,
    Output,
    Predictor,
    TablePredictor,
    TorchPredictor,
    make_predictor,
)
from respectra.inference.tables.lut_guarantees import BITS
from respectra.inference.tiling import (
    LARGEST_SIDE,
    ROUND_SIDE,
    Layout,
    Reader,
    Region,
    Tile,
    checked,
    plan,
    run,
)
from respectra.methods import Card, Contract, Tiling, Weights, get_method
from respectra.methods.identity import weights_hash
from respectra.methods.network import StepAware, UncertainNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from respectra.cubes import LowRankCube
    from respectra.inference.engines.onnx import OnnxPredictor
    from respectra.inference.references import Correction

#: From so many pixels on, finding out which engine is fastest is worth its time.
TRIAL_PIXELS = 10**6
#: Pixels of the frame that a card's memory is claimed for.
FRAME_PIXELS = 482 * 512
#: Pictures up to this many pixels are not cut when memory is left to us and plenty is free.
SMALL_IMAGE = 1024 * 1024
#: Tiles are measured for rather than made smaller than this.
_LEAST_UNMEASURED = 256
#: Codes of more bits than these are as good as exact values.
_CODE_BITS = 16
#: What is said of values that are no codes.
EXACT_BITS = 32


class CubeFacts(TypedDict, total=False):
    """Attributes of a reconstructed cube."""

    quantity: Quantity
    source: str
    method: str
    track: str
    tiling: str
    capture: str
    camera: str
    light: str
    assumed: str
    camera_matrix: str


class Reconstructor:
    """Turns an image into a cube.

    Args:
        weights: method, configuration, contract and what was learned.
        tile: ``auto``, as large as the memory allows; the side of a tile in pixels; or None for
            the whole image at once. Where the card says that tiles are exact, the answer does not
            depend on it; where they are not, the cube says so (attribute ``tiling``).
        max_memory: what this process may hold at its peak, the cube included: bytes, ``2GB``,
            ``500MB``, or ``auto``: half of what is free.
        device: ``auto`` (CUDA where it is there, else the processor), ``cpu``, ``cuda``,
            ``cuda:1``, ``mps``.
        engine: what runs a network: ``torch`` (rewritten for the CPU), ``plain`` (as it is
            written), ``onnx`` (ONNX Runtime, with the extra ``onnx``), or ``auto``: what an earlier
            trial on this machine found fastest; pictures of a megapixel and more start one.
        guarantees: what every cube is made to keep; see :mod:`respectra.inference.guarantees`.
        capture: what is known of how the pictures were taken; see :meth:`with_capture`.
        quantity: what comes out; see :meth:`with_capture`. By default reflectance where the light
            is known and of ordinary photographs, radiance of images of a track.
        correction: what references taught of the method's errors; see :meth:`with_references`.

    Example:
        >>> import respectra as rs
        >>> rec = rs.load()
        >>> cube = rec(rs.make_image([[[0.2, 0.3, 0.1]]]))
        >>> dict(cube.sizes)
        {'y': 1, 'x': 1, 'wavelength': 31}
    """

    def __init__(
        self,
        weights: Weights,
        *,
        tile: int | Literal["auto"] | None = "auto",
        max_memory: str | int = "auto",
        device: str = "auto",
        engine: Engine = "auto",
        guarantees: Sequence[str] = (),
        capture: Capture | None = None,
        quantity: Quantity | None = None,
        correction: Correction | None = None,
    ) -> None:
        if isinstance(tile, int) and tile < 1:
            raise ConfigError(f"a tile is at least 1 pixel wide; got {tile}")
        parse_memory(max_memory)
        if engine not in ENGINES:
            raise unknown_name("engine", engine, ENGINES)
        if quantity not in (None, *get_args(Quantity)):
            raise unknown_name("quantity", str(quantity), get_args(Quantity))
        self._unbound, self._quantity, self._told = weights, quantity, capture
        self._photograph: Self | None = None
        if capture is not None:
            weights = bind(weights, capture, quantity)
        self.weights = weights
        self.capture = capture_of(weights.contract)
        self.tile = tile
        self.max_memory = max_memory
        runs_on_torch = weights.baked is None and self.card.kind == "network"
        if device == "auto" and not (runs_on_torch and engine != "onnx"):
            device = "cpu"  # NumPy, tables and ONNX Runtime run there
        self.device = pick_device(device)
        self.guarantees = Guarantees(guarantees, weights.contract, correction)
        self.engine = engine
        self._predict = self._make_predictor(weights)
        self._onnx: OnnxPredictor | None = None
        self._given: Sequence[Tensor] | None = None
        self._lock = threading.RLock()
        if engine == "onnx" and isinstance(self._predict, TorchPredictor):
            self._onnx = self._runtime()

    def _make_predictor(self, weights: Weights) -> Predictor:
        return make_predictor(weights, device=self.device, engine=self.engine)

    def with_capture(self, capture: Capture, *, quantity: Quantity | None = None) -> Self:
        """The same method for the pictures of a capture.

        A network that can be told a camera recovers through the capture's effective response;
        other methods get the picture through the best 3 x 3 matrix to their own camera, and their
        cubes say so. What comes out is an ordinary reconstructor: folders, clips, tables and
        guarantees work with it.

        Args:
            capture: its white and references not as places in a picture; see
                :meth:`Capture.resolve`. A camera that it does not state is the method's own.
            quantity: ``reflectance``, or ``radiance``: reflectance times the light. By default
                reflectance, unless the capture says nothing that the weights do not know.

        Raises:
            ConfigError: the method's own camera is not known where it has to be.
            DataError: the capture's camera or light do not cover the bands.
        """
        options = self._options()
        options |= {"capture": capture, "quantity": quantity or self._quantity, "correction": None}
        return type(self)(self._unbound, **options)

    def with_correction(self, correction: Correction | None) -> Self:
        """The same reconstructor, whose cubes are corrected by what references taught."""
        other = copy.copy(self)
        other.guarantees = Guarantees(self.guarantees.names, self.contract, correction)
        other._photograph = None
        return other

    def with_references(self, image: xr.DataArray, references: References) -> Self:
        """The same reconstructor, corrected by spectra that are known in a picture.

        Args:
            image: a picture of the capture that this reconstructor is for.
            references: places in that picture, or pixel values, with their spectra in the
                quantity that comes out.

        Raises:
            DataError: references outside the picture, on clipped or black pixels, that contradict
                one another or the picture.
        """
        from respectra.inference.references import fit_references

        return self.with_correction(fit_references(self, image, references))

    def for_kind(self, kind: str) -> Self:
        """The reconstructor for pictures of a kind: photographs have a capture of their own."""
        if self.capture is not None or kind not in ("srgb", "linear"):
            return self
        if self._photograph is None:
            self._photograph = self._like(capture=Capture.photograph())
        return self._photograph

    def for_described(self, said: Capture | None) -> Self:
        """The reconstructor for what a file says of its picture; see ``described_capture``."""
        if said is None or self.capture is not None:
            return self
        if said == Capture.photograph():
            return self.for_kind("srgb")
        return self._like(capture=said)

    def for_picture(
        self,
        image: xr.DataArray,
        *,
        capture: Capture | None = None,
        references: References | None = None,
        quantity: Quantity | None = None,
    ) -> Self:
        """The reconstructor for a picture, with what is said of it; itself where nothing is.

        Args:
            image: the picture, in which places of the white and of references are looked up.
            capture: see :meth:`with_capture`.
            references: see :meth:`with_references`; those of the capture by default.
            quantity: see :meth:`with_capture`.

        Raises:
            ConfigError, DataError: as those two.
        """
        picture = require_image(image)
        said = described_capture(picture.attrs)
        if capture is None and quantity is not None:
            capture = self.capture or said or Capture()
        chosen: Self
        if capture is not None:
            if said is not None and capture.camera is None:
                capture = said.replace(**capture.known())
            capture = capture.resolve(picture)
            references = references or capture.references
            chosen = self.with_capture(capture, quantity=quantity)
        else:
            chosen = self.for_described(said)
            if said is None and self._quantity not in (None, self.contract.quantity):
                chosen = self.with_capture(Capture())
        return chosen if references is None else chosen.with_references(picture, references)

    def _options(self) -> dict[str, Any]:
        """What to make another one like this one with, besides the weights."""
        return {
            "tile": self.tile,
            "max_memory": self.max_memory,
            "device": self.device,
            "engine": self.engine,
            "guarantees": sorted(self.guarantees.names),
            "capture": self._told,
            "quantity": self._quantity,
            "correction": self.guarantees.correction,
        }

    def __repr__(self) -> str:
        grid = self.contract.wavelengths_nm
        camera = None if self.capture is None else self.capture.camera_name or "its own camera"
        use = f"the track {self.contract.track}" if camera is None else f"a capture by {camera}"
        parts = [
            f"{self.name}, {self.weights.parameters:,} values, for {use}",
            f"{len(grid)} bands from {grid[0]:g} to {grid[-1]:g} nm, {self.contract.quantity}",
        ]
        if self.guarantees.names:
            parts.append("guarantees: " + ", ".join(sorted(self.guarantees.names)))
        return f"<{type(self).__name__} {'; '.join(parts)}>"

    def _repr_html_(self) -> str:
        """The same for a notebook, with what the method is."""
        title = html.escape(self.card.title)
        return f"<p><b>{title}</b><br>{html.escape(repr(self))}</p>"

    def __reduce__(self) -> Any:
        """Made again from its weights and options, in whatever process it is sent to."""
        return _made_again, (type(self), self._unbound, self._options())

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Within this block no other thread works with the method: networks are told of pictures
        by what is set on them."""
        with self._lock:
            yield

    def _like(self, **changes: Any) -> Self:
        """Another one like this, with some options changed."""
        return type(self)(self._unbound, **{**self._options(), **changes})

    @property
    def card(self) -> Card:
        """What is known of the method."""
        return get_method(self.weights.method).card

    @property
    def contract(self) -> Contract:
        """What the weights expect and give."""
        return self.weights.contract

    @property
    def predictor(self) -> Predictor:
        """The method as a function of pixels that the contract has prepared."""
        return self._predict

    @property
    def name(self) -> str:
        """Name of the method."""
        return self.weights.method

    def __call__(
        self,
        image: xr.DataArray,
        *,
        capture: Capture | None = None,
        references: References | None = None,
        quantity: Quantity | None = None,
    ) -> xr.DataArray:
        """Recover the cube behind an image.

        Args:
            image: dims (y, x, channel). An ordinary photograph, encoded for a display (``srgb``),
                gives reflectance relative to white unless something else is asked for.
            capture: what is known of how it was taken; see :meth:`with_capture`.
            references: pixels whose spectra are known; see :meth:`with_references`.
            quantity: what comes out: ``reflectance`` or ``radiance``.

        Raises:
            DataError: it is no image, or smaller than the method accepts, or what is said of it
                cannot be.
            ConfigError: the memory limit is too small.
        """
        chosen = self.for_picture(image, capture=capture, references=references, quantity=quantity)
        return chosen._recover(image)

    def _recover(self, image: xr.DataArray) -> xr.DataArray:
        picture = self.picture_of(image)
        kept = self.lut_guarantees(picture.attrs.get("bits", BITS))
        if self.guarantees.kept_by(kept):
            cube = self._cube(picture)
            return cube.assign_attrs(guarantees=", ".join(sorted(kept))) if kept else cube
        scaled, factor = self.guarantees.scale(picture)
        return self.guarantees.enforce(self._cube(scaled), picture, factor, in_place=True)[0]

    def picture_of(self, image: xr.DataArray) -> xr.DataArray:
        """The image as linear values, of the capture or of the track.

        Raises:
            DataError: it is no image.
        """
        picture = require_image(image)
        if self.capture is not None:
            return self.capture.linear(picture)
        photograph = picture.attrs.get("encoding") == "srgb" or "space" in picture.attrs
        return to_track_values(picture, "srgb") if photograph else picture

    def values_of(self, image: xr.DataArray, kind: InputKind) -> xr.DataArray:
        """Linear values of an image whose values are of a kind; see ``to_track_values``.

        For images of the kind that :meth:`for_kind` was asked about.
        """
        return to_track_values(image, kind) if self.capture is None else self.picture_of(image)

    @property
    def needs_whole(self) -> bool:
        """Whether calling it takes more than the spectra of pieces one by one."""
        return bool(self.guarantees)

    def whole_image_reason(self, height: int, width: int) -> str | None:
        """Why a picture of this size has to be in memory as a whole; None where it need not."""
        if self.guarantees.by_pixels:
            return None
        return f"consistency with the noisy track {self.contract.track!r} looks at neighbourhoods"

    @property
    def answer_bytes(self) -> int:
        """Memory for each pixel of a piece besides what the method itself takes."""
        # Spectra that guarantees move, and their bounds in double precision.
        return 2 * 4 * self.contract.bands + 4 * 3 * 8 if self.guarantees else 0

    def lut_guarantees(self, bits: int) -> frozenset[str]:
        """Guarantees that a table was baked with and that hold for pictures of so many bits."""
        if not isinstance(self._predict, TablePredictor):
            return frozenset()
        kept = frozenset(self._predict.table.facts.guarantees)
        return kept if bits == BITS else kept - {"consistent"}

    def _cube(self, picture: xr.DataArray) -> xr.DataArray:
        rgb = np.asarray(picture.values, dtype=np.float32)
        layout = self._layout_in_memory(rgb)
        return self._label(self._assemble(rgb, layout, bits_of(picture)), layout)

    def _label(self, spectra: FloatArray, layout: Layout) -> xr.DataArray:
        return make_cube(spectra, self.contract.wavelengths_nm, **self.cube_facts(layout))

    @property
    def halo(self) -> int | None:
        """Radius in pixels of what decides on a pixel, beside means over the whole picture; None
        where it has no bound."""
        return self._halo()

    def mean_passes(self) -> list[frozenset[int]]:
        """The numbers of the means that each pass over a picture takes, for its pieces."""
        from respectra.inference.statistics import mean_passes

        return mean_passes(self.weights)

    def sums_of_tile(
        self,
        rgb: FloatArray,
        tile: Tile,
        layout: Layout,
        *,
        wanted: frozenset[int],
        known: Mapping[int, Tensor],
        bounds: tuple[float, float],
        bits: int,
    ) -> dict[int, tuple[Tensor, float]]:
        """What a tile adds to the means of one pass; see ``statistics.sums_of_tile``."""
        from respectra.inference.statistics import sums_of_tile

        assert isinstance(self._predict, TorchPredictor)
        pixels = self.contract.prepare(rgb - self._code_shift(bits), bounds=bounds)
        with self._conditioned(bits):
            return sums_of_tile(
                self.weights, self._predict, pixels, tile, layout, wanted=wanted, known=known
            )

    @property
    def sees_neighbours(self) -> bool:
        """Whether what lies around a pixel decides on its spectrum."""
        return self._halo() != 0

    @property
    def gives_uncertainty(self) -> bool:
        """Whether :meth:`with_uncertainty` has an answer."""
        return self._says_uncertainty or self.guarantees.correction is not None

    @property
    def _says_uncertainty(self) -> bool:
        network: object = getattr(self._predict, "network", None)
        return isinstance(network, UncertainNetwork)

    def with_uncertainty(self, image: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """The cube, and an array like it: the standard deviation of the error of each value.

        The network says which errors it expects; that of a normal distribution is taken, √(π/2)
        times the mean absolute one. The guarantees' changes to the cube are not part of it. With
        references, the deviation shrinks where they tell the answer.

        Raises:
            ConfigError: the method does not say how sure it is; a self-ensemble does for any.
            DataError: as for the image alone.
        """
        chosen = self.for_picture(image)
        if chosen is not self:
            return chosen.with_uncertainty(image)
        if not self.gives_uncertainty:
            raise ConfigError(
                f"{self.name} does not say how sure it is; take the spread of a self-ensemble: "
                "respectra.load(..., self_ensemble='flips').with_uncertainty(image)"
            )
        cube = self(image)
        whole = self.picture_of(image)
        picture, factor = self.guarantees.scale(whole)
        rgb = np.asarray(picture.values, dtype=np.float32)
        deviation: FloatArray | None = None
        if self._says_uncertainty:
            layout = self._layout_in_memory(rgb)
            deviation = self._assemble(rgb, layout, bits_of(picture), output="uncertainty")
            deviation *= np.float32(factor * np.sqrt(np.pi / 2))
            if self.contract.band_scale is not None:
                deviation *= np.asarray(self.contract.band_scale, np.float32)
        return cube, cube.copy(data=self.guarantees.deviation(cube, whole, deviation))

    def low_rank(
        self, image: xr.DataArray, *, rank: int | None = None, tolerance: float = 0.01
    ) -> LowRankCube:
        """Recover the cube behind an image as coefficients and a basis.

        See :func:`respectra.inference.low_rank.recover_low_rank`.
        """
        from respectra.inference.low_rank import recover_low_rank

        return recover_low_rank(self.for_picture(image), image, rank=rank, tolerance=tolerance)

    def predict(self, rgb: FloatArray, *, bits: int = EXACT_BITS) -> FloatArray:
        """Spectra (y, x, band), float32, of linear values (y, x, 3) in the units of the track.

        They are the method's own: guarantees need an image, which says how it was quantised.

        Args:
            rgb: linear values.
            bits: depth of the codes that they came from; more than 16: they are exact.
        """
        return self._assemble(rgb, self._layout_in_memory(rgb), bits)

    def _layout_in_memory(self, rgb: FloatArray) -> Layout:
        height, width = rgb.shape[:2]
        if isinstance(self._predict, TablePredictor) and self.tile == "auto":
            # It takes no memory but that of its result, which cutting would only copy.
            whole = Layout(height, width, self.card.tiling, (height, width))
            return checked(whole, self.card, self._budget(height * width, 0.0, 0.0))
        return self.layout(height, width, held=4 * height * width * self.contract.bands)

    def _assemble(
        self,
        rgb: FloatArray,
        layout: Layout,
        bits: int,
        *,
        output: Output | Predictor | None = None,
    ) -> FloatArray:
        bounds = (0.0, 1.0)
        if not self.contract.keeps_exposure:
            own = self.contract.own_values(rgb)
            bounds = (float(own.min()), float(own.max()))
        pieces = self.pieces(
            lambda rows, columns: rgb[rows, columns],
            layout,
            bounds=bounds,
            bits=bits,
            output=output,
        )
        if layout.whole:
            return next(pieces)[1]
        whole: FloatArray | None = None
        for region, piece in pieces:
            if whole is None:
                whole = np.empty((*rgb.shape[:2], piece.shape[2]), np.float32)
            whole[region] = piece
            del piece
        assert whole is not None  # a layout has at least one piece
        return whole

    def coefficients(
        self, image: xr.DataArray, *, output: Output | Predictor = "coefficients"
    ) -> tuple[FloatArray, Layout]:
        """What a network of coefficients and a basis gives: (y, x, k), and how it was cut.

        Args:
            image: as for the cube.
            output: what else gives coefficients, as for :meth:`pieces`.

        Raises:
            DataError: it is no image, or smaller than the method accepts.
        """
        picture = self.picture_of(image)
        rgb = np.asarray(picture.values, dtype=np.float32)
        layout = self._layout_in_memory(rgb)
        return self._assemble(rgb, layout, bits_of(picture), output=output), layout

    def signature(self) -> str:
        """A short name for the method with its weights; another answer has another."""
        return weights_hash(self.weights)

    def cube_facts(self, layout: Layout) -> CubeFacts:
        """What is written down with a cube: quantity, source, method, track, how it was cut."""
        facts: CubeFacts = {
            "quantity": self.contract.quantity,
            "source": f"reconstructed by {self.name}",
            "method": self.name,
            "track": self.contract.track,
        }
        if layout.policy is Tiling.APPROXIMATE and not layout.whole:
            facts["tiling"] = Tiling.APPROXIMATE.value
        if self.capture is not None:
            facts.update(self._capture_facts(self.capture))
        return facts

    def _capture_facts(self, capture: Capture) -> CubeFacts:
        """What is written down of how the picture was taken."""
        contract = self.contract
        assert contract.capture is not None
        light = capture.light
        if light is None:
            light = capture.assumed_light(contract.wavelengths_nm)
        facts: CubeFacts = {"capture": contract.capture, "light": str(light.attrs["name"])}
        if capture.camera_name is not None:
            facts["camera"] = capture.camera_name
        assumed = capture.describe()
        if assumed:
            facts["assumed"] = assumed
        if contract.camera_matrix is not None:
            facts["camera_matrix"] = (
                f"the picture was brought to the camera of {self.name} by a 3 x 3 matrix"
            )
        return facts

    def layout(
        self, height: int, width: int, *, held: float = 0.0, per_pixel: float = 0.0
    ) -> Layout:
        """How a picture of this size is cut up.

        Args:
            height: rows.
            width: columns.
            held: bytes that the caller will hold besides, such as the cube itself.
            per_pixel: bytes that the caller takes for every pixel of a piece.

        Raises:
            DataError: the picture is smaller than the method accepts.
            ConfigError: the memory limit is too small for the least tile.
        """
        card = self.card
        smallest = card.size_minimum
        if min(height, width) < smallest:
            raise DataError(
                f"{self.name} needs images of at least {smallest} x {smallest} pixels; "
                f"got {height} x {width}"
            )
        if self.tile is None and card.tiling is not Tiling.NATIVE:
            return Layout(height, width, card.tiling, (height, width))
        side = self.tile if isinstance(self.tile, int) else None
        free = self._free_pixels(held, per_pixel)
        if side is None and free is not None and self._by_colour_at(height * width):
            # Such methods may be cut anywhere at no cost: what their card claims will do.
            largest = int(free**0.5) // ROUND_SIDE * ROUND_SIDE
            if largest >= _LEAST_UNMEASURED:
                whole = height * width <= free and max(height, width) <= LARGEST_SIDE
                sides = (height, width) if whole else (min(largest, LARGEST_SIDE),) * 2
                return Layout(height, width, card.tiling, sides)
        budget = self._budget(height * width, held, per_pixel)
        return plan(height, width, card, halo=self._halo(), side=side, budget=budget)

    def pieces(
        self,
        read: Reader,
        layout: Layout,
        *,
        bounds: tuple[float, float],
        bits: int = EXACT_BITS,
        means: Sequence[Tensor] | None = None,
        done: frozenset[tuple[int, int]] = frozenset(),
        output: Output | Predictor | None = None,
    ) -> Iterator[tuple[Region, FloatArray]]:
        """Finished spectra of a picture, piece by piece; together they cover it once.

        Args:
            read: gives linear values in the units of the track, (rows, columns, 3).
            layout: how the picture is cut.
            bounds: smallest and largest value of the whole picture.
            bits: depth of the codes that the values came from; more than 16: they are exact.
            means: what :meth:`compute_global_means` gave for the picture, of which this may be a
                part; computed first where they are needed and not given.
            done: first row and column of pieces that are not wanted again.
            output: what answers instead, and is not clipped: another method of the network, or a
                function of the pixels as the contract prepares them.

        Yields:
            The rows and columns of a piece, and its spectra (y, x, band), float32.
        """

        def prepared(rows: slice, columns: slice) -> FloatArray:
            return self.contract.prepare(read(rows, columns) - shift, bounds=bounds)

        shift = self._code_shift(bits)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._conditioned(bits))
            by_colour = self._by_colour(layout)
            wanted = self.needs_means(layout) or (by_colour and layout.policy is Tiling.STATISTICS)
            wanted = wanted or means is not None
            if wanted and isinstance(self._predict, TorchPredictor):
                means = means or self._given
                if means is None:
                    means = self.compute_global_means(read, layout, bounds=bounds, bits=bits)
                stack.enter_context(self.given(means))
            if output is not None:
                engine = self._output_of(output, stack)
            else:
                engine = self._predict if by_colour else self._engine(layout, bits)
            if by_colour:
                from respectra.inference.colours import ByColour

                engine = ByColour(engine)
            for region, spectra in run(engine, prepared, layout, done=done):
                yield region, self.contract.finish(spectra) if output is None else spectra
                del spectra
                if not layout.whole:
                    trim_malloc()

    def _code_shift(self, bits: int) -> np.float32:
        """From the values of codes to the lower bounds of their cells, which networks expect."""
        rounded = self.capture is not None and self.capture.rounding == "nearest"
        if not rounded or self._step_aware is None or bits > _CODE_BITS:
            return np.float32(0.0)
        return np.float32(0.5 / (2**bits - 1))

    def for_pieces(self, layout: Layout, bits: int) -> Predictor | None:
        """What :meth:`pieces` asks for the whole answer, without guarantees; None: the method."""
        return None

    def _output_of(self, output: Output | Predictor, stack: contextlib.ExitStack) -> Predictor:
        if not isinstance(output, str):
            return output
        assert isinstance(self._predict, TorchPredictor)
        stack.enter_context(self._predict.giving(output))
        return self._predict

    def _engine(self, layout: Layout, bits: int) -> Predictor:
        """What runs the tiles of a layout, of a picture whose values are of so many bits."""
        torch_predictor = self._predict
        if not isinstance(torch_predictor, TorchPredictor) or self.needs_means(layout):
            return torch_predictor  # only there can means be given to a network
        if self._step_aware is not None and bits <= _CODE_BITS:
            return torch_predictor  # only there can it be told how its values are quantised
        large = layout.height * layout.width >= TRIAL_PIXELS
        if self.engine == "auto" and self.device == "cpu" and self._onnx is None and large:
            from respectra.inference.engines.choice import fastest

            if fastest(self.weights, torch_predictor) == "onnx":
                self._onnx = self._runtime()
        return self._onnx or torch_predictor

    def _runtime(self) -> OnnxPredictor:
        from respectra.inference.engines.onnx import OnnxPredictor

        assert isinstance(self._predict, TorchPredictor)
        return OnnxPredictor(self.weights, self._predict)

    def needs_means(self, layout: Layout) -> bool:
        """Whether tiles of this layout need means over the whole picture first."""
        return layout.policy is Tiling.STATISTICS and not layout.whole

    def compute_global_means(
        self,
        read: Reader,
        layout: Layout,
        *,
        bounds: tuple[float, float],
        bits: int = EXACT_BITS,
        weigh: Reader | None = None,
    ) -> list[Tensor]:
        """Means over the whole picture that the network uses, for :meth:`pieces`.

        Args:
            read: as for :meth:`pieces`.
            layout: as for :meth:`pieces`.
            bounds: as for :meth:`pieces`.
            bits: as for :meth:`pieces`.
            weigh: how often each pixel counts, (rows, columns); once by default.
        """
        from respectra.inference.statistics import compute_global_means

        assert isinstance(self._predict, TorchPredictor)
        shift = self._code_shift(bits)

        def prepare(rows: slice, columns: slice) -> FloatArray:
            return self.contract.prepare(read(rows, columns) - shift, bounds=bounds)

        prepared: Reader = prepare
        if weigh is None and self._by_colour(layout):
            from respectra.inference.colours import weighted_picture

            found = weighted_picture(prepared, layout)
            if found is not None:
                colours, weight, layout = found
                prepared, weigh = _reader_of(colours), _reader_of(weight)
        with self._conditioned(bits):
            return compute_global_means(self.weights, self._predict, prepared, layout, weigh=weigh)

    def _by_colour(self, layout: Layout) -> bool:
        """Whether each colour of a piece is computed once: where nothing but a pixel's own values,
        and means over all pixels, decides on its spectrum."""
        return self._by_colour_at(layout.height * layout.width)

    def _by_colour_at(self, pixels: int) -> bool:
        from respectra.inference.colours import LEAST_PIXELS

        return (
            pixels >= LEAST_PIXELS
            and self._halo() == 0
            and self.device == "cpu"
            and not isinstance(self._predict, TablePredictor)
        )

    @contextlib.contextmanager
    def given(self, means: Sequence[Tensor]) -> Iterator[None]:
        """Within this block these means stand for those of the pictures that it is asked about.

        They are what :meth:`compute_global_means` gave for the whole, of which the pictures are
        parts, each small enough not to be cut.
        """
        from respectra.inference.statistics import given_means

        assert isinstance(self._predict, TorchPredictor)
        before, self._given = self._given, means
        try:
            with given_means(self._predict.network, means):
                yield
        finally:
            self._given = before

    @property
    def _step_aware(self) -> StepAware | None:
        """The network, where it wants to be told how its images are quantised."""
        network: object = getattr(self._predict, "network", None)
        return network if isinstance(network, StepAware) else None

    @contextlib.contextmanager
    def _conditioned(self, bits: int) -> Iterator[None]:
        """The network knows meanwhile of how many bits its values are."""
        network = self._step_aware
        if network is None or bits > _CODE_BITS:
            yield
            return
        before = float(network.step)  # may be set already: first passes run within the last one
        network.set_step(1.0 / (2**bits - 1))
        try:
            yield
        finally:
            network.set_step(before)

    def _budget(self, pixels: int, held: float, per_pixel: float) -> Budget | None:
        """What a piece may take; None where the question does not arise."""
        if self.device != "cpu":
            # What the card claims was measured on a processor; kernels of a GPU take workspace.
            each = 2e9 * (self.card.memory_gb or 0.5) / FRAME_PIXELS
            return Budget(int(AUTO_SHARE * free_device_bytes(self.device)), 0, MemoryUse(0, each))
        free = self._free_pixels(held, per_pixel)
        if free is not None and (isinstance(self.tile, int) or pixels <= min(SMALL_IMAGE, free)):
            return None
        if isinstance(self._predict, TablePredictor):
            use = MemoryUse(RESERVE, 4.0 * (3 + self.contract.bands))
        else:
            # Measured first: it loads libraries, which this process then holds.
            use = self._measure_memory()
        use = dataclasses.replace(use, per_pixel=use.per_pixel + per_pixel)
        return Budget(parse_memory(self.max_memory), resident_bytes() + held, use)

    def _measure_memory(self) -> MemoryUse:
        return measure_memory(self.weights, engine=self.engine)

    def _free_pixels(self, held: float, per_pixel: float) -> float | None:
        """Pixels that a piece may have by what the card claims; None where memory is limited."""
        if self.max_memory != "auto":
            return None
        each = (self.card.memory_gb or 0.5) * 1e9 / FRAME_PIXELS + per_pixel
        return max(0.0, (AUTO_SHARE * free_bytes() - held) / each)

    def _halo(self) -> int | None:
        return get_method(self.weights.method).halo(self.weights.config)


def _made_again(
    kind: type[Reconstructor], weights: Weights, options: dict[str, Any]
) -> Reconstructor:
    return kind(weights, **options)


def _reader_of(array: FloatArray) -> Reader:
    return lambda rows, columns: array[rows, columns]


def bits_of(image: xr.DataArray) -> int:
    """Depth of the codes that an image's values came from."""
    return int(image.attrs.get("bits", EXACT_BITS))
