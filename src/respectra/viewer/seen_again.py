"""What the camera sees again: recovered spectra beside the picture that they came from."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import InputKind, get_track, make_image, track_of_kind
from respectra.cameras.capture_camera import CaptureCamera
from respectra.colour import encode_srgb
from respectra.cubes import make_cube
from respectra.inference import Reconstructor
from respectra.typing import Float32Array
from respectra.viewer.blocks import Bytes

#: Depth of the codes that are compared with those of the file themselves.
_BITS = 8


class SeenAgain:
    """Renders spectra as the camera of a picture would have seen them.

    Args:
        kind: what the values of the picture are.
        reconstructor: for the picture's capture, or for its track where there is none.
    """

    def __init__(self, kind: InputKind, reconstructor: Reconstructor) -> None:
        self._kind, self._reconstructor = kind, reconstructor
        self._grid = np.asarray(reconstructor.contract.wavelengths_nm, np.float64)
        # Noise is not rendered again, so that only the first track gives codes.
        self._track = get_track(track_of_kind(kind), negative="clip")
        capture = reconstructor.capture
        self._camera: CaptureCamera | None = None
        if capture is not None:
            self._camera = CaptureCamera(capture, reconstructor.contract.quantity)
        seen = self._camera or self._track
        self._matrix = seen.response_matrix(self._grid).astype(np.float32)
        self._photograph = capture is not None and capture.is_photograph
        self._to_display: npt.NDArray[np.float32] | None = None
        if capture is not None and not self._photograph:
            self._to_display = (1.0 / capture.white_values(self._grid)).astype(np.float32)

    def beside(self, part: xr.DataArray, spectra: Float32Array) -> dict[str, Bytes]:
        """The planes ``picture``, ``rerendered`` and ``difference``, shape (pixel, channel).

        Args:
            part: of the picture, as its file holds it.
            spectra: shape (y, x, band), of the same pixels.
        """
        given, seen = self._alike(part, spectra)
        gap = np.abs(self._codes(given).astype(np.int16) - self._codes(seen)).max(axis=2)
        return {
            "picture": self._display(given).reshape(-1, 3),
            "rerendered": self._display(seen).reshape(-1, 3),
            "difference": gap.astype(np.uint8).reshape(-1, 1),
        }

    def _alike(
        self, part: xr.DataArray, spectra: Float32Array
    ) -> tuple[xr.DataArray, xr.DataArray]:
        """The picture and what the camera makes of the spectra, both in the same encoding."""
        if self._camera is None and self._kind == "clean":
            cube = make_cube(spectra, self._grid)
            return part, self._track.label(self._track.render_codes(cube))
        linear = spectra @ self._matrix
        if self._camera is not None and self._keeps_codes(part):
            return part, self._camera.develop(linear.astype(np.float64))
        given = part if self._camera is None else self._reconstructor.values_of(part, self._kind)
        again = make_image(
            np.clip(linear, 0.0, 1.0), encoding="linear", bits=32, track=self._track.name
        )
        return given, again

    def _keeps_codes(self, part: xr.DataArray) -> bool:
        """Whether the camera gives codes of the file itself."""
        capture = self._reconstructor.capture
        assert capture is not None
        calibrated = capture.tone is not None or capture.correction is not None
        encoded = part.attrs.get("encoding") == "srgb"
        return (
            part.attrs.get("bits") == _BITS
            and capture.bits in (None, _BITS)
            and not calibrated
            and encoded == (capture.camera_name == "srgb")
            and (encoded or not self._photograph)
        )

    def _codes(self, image: xr.DataArray) -> Bytes:
        """8-bit codes that are compared: those of a display for photographs, else as they are."""
        values: Any = image.values
        if self._photograph and image.attrs.get("encoding") == "linear":
            values = encode_srgb(values)
        return eight_bits(values)

    def _display(self, image: xr.DataArray) -> Bytes:
        values: Any = image.values
        if image.attrs.get("encoding") == "linear":
            if self._to_display is not None:
                values = np.clip(values * self._to_display, 0.0, 1.0)
            values = encode_srgb(values)
        return eight_bits(values)


def eight_bits(values: Any) -> Bytes:
    """Values in [0, 1] as codes."""
    return cast(Bytes, np.rint(values * 255.0).astype(np.uint8))
