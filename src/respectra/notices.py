"""What takes a moment the first time, said while one waits: compiling and measuring.

Each is said once a process, through the logger ``respectra.notices`` at level INFO. The command
line shows it as a line on standard error, and so do notebooks and Python at a prompt; in scripts
``logging.basicConfig(level="INFO")`` does.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

__all__ = [
    "say_once",
    "watch_compiler",
]

logger = logging.getLogger("respectra.notices")
_said: set[str] = set()


def say_once(message: str) -> None:
    """Say something, unless this process said it before."""
    if message in _said:
        return
    _said.add(message)
    if hasattr(sys, "ps1") and not logger.isEnabledFor(logging.INFO):  # somebody waits at a prompt
        sys.stderr.write(f"{message}\n")
    logger.info(message)


def watch_compiler() -> None:
    """Say so when Numba compiles one of our functions instead of finding it in its cache.

    Called by the files that define such functions; more than once does no harm.
    """
    from numba.core import event

    if _watching:
        return

    class Listener(event.Listener):  # type: ignore[misc]
        def on_start(self, event: Any) -> None:
            function = event.data["dispatcher"].py_func
            if function.__module__.startswith("respectra."):
                say_once("compiling inner loops for this machine; it takes some seconds, once")

        def on_end(self, event: Any) -> None:
            return

    _watching.append(Listener())
    event.register("numba:compile", _watching[0])


#: The listener, once it listens.
_watching: list[Any] = []
