"""File formats of cubes: one file each, found by its ``FORMATS``.

Modules whose name begins with an underscore are parts of others; what they cannot make sense of in
a file raises ``FormatError``. Other packages add formats through the entry points
``respectra.formats``.
"""

import importlib
import pkgutil
from collections.abc import Iterator

from respectra.cubes.formats.base import CubeFormat, Stored
from respectra.cubes.formats.registry import FormatRegistry

#: Group of the entry points of other packages.
GROUP = "respectra.formats"
#: Modules that define no format.
_HELPERS = frozenset({"base", "registry"})
#: The order of lists; others follow by their names.
_FIRST = ("matlab", "envi", "netcdf", "zarr", "numpy", "tiff", "png_folder")


def _formats() -> Iterator[CubeFormat]:
    files = {i.name for i in pkgutil.iter_modules(__path__) if not i.name.startswith("_")}
    order = {name: place for place, name in enumerate(_FIRST)}
    for name in sorted(files - _HELPERS, key=lambda n: (order.get(n, len(order)), n)):
        yield from importlib.import_module(f"{__name__}.{name}").FORMATS


FORMATS = FormatRegistry(tuple(_formats()), group=GROUP)

__all__ = ["FORMATS", "CubeFormat", "FormatRegistry", "Stored"]
