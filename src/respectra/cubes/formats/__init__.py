"""File formats of cubes: one file each, gathered in one registry."""

from respectra.cubes.formats import envi, matlab, netcdf, numpy, png_folder, tiff, zarr
from respectra.cubes.formats.base import CubeFormat, Stored
from respectra.cubes.formats.registry import FormatRegistry

_MODULES = (matlab, envi, netcdf, zarr, numpy, tiff, png_folder)
FORMATS = FormatRegistry(tuple(entry for module in _MODULES for entry in module.FORMATS))

__all__ = ["FORMATS", "CubeFormat", "FormatRegistry", "Stored"]
