"""Cubes: hyperspectral images with dims (y, x, wavelength) and wavelengths that are known."""

from respectra.cubes.accessor import CubeAccessor
from respectra.cubes.checking import CubeReport, Finding, check, check_lazily
from respectra.cubes.io import inspect, open_cube, open_low_rank, parse_wavelengths, save_cube
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
from respectra.cubes.previewing import preview, save_preview
from respectra.cubes.relighting import relight, to_radiance, to_reflectance
from respectra.cubes.resampling import crop, fit_bands, resample
from respectra.cubes.writers import open_writer
from respectra.renaming import lazy_names

__all__ = [
    "CHALLENGE_WAVELENGTHS_NM",
    "DIMS",
    "CubeAccessor",
    "CubeReport",
    "Finding",
    "LowRankCube",
    "Quantity",
    "check",
    "check_lazily",
    "check_wavelengths",
    "crop",
    "fit_bands",
    "inspect",
    "make_cube",
    "open_cube",
    "open_low_rank",
    "open_writer",
    "parse_wavelengths",
    "preview",
    "relight",
    "require_cube",
    "resample",
    "save_cube",
    "save_preview",
    "to_radiance",
    "to_reflectance",
    "wavelengths_of",
]

#: What was renamed, or moved to the room of colour.
__getattr__ = lazy_names(
    __name__,
    former={
        "Report": "CubeReport",
        "colour_matching": "respectra.colour.colour_matching",
        "illuminant": "respectra.colour.illuminant",
        "list_illuminants": "respectra.colour.list_illuminants",
    },
)
