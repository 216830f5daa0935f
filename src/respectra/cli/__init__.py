"""The command line: thin commands over the package, one file a group of them."""

from __future__ import annotations

import gc
import importlib
import pkgutil
import sys

from respectra.cli.app import app, run

__all__ = ["app", "load_commands", "main"]

#: When garbage is looked for: by Python's own numbers an eighth of the processor time of the
#: imports goes into finding none.
_THRESHOLDS = (20_000, 10, 10)


def load_commands(name: str | None = None) -> None:
    """Import the files of this folder, each of which adds its commands to ``app``.

    Args:
        name: a command that is wanted alone; where a file is called so, the others stay unread.
    """
    modules = [module.name for module in pkgutil.iter_modules(__path__)]
    wanted = (name or "").replace("-", "_")
    if wanted in modules:
        importlib.import_module(f"{__name__}.{wanted}")
        if app.registered_commands or app.registered_groups:
            return
    for module in modules:
        importlib.import_module(f"{__name__}.{module}")


def main() -> None:
    """Entry point of the ``respectra`` command."""
    gc.set_threshold(*_THRESHOLDS)
    load_commands(*sys.argv[1:2])
    code = run()
    # Python's end looks through all modules for garbage: 0.4 s with PyTorch loaded, and the process
    # gives all of it back anyway.
    gc.freeze()
    sys.exit(code)
