"""The command line: thin commands over the package, one file a group of them."""

from __future__ import annotations

import importlib
import pkgutil
import sys

from respectra.cli.app import app, run

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the ``respectra`` command."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    sys.exit(run())
