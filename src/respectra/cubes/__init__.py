"""Cubes: hyperspectral images with dims (y, x, wavelength) and wavelengths that are known."""

from respectra.cubes.accessor import CubeAccessor
from respectra.cubes.checking import Finding, Report, check
from respectra.cubes.inspection import inspect
from respectra.cubes.io import open_cube, open_low_rank, parse_wavelengths, save_cube
from respectra.cubes.lowrank import LowRankCube
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
from respectra.cubes.previewing import preview, save_preview
from respectra.cubes.resampling import crop, resample

__all__ = [
    "CHALLENGE_WAVELENGTHS_NM",
    "DIMS",
    "CubeAccessor",
    "Finding",
    "LowRankCube",
    "Quantity",
    "Report",
    "check",
    "check_wavelengths",
    "colour_matching",
    "crop",
    "illuminant",
    "inspect",
    "list_illuminants",
    "make_cube",
    "open_cube",
    "open_low_rank",
    "parse_wavelengths",
    "preview",
    "require_cube",
    "resample",
    "save_cube",
    "save_preview",
    "wavelengths_of",
]
