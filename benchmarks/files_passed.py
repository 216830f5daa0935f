"""The files of the package that a command runs code of, and how often.

    python benchmarks/files_passed.py reconstruct small.jpg -o small.zarr

Counted are files in which a function was called while the command ran; those that are only
imported are counted apart.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter
from pathlib import Path
from types import FrameType

import respectra
from respectra.cli import main

ROOT = Path(respectra.__file__).parent


def files_passed(arguments: list[str]) -> Counter[str]:
    """Calls by file of the package, those made while its modules are imported left out."""
    calls: Counter[str] = Counter()
    root = f"{ROOT}/"

    def count(frame: FrameType, event: str, _: object) -> None:
        name = frame.f_code.co_filename
        if event == "call" and name.startswith(root) and not _importing(frame):
            calls[name.removeprefix(root)] += 1

    sys.argv = ["respectra", *arguments]
    threading.setprofile(count)
    sys.setprofile(count)
    try:
        with contextlib.suppress(SystemExit):
            main()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    return calls


def _importing(frame: FrameType | None) -> bool:
    """Whether a module is being imported, which runs class bodies and decorators."""
    while frame is not None:
        if frame.f_code.co_name == "<module>" and str(ROOT) in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


if __name__ == "__main__":
    passed = files_passed(sys.argv[1:])
    for name, number in sorted(passed.items()):
        print(f"{number:8} {name}")
    loaded = sum(
        str(getattr(m, "__file__", "")).startswith(f"{ROOT}/") for m in sys.modules.values()
    )
    print(f"{len(passed)} files passed, {loaded} loaded")
