"""Look-up tables: any method that looks at one pixel at a time, baked into a table of spectra."""

from respectra.inference.tables.baking import bake
from respectra.inference.tables.cube_lut import save_proof
from respectra.inference.tables.geometry import Geometry
from respectra.inference.tables.table import BakingError, Deviation, Table

__all__ = ["BakingError", "Deviation", "Geometry", "Table", "bake", "save_proof"]
