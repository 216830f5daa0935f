"""The reconstructor: a method, its weights and its contract, ready to turn images into cubes."""

from __future__ import annotations

import copy
import functools
import html
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Self, TypedDict, get_args

import numpy as np
import xarray as xr

from respectra.cameras import (
    Capture,
    InputKind,
    References,
    require_capture,
    require_image,
    to_track_values,
)
from respectra.cameras.tracks import has_one_camera
from respectra.cubes import Quantity, make_cube
from respectra.errors import unknown_name
from respectra.inference import binding
from respectra.inference.backends import make_backend
from respectra.inference.backends.base import EXACT_BITS, TABLE_BITS, bits_of
from respectra.inference.capture import bind, capture_of
from respectra.inference.engines import Engine
from respectra.inference.guarantees import Guarantees
from respectra.inference.pieces import keeps_on_device, recover_on_device
from respectra.inference.tiled import TiledInference, TileSide
from respectra.inference.tiling import Layout
from respectra.methods import Contract, Tiling, Weights
from respectra.methods.weights import weights_hash
from respectra.typing import Float32Array

if TYPE_CHECKING:
    from respectra.cubes import LowRankCube
    from respectra.inference.corrections import Correction
    from respectra.inference.self_ensemble import SelfEnsembledInference


class CubeFacts(TypedDict, total=False):
    """Attributes of a recovered cube."""

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
    contract_mismatch: str
    ensemble: str
    references: str


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
            ``cuda:1``, ``mps``. What does not run in PyTorch stays on the processor.
        engine: what runs a network: ``torch`` (rewritten for the CPU), ``plain`` (as it is
            written), ``onnx`` (ONNX Runtime), or ``auto``: NumPy for the project's own network over
            single pixels; else what an earlier trial on this machine found fastest; pictures of a
            megapixel and more start one.
        guarantees: what every cube is made to keep; see :mod:`respectra.inference.guarantees`.
        self_ensemble: ``none``, or the symmetries over which answers are averaged; see
            :mod:`respectra.inference.self_ensemble`.
        capture: what is known of how the pictures were taken; see :meth:`with_capture`.
        quantity: what comes out; see :meth:`with_capture`. By default reflectance where the light
            is known and of ordinary photographs, radiance of images of a track.
        correction: what references taught of the method's errors; see :meth:`with_references`.
        force: take images that say they are of another track than the weights; their cubes say so
            (attribute ``contract_mismatch``). See :mod:`respectra.inference.binding`.

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
        tile: TileSide = "auto",
        max_memory: str | int = "auto",
        device: str = "auto",
        engine: Engine = "auto",
        guarantees: Sequence[str] = (),
        self_ensemble: str = "none",
        capture: Capture | None = None,
        quantity: Quantity | None = None,
        correction: Correction | None = None,
        force: bool = False,
    ) -> None:
        if quantity not in (None, *get_args(Quantity)):
            raise unknown_name("quantity", str(quantity), get_args(Quantity))
        self._unbound = weights
        self._told = None if capture is None else require_capture(capture)
        self.asked_quantity = quantity
        self.weights = weights if capture is None else bind(weights, capture, quantity)
        self.contract: Contract = self.weights.contract
        self.capture = capture_of(self.contract)
        self.tile, self.max_memory, self.engine = tile, max_memory, engine
        self.self_ensemble, self.force = self_ensemble, force
        self.mismatch: str | None = None
        self.guarantees = Guarantees(guarantees, self.contract, correction)
        self.backend = make_backend(self.weights, device=device, engine=engine)
        self.device = self.backend.device
        self.name, self.card = self.weights.method, self.backend.card
        #: Whether what lies around a pixel decides on its spectrum.
        self.sees_neighbours = self.backend.halo != 0
        rounded = self.capture is not None and self.capture.rounding == "nearest"
        self.tiled = TiledInference(self.backend, tile=tile, max_memory=max_memory, rounded=rounded)
        self.answers: TiledInference | SelfEnsembledInference = self.tiled
        if self_ensemble != "none":
            from respectra.inference.self_ensemble import SelfEnsembledInference

            self.answers = SelfEnsembledInference(self.tiled, self_ensemble)
        # What pictures are recovered with piece by piece; see TiledInference.
        self.layout, self.given = self.tiled.layout, self.tiled.given
        self.compute_global_means = self.tiled.compute_global_means
        self.pieces = self.answers.pieces

    @property
    def is_told(self) -> bool:
        """Whether a capture was stated for this reconstructor; it may also come with weights."""
        return self._told is not None

    def with_capture(self, capture: Capture, *, quantity: Quantity | None = None) -> Self:
        """The same method for the pictures of a capture.

        See :mod:`respectra.inference.capture` for what becomes of the weights.

        Args:
            capture: its white and references looked up (:meth:`Capture.resolve`); a camera that
                it does not state is the method's own.
            quantity: ``reflectance``, or ``radiance``: reflectance times the light. By default
                reflectance, unless the capture says nothing that the weights do not know.

        Raises:
            ConfigError: the method's own camera is not known where it has to be.
            DataError: the capture's camera or light do not cover the bands.
        """
        asked = quantity or self.asked_quantity
        return self.replace(capture=capture, quantity=asked, correction=None)

    def with_correction(self, correction: Correction | None) -> Self:
        """The same reconstructor, whose cubes are corrected by what references taught."""
        kept = Guarantees(self.guarantees.names, self.contract, correction)
        return self._with(guarantees=kept)

    def with_mismatch(self, note: str) -> Self:
        """The same reconstructor, whose cubes say in what they are not what the weights are for."""
        return self._with(mismatch=note)

    def _with(self, **attributes: Any) -> Self:
        other = copy.copy(self)
        other.__dict__.pop("for_photographs", None)
        other.__dict__.update(attributes)
        return other

    def mapped(self, change: Callable[[Reconstructor], Reconstructor]) -> Reconstructor:
        """What a change makes of it, which it makes of each member of an ensemble."""
        return change(self)

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

    def __call__(
        self,
        image: xr.DataArray,
        *,
        capture: Capture | None = None,
        references: References | None = None,
        quantity: Quantity | None = None,
        force: bool = False,
    ) -> xr.DataArray:
        """Recover the cube behind an image.

        Args:
            image: dims (y, x, channel). An ordinary photograph, encoded for a display (``srgb``),
                gives reflectance relative to white unless something else is asked for.
            capture: what is known of how it was taken; see :meth:`with_capture`.
            references: pixels whose spectra are known; see :meth:`with_references`.
            quantity: what comes out: ``reflectance`` or ``radiance``.
            force: as for the class, for this image.

        Raises:
            DataError: it is no image, or smaller than the method accepts, of another track than the
                weights, or what is said of it cannot be.
            ConfigError: the memory limit is too small.
        """
        chosen = binding.for_picture(self, image, capture, references, quantity, force)
        return chosen._recover(chosen.values_of(image))

    def _recover(self, picture: xr.DataArray) -> xr.DataArray:
        kept = self.backend.kept_guarantees(int(picture.attrs.get("bits", TABLE_BITS)))
        done = self.guarantees.kept_by(kept)
        if self.backend.on_device and not done:
            layout = self.tiled.layout_in_memory(*picture.shape[:2])
            if keeps_on_device(self, layout):
                return recover_on_device(self, picture, layout, kept)
        seen, factor = (picture, 1.0) if done else self.guarantees.scale(picture)
        rgb = np.asarray(seen.values, np.float32)
        spectra, layout = self.answers.assemble(rgb, bits_of(seen))
        cube = make_cube(spectra, self.contract.wavelengths_nm, **self.cube_facts(layout))
        if done:
            return cube.assign_attrs(**self.guarantees.facts(kept=kept))
        return self.guarantees.enforce(cube, picture, factor, in_place=True)[0]

    @property
    def gives_uncertainty(self) -> bool:
        """Whether :meth:`with_uncertainty` has an answer."""
        own = self.self_ensemble != "none" or self.backend.says_uncertainty
        return own or self.guarantees.correction is not None

    def with_uncertainty(self, image: xr.DataArray) -> tuple[xr.DataArray, xr.DataArray]:
        """The cube, and an array like it: the standard deviation of the error of each value.

        See :mod:`respectra.inference.uncertainty`.

        Raises:
            ConfigError: the method does not say how sure it is; a self-ensemble does for any.
            DataError: as for the image alone.
        """
        from respectra.inference.uncertainty import recover_with_uncertainty

        return recover_with_uncertainty(binding.for_picture(self, image), image)

    def low_rank(
        self, image: xr.DataArray, *, rank: int | None = None, tolerance: float = 0.01
    ) -> LowRankCube:
        """The cube as coefficients and a basis; see ``inference.low_rank.recover_low_rank``."""
        from respectra.inference.low_rank import recover_low_rank

        told = binding.for_picture(self, image)
        return recover_low_rank(told, image, rank=rank, tolerance=tolerance)

    def predict(self, rgb: Float32Array, *, bits: int = EXACT_BITS) -> Float32Array:
        """Spectra (y, x, band), float32, of linear values (y, x, 3) in the units of the track.

        They are the method's own, without guarantees; ``bits`` is the depth of the values' codes.
        """
        return self.answers.assemble(rgb, bits)[0]

    def for_kind(self, kind: str) -> Self:
        """The reconstructor for pictures of a kind: photographs have a capture of their own."""
        if kind == "camera":
            return self
        if kind in ("srgb", "linear"):
            return self.for_photographs if self.capture is None else self
        return binding.agreeing(self, {"track": kind})

    @functools.cached_property
    def for_photographs(self) -> Self:
        """The same reconstructor for photographs that were developed for a display."""
        return self.replace(capture=Capture.photograph())

    def values_of(self, image: xr.DataArray, kind: InputKind | None = None) -> xr.DataArray:
        """The image as linear values, of the capture or of the track.

        Args:
            image: as its file holds it.
            kind: what its values are, where :meth:`for_kind` was asked about it; None: as it says.

        Raises:
            DataError: it is no image, or not of that kind.
        """
        if self.capture is not None:
            return self.capture.linear(require_image(image))
        if kind is not None:
            return to_track_values(image, kind)
        picture = require_image(image)
        photograph = picture.attrs.get("encoding") == "srgb" or "space" in picture.attrs
        return to_track_values(picture, "srgb") if photograph else picture

    @property
    def needs_whole(self) -> bool:
        """Whether calling it takes more than the spectra of pieces one by one."""
        return bool(self.guarantees) or self.self_ensemble != "none"

    @property
    def answer_bytes(self) -> int:
        """Memory for each pixel of a piece besides what the method itself takes."""
        return self.guarantees.bytes_per_pixel(self.contract.bands) + self.answers.answer_bytes

    def whole_image_reason(self, height: int, width: int) -> str | None:
        """Why a picture of this size has to be in memory as a whole; None where it need not."""
        reason = self.answers.whole_image_reason(height, width)
        if reason is not None or self.guarantees.by_pixels:
            return reason
        return f"consistency with the noisy track {self.contract.track!r} looks at neighbourhoods"

    def signature(self) -> str:
        """A short name for the method with its weights; another answer has another."""
        own = weights_hash(self.weights)
        return own if self.self_ensemble == "none" else f"{own}-{self.self_ensemble}"

    def cube_facts(self, layout: Layout | None = None) -> CubeFacts:
        """What is written down with a cube, whose picture was cut like this; None: not at all."""
        contract, capture = self.contract, self.capture
        facts: CubeFacts = {
            "quantity": contract.quantity,
            "source": f"reconstructed by {self.name}",
            "method": self.name,
            "track": contract.track,
        }
        if layout is not None and layout.policy is Tiling.APPROXIMATE and not layout.whole:
            facts["tiling"] = Tiling.APPROXIMATE.value
        if self.mismatch is not None:
            facts["contract_mismatch"] = self.mismatch
        if capture is None:
            return facts
        assert contract.capture is not None
        light = capture.light
        if light is None:
            light = capture.assumed_light(contract.wavelengths_nm)
        facts["capture"], facts["light"] = contract.capture, str(light.attrs["name"])
        if capture.camera_name is not None:
            facts["camera"] = capture.camera_name
        if assumed := capture.describe():
            facts["assumed"] = assumed
        if contract.camera_matrix is not None:
            facts["camera_matrix"] = (
                f"the picture was brought to the camera of {self.name} by a 3 x 3 matrix"
            )
        return facts

    def __repr__(self) -> str:
        grid = self.contract.wavelengths_nm
        parts = [
            f"{self.name}, {self.weights.parameters:,} values",
            f"{len(grid)} bands from {grid[0]:g} to {grid[-1]:g} nm",
            self._use(),
        ]
        if self.guarantees.names:
            parts.append("guarantees: " + ", ".join(sorted(self.guarantees.names)))
        if self.self_ensemble != "none":
            parts.append(f"self-ensemble: {self.self_ensemble}")
        return f"<{type(self).__name__} {'; '.join(parts)}>"

    def _use(self) -> str:
        """What comes out, of which pictures."""
        contract, asked = self.contract, self.asked_quantity
        if self.capture is not None:
            return f"{contract.quantity} of a capture by {self.capture.camera_name or 'its camera'}"
        of_track = f"{asked or contract.quantity} of images of the track {contract.track}"
        if contract.response is None and not has_one_camera(contract.track):
            return of_track  # a photograph cannot be brought to a camera that is not known
        return f"{asked or 'reflectance'} of photographs, {of_track}"

    def _repr_html_(self) -> str:
        """The same for a notebook, with what the method is."""
        return f"<p><b>{html.escape(self.card.title)}</b><br>{html.escape(repr(self))}</p>"

    def replace(self, **changes: Any) -> Self:
        """Another one like this, with some of its options changed."""
        return type(self)(self._unbound, **{**self._options(), **changes})

    def _options(self) -> dict[str, Any]:
        """What to make another one like this one with, besides the weights."""
        same = ("tile", "max_memory", "device", "engine", "self_ensemble", "force")
        return {
            **{name: getattr(self, name) for name in same},
            "guarantees": sorted(self.guarantees.names),
            "capture": self._told,
            "quantity": self.asked_quantity,
            "correction": self.guarantees.correction,
        }

    def __reduce__(self) -> Any:
        """Made again from its weights and options, in whatever process it is sent to."""
        return functools.partial(type(self), **self._options()), (self._unbound,)
