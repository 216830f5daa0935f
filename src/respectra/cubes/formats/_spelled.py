"""Wavelengths that stand in the names of bands."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from respectra.cubes.formats.base import Grid, stated_grid
from respectra.wavelengths import is_unit

_SPELLED = re.compile(r"(?<![\w.])(\d+(?:\.\d+)?)\s*\(?\s*([A-Za-zµμÅ]+)")
#: Units that are letters of other words as well.
_LETTERS = ("a", "m")


def spelled_grid(names: Sequence[str], path: Path) -> Grid:
    """The wavelengths of names such as ``Band 3 (560.5 nm)`` or ``0.56 micrometers``.

    Args:
        names: of the bands; all of them must say it, in one unit.
        path: the file, for messages.
    """
    found = []
    for name in names:
        match = next((m for m in _SPELLED.finditer(str(name)) if is_unit(m[2])), None)
        if match is None or match[2].lower() in _LETTERS:
            return {}
        found.append((float(match[1]), match[2]))
    units = {unit for _, unit in found}
    if len(units) != 1:
        return {}
    return stated_grid([value for value, _ in found], units.pop(), len(found), path)
