"""File formats of cubes: one file each, gathered in one registry."""

from respectra.cubes.formats import (
    envi,
    matlab,
    matlab_v5,
    netcdf,
    numpy,
    png_folder,
    tiff,
    zarr,
)
from respectra.cubes.formats.base import CubeFormat, Stored
from respectra.cubes.formats.registry import FormatRegistry

_MODULES = (matlab, matlab_v5, envi, netcdf, zarr, numpy, tiff, png_folder)
FORMATS = FormatRegistry(tuple(entry for module in _MODULES for entry in module.FORMATS))

__all__ = ["FORMATS", "CubeFormat", "FormatRegistry", "Stored"]
