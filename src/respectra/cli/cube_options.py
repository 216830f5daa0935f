"""Options of every command that opens cubes: which array of the file it is, and what it holds."""

from __future__ import annotations

from typing import Annotated

from respectra.cli.help import CUBE_FILES
from respectra.cli.options import option

WavelengthsOption = Annotated[
    str | None,
    option("NM", "Bands in nm: 400:700:10, or a list.", CUBE_FILES, unset="as the file says"),
]
KeyOption = Annotated[
    str | None,
    option("NAME", "Variable, where a file holds several.", CUBE_FILES, unset="the only one"),
]
AxesOption = Annotated[
    str | None,
    option(
        "A,B,C", "The axes of the file's array: band,y,x.", CUBE_FILES, unset="as the file says"
    ),
]
QuantityOption = Annotated[
    str | None,
    option(
        "NAME", "What the values are: radiance, reflectance.", CUBE_FILES, unset="as the file says"
    ),
]
