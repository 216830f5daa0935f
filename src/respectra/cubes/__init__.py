"""Cubes: hyperspectral images with dims (y, x, wavelength) and wavelengths that are known."""

from respectra.cubes.model import (
    CHALLENGE_WAVELENGTHS_NM,
    DIMS,
    Quantity,
    check_wavelengths,
    make_cube,
    require_cube,
    wavelengths_of,
)

__all__ = [
    "CHALLENGE_WAVELENGTHS_NM",
    "DIMS",
    "Quantity",
    "check_wavelengths",
    "make_cube",
    "require_cube",
    "wavelengths_of",
]
