"""Guarantees: what a recovered cube is made to keep, whatever method recovered it.

* ``consistent``: the camera sees the recovered spectrum exactly as it saw the pixel. Each spectrum
  is moved by the least relative change. For an 8-bit image of the clean track that is: into the
  bounds of the codes, so that rendering the cube gives the very same codes. Channels at the highest
  code are bounded from below alone. For images that were not quantised it is the linear value
  itself. For the real-world track see :mod:`respectra.inference.soft_consistency`.
* ``consistent-exact``: the same with the linear value in the middle of the code's bounds.
* ``non-negative``: no value below 0. With ``consistent`` the two hold together; pixels whose colour
  no spectrum without negative values has are counted, and given the nearest colour there is.
* ``exposure-invariant``: k times the image gives k times the cube, to rounding: the method sees
  every image scaled to a maximum of 1. It costs what a method knew about absolute levels.
* ``smooth``: no spectrum is rougher than 99 % of those of measured materials under daylight. It
  costs sharp features, such as the lines of lamps; moving into a code's bounds afterwards may
  roughen a few spectra again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Capture, Track, get_track, make_image, require_image
from respectra.cameras.capture_camera import CaptureCamera
from respectra.cameras.tracks import has_one_camera
from respectra.cubes import make_cube, wavelengths_of
from respectra.errors import ConfigError, DataError, unknown_name
from respectra.methods import Contract
from respectra.typing import FloatArray

if TYPE_CHECKING:
    from respectra.inference.corrections import Correction


Guarantee = Literal[
    "consistent", "consistent-exact", "non-negative", "exposure-invariant", "smooth"
]
GUARANTEES: tuple[Guarantee, ...] = get_args(Guarantee)

#: 99th percentile of ‖second differences at 10 nm‖ / ‖spectrum‖ of 7618 measured reflectances
#: (colour-science, earthlib) under daylight and equal energy.
ROUGHEST = 0.24
_SAMPLE = 10_000
STRENGTHS = tuple(float(x) for x in np.geomspace(0.02, 2e4, 13))


@dataclasses.dataclass(frozen=True)
class Report:
    """What keeping the guarantees meant for the pixels of an image."""

    pixels: int
    moved: int
    """Pixels whose spectrum had to be moved to be consistent."""
    unreachable: npt.NDArray[np.bool_]
    """Shape (y, x): pixels whose values no allowed spectrum gives."""
    relative_change: float
    """Mean over a sample of pixels of ‖change‖ / ‖estimate‖."""
    rough: int
    """Pixels rougher than ``ROUGHEST`` in the end; counted with ``smooth``, else 0."""


def check_guarantees(names: Iterable[str]) -> frozenset[Guarantee]:
    """The guarantees of these names; a single one may stand alone.

    Raises:
        ConfigError: an unknown name, or two that exclude each other.
    """
    asked = [names] if isinstance(names, str) else list(names)
    for name in asked:
        if name not in GUARANTEES:
            raise unknown_name("guarantee", name, GUARANTEES)
    if {"consistent", "consistent-exact"} <= set(asked):
        raise ConfigError("'consistent' and 'consistent-exact' exclude each other; give one")
    return frozenset(name for name in GUARANTEES if name in asked)


class Guarantees:
    """The guarantees of a reconstructor.

    Args:
        names: any of ``GUARANTEES``.
        contract: what the weights expect; its capture, or its track and response, are the camera.
        correction: what references taught of the method's errors; it comes first.

    Raises:
        ConfigError: an unknown name, or consistency with a camera that is not known or with a
            method that gives reflectances.
    """

    def __init__(
        self, names: Iterable[str], contract: Contract, correction: Correction | None = None
    ) -> None:
        self.names = check_guarantees(names)
        self.correction = correction
        self.track = camera_of(contract) if self.consistent else None

    def __bool__(self) -> bool:
        return bool(self.names) or self.correction is not None

    @property
    def correction_key(self) -> str | None:
        """A short name for the correction; another one has another."""
        return None if self.correction is None else self.correction.key

    def bytes_per_pixel(self, bands: int) -> int:
        """Memory that keeping them takes: spectra that move, and their bounds."""
        return 2 * 4 * bands + 4 * 3 * 8 if self else 0

    def kept_by(self, names: frozenset[str]) -> bool:
        """Whether a method that keeps these by itself needs nothing done to its cubes."""
        return self.correction is None and self.names <= names

    def deviation(
        self, cube: xr.DataArray, image: xr.DataArray, own: npt.NDArray[np.float32] | None
    ) -> npt.NDArray[np.float32]:
        """Standard deviation of the error of each value, from the method's own, if it says it.

        ``own`` is (y, x, band); the cube has the guarantees kept, the image holds linear values.
        """
        if self.correction is None:
            assert own is not None
            return own
        return self.correction.deviation(cube, image, own)

    @property
    def consistent(self) -> bool:
        """Whether the cube is tied to the image at all."""
        return bool(self.names & {"consistent", "consistent-exact"})

    @property
    def by_pixels(self) -> bool:
        """Whether they can be kept by a part of an image without its surroundings.

        Consistency with a noisy camera cannot: it is one of neighbourhoods.
        """
        return self.track is None or self.track.exact

    @property
    def scales(self) -> bool:
        """Whether the brightest value of the whole image has to be known."""
        return "exposure-invariant" in self.names

    def scale(self, image: xr.DataArray, top: float | None = None) -> tuple[xr.DataArray, float]:
        """The image as the method is to see it, and what its cube has to be multiplied by.

        Args:
            image: linear values of the track; a whole image, or a part of one.
            top: largest value of the whole image, for a part.
        """
        if not self.scales:
            return image, 1.0
        top = float(image.values.max()) if top is None else top
        if top in (0.0, 1.0):
            return image, 1.0
        attrs = {"encoding": "linear", "track": image.attrs.get("track", "unknown"), "bits": 32}
        return make_image(np.minimum(image.values / np.float32(top), 1.0), **attrs), top

    def enforce(
        self,
        cube: xr.DataArray,
        image: xr.DataArray,
        factor: float = 1.0,
        *,
        in_place: bool = False,
    ) -> tuple[xr.DataArray, Report]:
        """The cube with the guarantees kept.

        Args:
            cube: what the method made of the image, or of the image that ``scale`` gave.
            image: the image itself, linear values of the track.
            factor: what ``scale`` gave.
            in_place: the cube's own values may be changed, which spares a copy.

        Raises:
            DataError: the method gave values that are not finite, or the sizes disagree.
        """
        picture = require_image(image)
        height, width = picture.sizes["y"], picture.sizes["x"]
        if cube.shape[:2] != (height, width):
            raise DataError(
                f"the cube has {cube.sizes['y']} x {cube.sizes['x']} pixels, its image "
                f"{height} x {width}; they have to be of one size"
            )
        bands = cube.sizes["wavelength"]
        values = cube.values
        if in_place:
            values = np.require(values, np.float32, ["C", "W"])
        else:
            values = np.array(values, np.float32, order="C")
        spectra = values.reshape(-1, bands)
        if factor != 1.0:
            spectra *= np.float32(factor)
        sample = slice(None, None, sample_step(len(spectra)))
        before = spectra[sample].copy()
        grid = wavelengths_of(cube)
        attrs: dict[str, Any] = dict(cube.attrs)
        if self.correction is not None:
            self.correction.apply(spectra, picture, grid)
        non_negative = "non-negative" in self.names
        if "smooth" in self.names:
            smooth(spectra, grid)
        if non_negative:
            np.maximum(spectra, 0.0, out=spectra)
        status = np.zeros(len(spectra), np.uint8)
        if self.track is not None:
            status = self._move(self.track, spectra, picture, cube, non_negative)
        report = Report(
            pixels=status.size,
            moved=int((status == 1).sum()),
            unreachable=(status == 2).reshape(height, width),
            relative_change=_relative_change(before, spectra[sample]),
            rough=_count_rough(spectra, grid) if "smooth" in self.names else 0,
        )
        attrs |= self.facts(int(report.unreachable.sum()))
        return make_cube(spectra.reshape(cube.shape), grid, **attrs), report

    def facts(self, unreachable: int = 0, *, kept: frozenset[str] = frozenset()) -> dict[str, Any]:
        """What is written down with a cube that keeps them.

        Args:
            unreachable: pixels whose values no allowed spectrum gives.
            kept: what the method keeps by itself, where nothing else was done to its cube.
        """
        found: dict[str, Any] = {}
        if self.correction is not None:
            found["references"] = self.correction.summary
        if names := kept if self.kept_by(kept) else self.names:
            found["guarantees"] = ", ".join(sorted(names))
        if unreachable:
            found["unreachable_pixels"] = unreachable
        return found

    def _move(
        self,
        track: Track | CaptureCamera,
        spectra: npt.NDArray[np.float32],
        image: xr.DataArray,
        cube: xr.DataArray,
        non_negative: bool,
    ) -> npt.NDArray[np.uint8]:
        from respectra.inference.nearest_spectra import NOT_FINITE, move_into

        camera = track.response_matrix(wavelengths_of(cube))
        if not track.exact:
            from respectra.inference.soft_consistency import denoised_values

            seen = (spectra.astype(np.float64) @ camera).reshape(image.shape)
            low = high = denoised_values(track, image, seen)
        else:
            low, high = self.bounds(track, image)
        status = move_into(
            spectra,
            camera,
            np.ascontiguousarray(low.reshape(-1, 3)),
            np.ascontiguousarray(high.reshape(-1, 3)),
            non_negative=non_negative,
        )
        require_finite(int((status == NOT_FINITE).sum()))
        return status

    def bounds(
        self, track: Track | CaptureCamera, image: xr.DataArray
    ) -> tuple[FloatArray, FloatArray]:
        """Least and largest linear values, (y, x, 3), of an exact camera that are consistent."""
        low, high = track.code_bounds(image)
        if "consistent-exact" in self.names:
            middle = track.invert_codes(image)
            high = np.where(np.isinf(high), high, middle)
            low = np.where(np.isinf(high), low, middle)
        return low, high


def require_finite(broken: int) -> None:
    """Refuse a cube with values that are not finite at some pixels.

    Raises:
        DataError: there are any.
    """
    if broken:
        raise DataError(
            f"the method gave NaN or infinite values at {broken} pixels, which no guarantee "
            "can mend; check its weights and the image"
        )


def sample_step(pixels: int) -> int:
    """Of how many pixels one is looked at, for the change of a cube."""
    return max(1, pixels // _SAMPLE)


def camera_of(contract: Contract) -> Track | CaptureCamera:
    """What took the pictures: the capture that the weights are for, or the track of their own.

    Raises:
        ConfigError: it gives reflectances, or its camera is not known.
    """
    if contract.capture is not None:
        capture = Capture.from_json(contract.capture, where="the contract's capture")
        return CaptureCamera(capture, contract.quantity)
    if contract.quantity != "radiance":
        raise ConfigError(
            f"these weights give {contract.quantity}, which no camera sees without knowing the "
            "light; state the capture: camera and light"
        )
    if contract.response is not None:
        return get_track(contract.track, response=contract.response.to_response())
    if has_one_camera(contract.track):
        return get_track(contract.track)
    raise ConfigError(
        f"the weights do not say which camera made their images of the track {contract.track!r}, "
        "so that nothing can be consistent with it and no other picture brought to it; use weights "
        "whose contract has a response, or take a picture's codes as they are, which is what the "
        "authors do: --kind real-world --force, or call it with rs.open_image(path)"
    )


def smooth(spectra: npt.NDArray[np.float32], wavelengths_nm: npt.NDArray[np.floating]) -> None:
    """Smooth, in place, the spectra (n, band) rougher than ``ROUGHEST``, each as much as it needs.

    s = argmin ‖s − s₀‖² + λ‖D s‖² with the second differences D and the least λ of a fixed series.
    """
    differences = second_differences(wavelengths_nm)
    rough = np.flatnonzero(roughness(spectra, differences) > ROUGHEST)
    start = spectra[rough]
    for strength in STRENGTHS:
        if not rough.size:
            return
        penalty = np.eye(start.shape[1]) + strength * differences.T @ differences
        spectra[rough] = start @ np.linalg.inv(penalty).astype(np.float32)
        still = roughness(spectra[rough], differences) > ROUGHEST
        rough, start = rough[still], start[still]


def second_differences(wavelengths_nm: npt.NDArray[np.floating]) -> FloatArray:
    """The matrix D, shape (band − 2, band), of second differences as on a 10 nm grid.

    Divided differences, so that grids of other steps measure the same curvature; each is weighted
    by its width, so that finer grids do not count more.
    """
    grid = np.asarray(wavelengths_nm, dtype=np.float64) / 10.0
    rows = np.zeros((max(grid.size - 2, 0), grid.size))
    for i in range(rows.shape[0]):
        left, right = grid[i + 1] - grid[i], grid[i + 2] - grid[i + 1]
        rows[i, i : i + 3] = 2 / np.array(
            [left * (left + right), -left * right, right * (left + right)]
        )
    return rows


def roughness(spectra: npt.NDArray[np.floating], differences: FloatArray) -> FloatArray:
    """‖D s‖ / ‖s‖ of each spectrum, shape (n,); 0 where the spectrum is 0."""
    sizes = np.linalg.norm(spectra, axis=1)
    curves = np.linalg.norm(spectra @ differences.T.astype(spectra.dtype), axis=1)
    out: FloatArray = np.divide(curves, sizes, out=np.zeros(len(sizes)), where=sizes > 0)
    return out


def _relative_change(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> float:
    change = np.linalg.norm(after - before, axis=1)
    return float(np.mean(change / np.maximum(np.linalg.norm(before, axis=1), 1e-6)))


def _count_rough(spectra: npt.NDArray[np.float32], grid: npt.NDArray[np.floating]) -> int:
    # A part in a thousand is left to the rounding of float32.
    return int((roughness(spectra, second_differences(grid)) > 1.001 * ROUGHEST).sum())
