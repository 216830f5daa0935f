"""Options of every command that opens cubes: which array of the file it is, and what it holds."""

from __future__ import annotations

from typing import Annotated

import typer

from respectra.cli.help import CUBE_FILES

WavelengthsOption = Annotated[
    str | None,
    typer.Option(
        "--wavelengths",
        metavar="NM",
        help="Bands in nm: 400:700:10, or a list.",
        show_default="as the file says",
        rich_help_panel=CUBE_FILES,
    ),
]
KeyOption = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="NAME",
        help="Variable, where a file holds several.",
        show_default="the only one",
        rich_help_panel=CUBE_FILES,
    ),
]
AxesOption = Annotated[
    str | None,
    typer.Option(
        "--axes",
        metavar="A,B,C",
        help="The axes of the file's array: band,y,x.",
        show_default="as the file says",
        rich_help_panel=CUBE_FILES,
    ),
]
QuantityOption = Annotated[
    str | None,
    typer.Option(
        "--quantity",
        metavar="NAME",
        help="What the values are: radiance, reflectance.",
        show_default="as the file says",
        rich_help_panel=CUBE_FILES,
    ),
]
