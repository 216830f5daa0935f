"""Cubes: hyperspectral images with dims (y, x, wavelength) and wavelengths that are known."""

from respectra.cubes.io import open_cube, parse_wavelengths, save_cube
from respectra.cubes.model import (
    CHALLENGE_WAVELENGTHS_NM,
    DIMS,
    Quantity,
    check_wavelengths,
    make_cube,
    require_cube,
    wavelengths_of,
)
from respectra.cubes.observers import colour_matching, illuminant, list_illuminants

__all__ = [
    "CHALLENGE_WAVELENGTHS_NM",
    "DIMS",
    "Quantity",
    "check_wavelengths",
    "colour_matching",
    "illuminant",
    "list_illuminants",
    "make_cube",
    "open_cube",
    "parse_wavelengths",
    "require_cube",
    "save_cube",
    "wavelengths_of",
]
