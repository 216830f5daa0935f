"""The track: a response, a sensor and a codec that together turn a cube into an image."""

from __future__ import annotations

import abc
import dataclasses
import functools
import importlib.metadata
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import xarray as xr

import respectra
from respectra.cameras import codec, sensor
from respectra.cameras.images import (
    CHANNELS,
    DIMS,
    code_bounds,
    make_image,
    middle_of_codes,
    require_image,
)
from respectra.cameras.responses import band_weights, built_in_responses, resample_response
from respectra.config import Config
from respectra.cubes import make_cube, require_cube, wavelengths_of
from respectra.cubes.model import by_chunk, is_chunked
from respectra.errors import DataError
from respectra.typing import Float32Array, FloatArray

_HIGHEST_CODE = np.float32(255.0)
_LIBRARIES = ("numpy", "opencv-python-headless", "colour-science")


@dataclasses.dataclass(frozen=True, eq=False)
class Track(abc.ABC):
    """A camera and its processing; made by ``get_track``.

    The linear value of a pixel is ``v = spectrum @ response_matrix``, where 1 is full scale.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> track = rs.get_track("clean")
        >>> image = track.render(rs.make_cube(np.full((2, 2, 31), 0.5), range(400, 701, 10)))
        >>> image.attrs["track"], track.response.sizes["channel"]
        ('clean', 3)
    """

    options: Config
    response: xr.DataArray
    """On its own wavelengths, which need not be a cube's."""
    seed: int = 0
    """Where the noise comes from, unless ``render`` is given another."""

    name: ClassVar[str]
    summary: ClassVar[str]
    file_suffix: ClassVar[str]
    """Added to a scene's name to give the name of its image, as the challenge does."""
    title: ClassVar[str]
    """As tables write it."""
    exact: ClassVar[bool]
    """Whether a code says, without noise or compression, between which bounds the value lay."""
    one_camera: ClassVar[bool] = False
    """Whether all images are of the default response, so that weights need not say which."""
    keeps_exposure: ClassVar[bool] = True
    """Whether twice the light gives twice the values."""
    by_pixel: ClassVar[bool] = False
    """Whether a pixel's codes follow from its own spectrum alone."""
    option_type: ClassVar[type[Config]]
    """Its options, with their defaults."""
    default_response: ClassVar[str]
    """Name of the response that it uses unless told otherwise."""

    def render(self, cube: xr.DataArray, *, seed: int | None = None, key: str = "") -> xr.DataArray:
        """The image that the track makes of a cube, as read back from its file.

        Args:
            cube: dims (y, x, wavelength), on any wavelengths that the response covers.
            seed: where the noise comes from; the track's own by default.
            key: tells scenes apart that share a seed, such as a file's name.

        Returns:
            dims (y, x, channel), linear, 8-bit codes / 255; the attribute ``recipe`` says how it
            was made. Of a cube on dask's chunks, on chunks as well, and computed when it is asked
            for: chunk by chunk where each pixel stands for itself, else as one (noise, mosaic and
            JPEG are those of a whole picture).

        Raises:
            DataError: the cube holds NaN or infinite values, or values the track refuses.
        """
        if isinstance(cube, xr.DataArray) and is_chunked(cube):
            return self._render_lazily(require_cube(cube), seed, key)
        codes = self.render_codes(cube, seed=seed, key=key)
        return self.label(self.through_codec(codes), seed=seed, key=key)

    def _render_lazily(self, cube: xr.DataArray, seed: int | None, key: str) -> xr.DataArray:
        grid = wavelengths_of(cube)
        self.response_matrix(grid)  # says now what cannot be rendered
        if not self.by_pixel:
            cube = cube.chunk({"y": -1, "x": -1})
        values = by_chunk(cube, _render_values, 3, track=self, grid=grid, seed=seed, key=key)
        sample = self.label(np.zeros((1, 1, 3), np.uint8), seed=seed, key=key)
        return xr.DataArray(
            values, dims=DIMS, coords=sample.coords, attrs=sample.attrs, name=sample.name
        )

    @abc.abstractmethod
    def render_codes(
        self, cube: xr.DataArray, *, seed: int | None = None, key: str = ""
    ) -> codec.Codes:
        """The camera's 8-bit codes before the file codec, shape (y, x, 3). See ``render``."""

    def with_electrons(self, electrons: float, per_unit: float) -> Track | None:
        """The same track with other shot noise; None where it has no noise of its own.

        Args:
            electrons: that the mean of an image's green channel stands for.
            per_unit: that a linear value of 1 stands for.
        """
        return None

    @abc.abstractmethod
    def encode(self, codes: codec.Codes) -> bytes:
        """The file that the track writes for these codes."""

    def through_codec(self, codes: codec.Codes) -> codec.Codes:
        """The codes after having been written to a file and read back."""
        return codec.decode(self.encode(codes))

    def label(self, codes: codec.Codes, *, seed: int | None = None, key: str = "") -> xr.DataArray:
        """The image of 8-bit codes that this track made with this seed and key."""
        recipe = self.recipe(seed=seed, key=key)
        return make_image(
            np.divide(codes, _HIGHEST_CODE, dtype=np.float32),
            encoding="linear",
            bits=8,
            track=self.name,
            recipe=recipe,
        )

    def response_matrix(self, wavelengths_nm: npt.ArrayLike) -> FloatArray:
        """The matrix M, shape (band, 3), of the linear model ``v = spectrum @ M``.

        The response is sampled at each band, weighted by the band's width (1 on a 10 nm grid), and
        divided by full scale.

        Raises:
            DataError: the wavelengths go beyond what is known of the camera.
        """
        return self.signal_matrix(wavelengths_nm) / self.full_scale

    def signal_matrix(self, wavelengths_nm: npt.ArrayLike) -> FloatArray:
        """The response at each band times the band's width, shape (band, 3), in its own scale.

        Raises:
            DataError: the wavelengths go beyond what is known of the camera.
        """
        sampled = resample_response(self.response, wavelengths_nm)
        weights = band_weights(wavelengths_nm)
        return np.asarray(sampled.values * weights[:, None], dtype=np.float64)

    @property
    @abc.abstractmethod
    def full_scale(self) -> float:
        """The signal that counts as 1."""

    @property
    def released_scale(self) -> float:
        """The signal that is 1 in the training code of AWAN's authors."""
        return self.full_scale

    def project(self, cube: xr.DataArray) -> xr.DataArray:
        """The linear value v of each pixel before noise, clipping and quantisation.

        Returns:
            dims (y, x, channel), float64, not clipped; 1 is full scale.

        Raises:
            DataError: the cube holds NaN or infinite values.
        """
        cube = require_cube(cube)
        matrix = self.response_matrix(wavelengths_of(cube))
        linear = sensor.project(sensor.cube_values(cube), matrix)
        return xr.DataArray(
            linear,
            dims=DIMS,
            coords={"channel": list(CHANNELS)},
            attrs={"encoding": "linear", "track": self.name},
            name="linear",
        )

    def code_bounds(self, image: xr.DataArray) -> tuple[FloatArray, FloatArray]:
        """Between which linear values each code of an image lies: low ≤ v < high.

        The highest code has no upper bound (infinity). Values that were never quantised
        (``bits`` above 16) are their own bounds. Only where the track is ``exact`` did the scene's
        own values lie there; noise, demosaicing and JPEG move the others.

        Returns:
            two arrays of shape (y, x, 3), float64.
        """
        values = np.asarray(require_image(image).values, dtype=np.float64)
        return code_bounds(values, int(image.attrs.get("bits", 8)), self.rounding)

    def invert_codes(self, image: xr.DataArray) -> FloatArray:
        """The linear value in the middle of each code's bounds; full scale for the highest.

        Rendering these values gives the same codes again.

        Returns:
            shape (y, x, 3), float64, in the units of ``project``.
        """
        return middle_of_codes(*self.code_bounds(image))

    @property
    def rounding(self) -> codec.Rounding:
        """How values become codes."""
        rounding: codec.Rounding = getattr(self.options, "rounding", "truncate")
        return rounding

    def recipe(self, *, seed: int | None = None, key: str = "") -> dict[str, Any]:
        """Everything that is needed to render the same bytes again, as plain values."""
        name, source = self.response.attrs["name"], self.response.attrs["source"]
        response: dict[str, Any] = {"name": name, "source": source}
        if name not in built_in_responses():
            response["wavelengths_nm"] = wavelengths_of(self.response).tolist()
            response["values"] = self.response.values.tolist()
        return {
            "track": self.name,
            "response": response,
            "options": self.options.model_dump(mode="json"),
            "seed": self.seed if seed is None else seed,
            "key": key,
            "versions": {"respectra": respectra.__version__, **_library_versions()},
        }


def _render_values(
    block: Float32Array, track: Track, grid: FloatArray, seed: int | None, key: str
) -> Float32Array:
    """The values of the image of a part, on a worker."""
    image = track.render(make_cube(block, grid), seed=seed, key=key)
    return np.asarray(image.values, np.float32)


def refuse_negative(linear: FloatArray, policy: str) -> FloatArray:
    """Apply what a track does about negative signals.

    Raises:
        DataError: there is one, and the policy is ``refuse``.
    """
    low = float(linear.min())
    if low >= 0:
        return linear
    if policy == "clip":
        return np.maximum(linear, 0.0)
    raise DataError(
        f"the cube gives negative signals (down to {low:.3g}), which no camera records; "
        "clip the cube at 0 or pass the option negative='clip'"
    )


@functools.cache
def _library_versions() -> dict[str, str]:
    versions = {}
    for library in _LIBRARIES:
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:  # another build of the same library
            continue
    return versions
