"""A picture through a method, block by block, with what the camera makes of the result."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import xarray as xr

from respectra.cameras import InputKind, clean_to_srgb, get_track, make_image, to_track_values
from respectra.cameras.colour import encode_srgb
from respectra.cubes import make_cube
from respectra.inference import Reconstructor
from respectra.viewer.blocks import Block, Bytes, FloatArray


class PictureSource:
    """A picture, reconstructed as it is asked for, with its re-rendering beside it.

    Where the method looks at one pixel at a time, a block is computed from its own pixels; else,
    or when ``whole`` asks for it, the whole picture is reconstructed once.
    """

    pictures: tuple[str, ...] = ("picture", "rerendered", "difference")

    def __init__(
        self,
        image: xr.DataArray,
        kind: InputKind,
        reconstructor: Reconstructor,
        *,
        whole: bool = False,
    ) -> None:
        self._image, self._kind, self._reconstructor = image, kind, reconstructor
        self.height, self.width = image.sizes["y"], image.sizes["x"]
        contract = reconstructor.contract
        self.wavelengths_nm = np.asarray(contract.wavelengths_nm, np.float64)
        self.quantity: str = contract.quantity
        # Noise is not rendered again, so that only the first track gives codes.
        track = "real-world" if kind == "real-world" else "clean"
        self._track = get_track(track, negative="clip")
        self._whole: FloatArray | None = None
        # Scaling by the picture's brightest value needs the whole picture as well.
        if reconstructor.card.kind != "classical" or whole:
            self._whole = reconstructor(to_track_values(image, kind)).values

    def block(self, rows: slice, columns: slice) -> Block:
        """The rectangle."""
        part = self._image[rows, columns]
        if self._whole is None:
            spectra = self._reconstructor(to_track_values(part, self._kind)).values
        else:
            spectra = self._whole[rows, columns]
        shown = self._display(part)
        seen = self._rendered(spectra)
        again = self._display(seen)
        gap = np.abs(self._codes(part).astype(np.int16) - self._codes(seen)).max(axis=2)
        return Block(
            np.asarray(spectra, np.float32),
            pictures={
                "picture": shown,
                "rerendered": again,
                "difference": gap.astype(np.uint8)[..., None],
            },
        )

    def _rendered(self, spectra: FloatArray) -> xr.DataArray:
        """What the camera makes of the spectra, as an image like the one that was given."""
        cube = make_cube(spectra, self.wavelengths_nm)
        if self._kind == "clean":
            return self._track.label(self._track.render_codes(cube))
        linear = np.clip(self._track.project(cube).values, 0.0, 1.0)
        seen = make_image(linear, encoding="linear", bits=32, track=self._track.name)
        return clean_to_srgb(seen) if self._kind in ("srgb", "linear") else seen

    def _codes(self, image: xr.DataArray) -> Bytes:
        """8-bit codes in which two pictures are compared: those of the file, or of a display."""
        values: Any = image.values
        if self._kind == "linear" and image.attrs.get("encoding") == "linear":
            values = encode_srgb(values)
        return cast(Bytes, np.rint(values * 255.0).astype(np.uint8))

    def _display(self, image: xr.DataArray) -> Bytes:
        values: Any = image.values
        if image.attrs.get("encoding") == "linear":
            values = encode_srgb(values)
        return cast(Bytes, np.rint(values * 255.0).astype(np.uint8))
