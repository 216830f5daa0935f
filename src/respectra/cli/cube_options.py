"""Options of every command that opens cubes: which array of the file it is, and what it holds."""

from __future__ import annotations

from typing import Annotated

import typer

KeyOption = Annotated[
    str | None, typer.Option("--key", help="Name of the variable, where a file holds several.")
]
AxesOption = Annotated[
    str | None,
    typer.Option("--axes", help="The axes of the file's array, where it does not say: band,y,x."),
]
QuantityOption = Annotated[
    str | None,
    typer.Option(
        "--quantity",
        help="What the values are, where it does not say: radiance, reflectance.",
    ),
]
