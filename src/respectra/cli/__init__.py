"""The command line: thin commands over the package, one file a group of them."""

from __future__ import annotations

import importlib
import pkgutil
import sys

from respectra.cli.app import app, run

__all__ = ["app", "load_commands", "main"]


def load_commands() -> None:
    """Import the files of this folder, each of which adds its commands to ``app``."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")


def main() -> None:
    """Entry point of the ``respectra`` command."""
    load_commands()
    sys.exit(run())
