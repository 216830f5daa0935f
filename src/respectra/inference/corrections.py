"""Corrections: what references taught of a method's errors, applied to the cubes of a capture.

A correction is a posterior over all colours (see :mod:`respectra.inference.reference_process`), and
the references' own errors at their own colours. Afterwards each spectrum makes the least relative
change that puts the pixel's R, G, B back.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Track
from respectra.cameras.capture_camera import CaptureCamera
from respectra.errors import ConfigError, DataError, FormatError, no_file
from respectra.files import atomic_path
from respectra.guards.text import read_object
from respectra.inference.cache import fingerprint
from respectra.inference.colours import fill, find_colours, in_rows, same_rows
from respectra.inference.guarantees import camera_of
from respectra.inference.reference_process import Lengths, posterior
from respectra.inference.reference_tables import FactorTable, axes, features
from respectra.methods import Contract
from respectra.typing import FloatArray

if TYPE_CHECKING:
    from torch import Tensor

    from respectra.inference.reconstructor import Reconstructor

Camera = Track | CaptureCamera

#: On this machine, or on a device.
Spectra = TypeVar("Spectra", npt.NDArray[np.float32], "Tensor")

FORMAT, VERSION = "respectra correction", 1
#: Pixels that are corrected at a time, and in which colours that they share are looked for.
_STRIP, _SHARING = 2**18, 2**20
#: Values that differ by less, in full scale, are one colour.
_SAME_COLOUR = 1e-4


@dataclass(frozen=True, eq=False)
class Correction:
    """What references taught of a method's errors.

    Attributes:
        values: shape (n, 3), linear R, G, B of the references' pixels.
        ratios: shape (n, band), log(true / recovered).
        wavelengths_nm: shape (band,).
        white: shape (3,), R, G, B of a perfect white.
        response: shape (band, 3), or None where the camera is not known.
        lengths: chosen by cross-validation.
        before: mean relative error of left-out references without a correction.
        after: and with it.
        camera: what explains the picture's codes; None where it is not known.
        noise: shape (n,), of the references over the process; see ``noise_of``. None: none.
    """

    values: FloatArray
    ratios: FloatArray
    wavelengths_nm: FloatArray
    white: FloatArray
    response: FloatArray | None
    lengths: Lengths
    before: float
    after: float
    camera: Camera | None = None
    noise: FloatArray | None = None

    @property
    def key(self) -> str:
        """A short name; another correction has another."""
        noise = None if self.noise is None else self.noise.tolist()
        return fingerprint(self.values.tolist(), self.ratios.tolist(), noise, str(self.lengths))

    @property
    def summary(self) -> str:
        """In words, for a cube's attributes."""
        number = len(self.values)
        count = f"{number} reference" + "s" * (number != 1)
        if number < 3:
            return f"{count}: no correction, which takes three that can be compared"
        if self.lengths.share == 0:
            return f"{count}: no correction, which cross-validation says would not help"
        return (
            f"{count}: error of left-out ones {self.before:.3f} without the correction, "
            f"{self.after:.3f} with it"
        )

    def apply(
        self, spectra: npt.NDArray[np.float32], image: xr.DataArray, wavelengths_nm: npt.ArrayLike
    ) -> None:
        """Correct spectra (n, band) in place and put the picture's R, G, B back.

        The picture holds linear values, and its n pixels are in the spectra's order.

        Raises:
            DataError: other wavelengths than the references'.
        """
        self.require_grid(wavelengths_nm)
        if not self.table.unchanged:
            for part, some in self.strips(image, spectra, _SHARING):
                self._correct_colours(part, some)

    def require_grid(self, wavelengths_nm: npt.ArrayLike) -> None:
        """Refuse cubes of other bands.

        Raises:
            DataError: other wavelengths than the references'.
        """
        if not np.allclose(wavelengths_nm, self.wavelengths_nm):
            raise DataError("the correction was made for cubes of other wavelengths; fit it again")

    @staticmethod
    def strips(
        image: xr.DataArray, spectra: Spectra, pixels: int = _STRIP
    ) -> Iterator[tuple[xr.DataArray, Spectra]]:
        """Some rows of a picture at a time with their spectra: bounds of all would take memory."""
        width = image.sizes["x"]
        rows = max(1, pixels // width)
        for top in range(0, image.sizes["y"], rows):
            yield image[top : top + rows], spectra[top * width : (top + rows) * width]

    def _correct_colours(self, image: xr.DataArray, spectra: npt.NDArray[np.float32]) -> None:
        """Correct spectra in place; those of a colour once, where they are all alike."""
        colours = find_colours(np.ascontiguousarray(image.values, np.float32))
        if colours is None:
            return self._correct(image, spectra)
        # Some pixel of each colour.
        of_colour = np.empty(len(colours.values), np.int64)
        of_colour[colours.number] = np.arange(len(spectra))
        table = spectra[of_colour]
        if not same_rows(table, colours.number, spectra):  # what is around a pixel counts too
            return self._correct(image, spectra)
        table = in_rows(table)
        picture = xr.DataArray(
            in_rows(colours.values), image.coords["channel"].coords, image.dims, attrs=image.attrs
        )
        table = table.reshape(-1, table.shape[-1])
        self._correct(picture, table)
        fill(table, colours.number, spectra)

    def _correct(self, image: xr.DataArray, spectra: npt.NDArray[np.float32]) -> None:
        from respectra.inference.nearest_spectra import move_into

        for part, some in self.strips(image, spectra):
            rgb = np.ascontiguousarray(part.values, np.float32).reshape(-1, 3)
            if self.table.multiply(some, rgb) and self.response is not None:
                move_into(some, self.response, *self.bounds(part))

    def deviation(
        self, cube: xr.DataArray, image: xr.DataArray, own: npt.NDArray[np.float32] | None
    ) -> npt.NDArray[np.float32]:
        """Standard deviation of the error of each value of a corrected cube, after the references.

        ``own`` is what the method says of itself without references, or None.
        """
        rgb = np.ascontiguousarray(image.values, np.float32).reshape(-1, 3)
        left = self.table.spread(rgb).reshape(*cube.shape[:2], 1)
        if own is not None:
            return np.asarray(own * left, np.float32)
        # The spread of the method's own errors at the references is the prior.
        prior = np.sqrt(np.mean(self.ratios**2, axis=0)).astype(np.float32)
        return np.asarray(np.abs(cube.values) * prior * left, np.float32)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write one JSON file, for other pictures of the same capture and method.

        Raises:
            OutputError: the file exists and ``overwrite`` is false, or cannot be written.
        """
        record = {
            "format": FORMAT,
            "version": VERSION,
            "values": self.values.tolist(),
            "ratios": self.ratios.tolist(),
            "wavelengths_nm": self.wavelengths_nm.tolist(),
            "white": self.white.tolist(),
            "lengths": self.lengths.__dict__,
            "before": self.before,
            "after": self.after,
        }
        if self.noise is not None:
            record["noise"] = self.noise.tolist()
        with atomic_path(path, overwrite=overwrite) as temporary:
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str], reconstructor: Reconstructor) -> Correction:
        """Read what :meth:`save` wrote, for a reconstructor of the same capture.

        Raises:
            FormatError: no such file, not a correction, of another version, or damaged.
        """
        file = Path(path)
        try:
            record = read_object(file)
            if record["format"] != FORMAT or record["version"] != VERSION:
                raise FormatError(f"{file} is not a correction of version {VERSION}; fit it again")
            arrays = {k: np.array(record[k]) for k in ("values", "ratios", "wavelengths_nm")}
            camera, response = camera_and_response(reconstructor.contract)
            return cls(
                **arrays,
                white=np.array(record["white"]),
                response=response,
                lengths=Lengths(**record["lengths"]),
                before=float(record["before"]),
                after=float(record["after"]),
                camera=camera,
                noise=np.array(record["noise"]) if "noise" in record else None,
            )
        except FileNotFoundError:
            raise no_file(file) from None
        except (OSError, KeyError, TypeError, ValueError) as error:
            if isinstance(error, FormatError):
                raise
            raise FormatError(f"{file} cannot be read as a correction: {error}") from None

    @property
    def table(self) -> FactorTable:
        """The factors by colour; made once."""
        table: FactorTable | None = self.__dict__.get("_made")
        if table is None:
            noise = 0.0 if self.noise is None else self.noise
            at = axes(features(self.values, self.white), self.lengths.chroma)
            after = posterior(self.values, self.ratios, self.white, self.lengths, noise)
            table = FactorTable(self.white, self.ratios.shape[1], after, at)
            table.pin(self.values, self.ratios, _SAME_COLOUR)
            object.__setattr__(self, "_made", table)
        return table

    def bounds(self, image: xr.DataArray) -> tuple[FloatArray, FloatArray]:
        """Least and largest linear values of a picture's pixels, shape (n, 3) each."""
        assert self.camera is not None
        if self.camera.exact:
            low, high = self.camera.code_bounds(image)
        else:
            low = high = np.asarray(image.values, np.float64)
        return (
            np.ascontiguousarray(low.reshape(-1, 3)),
            np.ascontiguousarray(high.reshape(-1, 3)),
        )


def camera_and_response(contract: Contract) -> tuple[Camera | None, FloatArray | None]:
    """What explains the picture's codes, and its response; None where it is not known."""
    try:
        camera = camera_of(contract)
    except ConfigError:
        return None, None
    return camera, camera.response_matrix(contract.wavelengths_nm)
