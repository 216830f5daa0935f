"""The reconstructor: a method, its weights and its contract, ready to turn images into cubes."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

import numpy as np
import xarray as xr

from respectra.allocator import trim_malloc
from respectra.cameras import require_image, to_track_values
from respectra.cubes import Quantity, make_cube
from respectra.errors import ConfigError, DataError, unknown_name
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
from respectra.inference.tiling import Layout, Reader, Region, checked, plan, run
from respectra.methods import Card, Contract, Tiling, Weights, get_method
from respectra.methods.identity import weights_hash
from respectra.methods.network import StepAware, UncertainNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from respectra.cubes import LowRankCube
    from respectra.inference.engines.onnx import OnnxPredictor

#: From so many pixels on, finding out which engine is fastest is worth its time.
TRIAL_PIXELS = 10**6
#: Pictures up to this many pixels are not cut when memory is left to us and plenty is free.
SMALL_IMAGE = 512 * 512
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


class Reconstructor:
    """Turns an image into a cube.

    Args:
        weights: method, configuration, contract and what was learned.
        tile: ``auto``, as large as the memory allows; the side of a tile in pixels; or None for
            the whole image at once. Where the card says that tiles are exact, the answer does not
            depend on it; where they are not, the cube says so (attribute ``tiling``).
        max_memory: what this process may hold at its peak, the cube included: bytes, ``2GB``,
            ``500MB``, or ``auto``: half of what is free.
        device: ``cpu``, ``cuda``, ...
        engine: what runs a network: ``torch`` (rewritten for the CPU), ``plain`` (as it is
            written), ``onnx`` (ONNX Runtime, with the extra ``onnx``), or ``auto``: what an earlier
            trial on this machine found fastest; pictures of a megapixel and more start one.
        guarantees: what every cube is made to keep; see :mod:`respectra.inference.guarantees`.

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
        device: str = "cpu",
        engine: Engine = "auto",
        guarantees: Sequence[str] = (),
    ) -> None:
        if isinstance(tile, int) and tile < 1:
            raise ConfigError(f"a tile is at least 1 pixel wide; got {tile}")
        parse_memory(max_memory)
        if engine not in ENGINES:
            raise unknown_name("engine", engine, ENGINES)
        self.weights = weights
        self.tile = tile
        self.max_memory = max_memory
        self.device = device
        self.guarantees = Guarantees(guarantees, weights.contract)
        self.engine = engine
        self._predict = self._make_predictor(weights)
        self._onnx: OnnxPredictor | None = None
        if engine == "onnx" and isinstance(self._predict, TorchPredictor):
            self._onnx = self._runtime()

    def _make_predictor(self, weights: Weights) -> Predictor:
        return make_predictor(weights, device=self.device, engine=self.engine)

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

    def __call__(self, image: xr.DataArray) -> xr.DataArray:
        """Recover the cube behind an image.

        Args:
            image: dims (y, x, channel). One that is encoded for a display (``srgb``) is first
                brought to the values of the clean track's camera.

        Raises:
            DataError: it is no image, or smaller than the method accepts.
            ConfigError: the memory limit is too small.
        """
        picture = self.picture_of(image)
        kept = self.lut_guarantees(picture.attrs.get("bits", BITS))
        if self.guarantees.names <= kept:
            cube = self._cube(picture)
            return cube.assign_attrs(guarantees=", ".join(sorted(kept))) if kept else cube
        scaled, factor = self.guarantees.scale(picture)
        return self.guarantees.enforce(self._cube(scaled), picture, factor)[0]

    def picture_of(self, image: xr.DataArray) -> xr.DataArray:
        """The image in the units of the track.

        Raises:
            DataError: it is no image.
        """
        picture = require_image(image)
        encoded = picture.attrs.get("encoding") == "srgb"
        return to_track_values(picture, "srgb") if encoded else picture

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
    def sees_neighbours(self) -> bool:
        """Whether what lies around a pixel decides on its spectrum."""
        return self._halo() != 0

    @property
    def gives_uncertainty(self) -> bool:
        """Whether :meth:`with_uncertainty` has an answer."""
        network: object = getattr(self._predict, "network", None)
        return isinstance(network, UncertainNetwork)

    def with_uncertainty(self, image: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """The cube, and an array like it: the standard deviation of the error of each value.

        The network says which errors it expects; that of a normal distribution is taken, √(π/2)
        times the mean absolute one. The guarantees' changes to the cube are not part of it.

        Raises:
            ConfigError: the method does not say how sure it is; a self-ensemble does for any.
            DataError: as for the image alone.
        """
        if not self.gives_uncertainty:
            raise ConfigError(
                f"{self.name} does not say how sure it is; take the spread of a self-ensemble: "
                "respectra.load(..., self_ensemble='flips').with_uncertainty(image)"
            )
        cube = self(image)
        picture, factor = self.guarantees.scale(self.picture_of(image))
        rgb = np.asarray(picture.values, dtype=np.float32)
        layout = self._layout_in_memory(rgb)
        doubt = self._assemble(rgb, layout, bits_of(picture), output="uncertainty")
        return cube, cube.copy(data=doubt * np.float32(factor * np.sqrt(np.pi / 2)))

    def low_rank(
        self, image: xr.DataArray, *, rank: int | None = None, tolerance: float = 0.01
    ) -> LowRankCube:
        """Recover the cube behind an image as coefficients and a basis.

        See :func:`respectra.inference.low_rank.recover_low_rank`.
        """
        from respectra.inference.low_rank import recover_low_rank

        return recover_low_rank(self, image, rank=rank, tolerance=tolerance)

    def predict(self, rgb: FloatArray) -> FloatArray:
        """Spectra (y, x, band), float32, of linear values (y, x, 3) in the units of the track.

        They are the method's own, of values that are exact: guarantees need an image, which says
        how it was quantised.
        """
        return self._assemble(rgb, self._layout_in_memory(rgb), EXACT_BITS)

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
        stretched = self.contract.scaling == "min-max"
        bounds = (float(rgb.min()), float(rgb.max())) if stretched else (0.0, 1.0)
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
        return plan(
            height,
            width,
            card,
            halo=self._halo(),
            side=self.tile if isinstance(self.tile, int) else None,
            budget=self._budget(height * width, held, per_pixel),
        )

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
            means: what :meth:`compute_global_means` gave; computed first where they are needed
                and not given.
            done: first row and column of pieces that are not wanted again.
            output: what answers instead, and is not clipped: another method of the network, or a
                function of the pixels as the contract prepares them.

        Yields:
            The rows and columns of a piece, and its spectra (y, x, band), float32.
        """

        def prepared(rows: slice, columns: slice) -> FloatArray:
            return self.contract.prepare(read(rows, columns), bounds=bounds)

        with contextlib.ExitStack() as stack:
            stack.enter_context(self._conditioned(bits))
            if self.needs_means(layout) and isinstance(self._predict, TorchPredictor):
                from respectra.inference.statistics import given_means

                given = means or self.compute_global_means(read, layout, bounds=bounds, bits=bits)
                stack.enter_context(given_means(self._predict.network, given))
            engine = (
                self._output_of(output, stack) if output is not None else self._engine(layout, bits)
            )
            for region, spectra in run(engine, prepared, layout, done=done):
                yield region, self.contract.finish(spectra) if output is None else spectra
                del spectra
                if not layout.whole:
                    trim_malloc()

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
        with self._conditioned(bits):
            return compute_global_means(
                self.weights,
                self._predict,
                lambda rows, columns: self.contract.prepare(read(rows, columns), bounds=bounds),
                layout,
                weigh=weigh,
            )

    @contextlib.contextmanager
    def given(self, means: Sequence[Tensor]) -> Iterator[None]:
        """Within this block these means stand for those of the pictures that it is asked about.

        They are what :meth:`compute_global_means` gave for the whole, of which the pictures are
        parts, each small enough not to be cut.
        """
        from respectra.inference.statistics import given_means

        assert isinstance(self._predict, TorchPredictor)
        with given_means(self._predict.network, means):
            yield

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
        if not self.device.startswith("cpu"):
            return None
        claim = self.card.memory_gb or 0.5
        if self.max_memory == "auto" and (
            isinstance(self.tile, int)
            or (pixels <= SMALL_IMAGE and claim * 1e9 < AUTO_SHARE * free_bytes())
        ):
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

    def _halo(self) -> int | None:
        return get_method(self.weights.method).halo(self.weights.config)


def bits_of(image: xr.DataArray) -> int:
    """Depth of the codes that an image's values came from."""
    return int(image.attrs.get("bits", EXACT_BITS))
