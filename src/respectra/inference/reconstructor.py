"""The reconstructor: a method, its weights and its contract, ready to turn images into cubes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from respectra.cameras import require_image, to_track_values
from respectra.cubes import make_cube
from respectra.errors import ConfigError, DataError, unknown_name
from respectra.inference.predictors import FloatArray, make_predictor
from respectra.inference.tiling import predict_native, predict_tiles
from respectra.methods import (
    Card,
    Contract,
    Tiling,
    Weights,
    get_method,
    list_methods,
    load_weights,
)
from respectra.methods.fitting import fit_on_measured_spectra
from respectra.methods.network import NetworkMethod
from respectra.methods.shipped import shipped

#: The weights that ship with the package, one set a track.
DEFAULT = "default"
#: Side of a tile when the user leaves the choice to us.
AUTO_SIDE = 512


class Reconstructor:
    """Turns an image into a cube.

    Args:
        weights: method, configuration, contract and what was learned.
        tile: ``auto``, the side of a tile in pixels, or None for the whole image at once. Where
            the card says that tiles are exact, the answer does not depend on it.
        device: ``cpu``, ``cuda``, ...

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
        device: str = "cpu",
    ) -> None:
        if isinstance(tile, int) and tile < 1:
            raise ConfigError(f"a tile is at least 1 pixel wide; got {tile}")
        self.weights = weights
        self.tile = tile
        self._predict = make_predictor(weights, device=device)

    @property
    def card(self) -> Card:
        """What is known of the method."""
        return get_method(self.weights.method).card

    @property
    def contract(self) -> Contract:
        """What the weights expect and give."""
        return self.weights.contract

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
        """
        picture = require_image(image)
        if picture.attrs.get("encoding") == "srgb":
            picture = to_track_values(picture, "srgb")
        spectra = self.predict(np.asarray(picture.values, dtype=np.float32))
        return make_cube(
            spectra,
            self.contract.wavelengths_nm,
            quantity=self.contract.quantity,
            source=f"reconstructed by {self.name}",
            method=self.name,
            track=self.contract.track,
        )

    def predict(self, rgb: FloatArray) -> FloatArray:
        """Spectra (y, x, band), float32, of linear values (y, x, 3) in the units of the track."""
        height, width = rgb.shape[:2]
        smallest = self.card.size_minimum
        if min(height, width) < smallest:
            raise DataError(
                f"{self.name} needs images of at least {smallest} x {smallest} pixels; "
                f"got {height} x {width}"
            )
        pixels = self.contract.prepare(rgb)
        return self.contract.finish(self._spectra(pixels))

    def _spectra(self, pixels: FloatArray) -> FloatArray:
        card, bands = self.card, self.contract.bands
        if card.tiling is Tiling.NATIVE and card.native_tile is not None:
            return predict_native(self._predict, pixels, card.native_tile, bands)
        halo = self._halo()
        if self.tile is None or halo is None or card.tiling is not Tiling.EXACT:
            return self._predict(pixels)
        side = AUTO_SIDE if self.tile == "auto" else self.tile
        side = -(-side // card.size_multiple) * card.size_multiple
        return predict_tiles(
            self._predict,
            pixels,
            bands=bands,
            side=side,
            halo=halo,
            multiple=card.size_multiple,
        )

    def _halo(self) -> int | None:
        method = get_method(self.weights.method)
        return method.halo(self.weights.config) if isinstance(method, NetworkMethod) else 0


def load(
    source: str | os.PathLike[str] = DEFAULT,
    *,
    track: str = "clean",
    tile: int | Literal["auto"] | None = "auto",
    device: str = "cpu",
) -> Reconstructor:
    """Make a reconstructor.

    Args:
        source: a weights file; ``default``, the weights that ship with the package for the track;
            or the name of a classical method, which is then fitted within seconds on the measured
            spectra that the installed packages bring.
        track: track of the images, for everything that is not a file.
        tile: see :class:`Reconstructor`.
        device: see :class:`Reconstructor`.

    Raises:
        ConfigError: there are no such weights.
        FormatError: the file is not a weights file.
    """
    return Reconstructor(find_weights(source, track=track), tile=tile, device=device)


def find_weights(source: str | os.PathLike[str], *, track: str = "clean") -> Weights:
    """The weights that :func:`load` would use."""
    name = os.fspath(source)
    if name == DEFAULT:
        return load_weights(shipped(track))
    classical = list_methods("classical")
    if name in classical:
        return fit_on_measured_spectra(name, track=track)
    if Path(name).suffix or os.sep in name or Path(name).exists():
        return load_weights(name)
    if name in list_methods("network"):
        raise ConfigError(
            f"no weights of {name!r} ship with the package; train it, or bring the authors' "
            f"checkpoint in with: respectra import-weights {name} FILE -o {name}.safetensors"
        )
    raise unknown_name("method or weights file", name, [DEFAULT, *classical])
