"""What a benchmark measured, as text and as a page of the documentation; and its clocks.

    python benchmarks/render.py --write docs/benchmarks/render.md

A page says when, on which machine and by which command its tables were measured.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import respectra as rs


def add_option(parser: argparse.ArgumentParser) -> None:
    """Give a script the option ``--write``."""
    parser.add_argument("--write", type=Path, metavar="PAGE.md", help="also write the tables there")


def clocked(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of a call: on the clock, and of all processors together."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def in_turns(
    runs: Mapping[str, Callable[[], object]], rounds: int
) -> dict[str, tuple[float, float]]:
    """The least of both times of each, which take turns, after a round that warms up."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            found[name].append(clocked(run))
    least = {name: zip(*times[1:], strict=True) for name, times in found.items()}
    return {name: (min(wall), min(cpu)) for name, (wall, cpu) in least.items()}


class Page:
    """Tables of one run, printed as they come.

    Args:
        title: of the page.
        about: a paragraph on what is measured, and how.
        measured: file or folder of a run that is over, whose date counts; None for this run.
    """

    def __init__(self, title: str, about: str, *, measured: Path | None = None) -> None:
        self.lines = [f"# {title}", "", " ".join(about.split()), "", *_circumstances(measured), ""]

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = ""
    ) -> None:
        """Add a table and print it; the first column is text, the others are right-aligned."""
        cells = [[str(cell) for cell in row] for row in rows]
        if caption:
            self.lines += [f"## {caption}", ""]
            print(caption)
        self.lines += [_row(columns), _row(["---", *["---:"] * (len(columns) - 1)])]
        self.lines += [*map(_row, cells), ""]
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for first, *rest in [list(columns), *cells]:
            numbers = (cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))
            print("  ".join([first.ljust(widths[0]), *numbers]), flush=True)

    def text(self, paragraph: str) -> None:
        """Add a paragraph and print it."""
        self.lines += [" ".join(paragraph.split()), ""]
        print(paragraph, flush=True)

    def write(self, path: Path | None) -> None:
        """Write the page, if it is wanted."""
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(self.lines).rstrip() + "\n", "utf-8")


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _circumstances(measured: Path | None) -> list[str]:
    """Date, command and machine, as a table."""
    arguments = sys.argv[1:]
    if "--write" in arguments:
        place = arguments.index("--write")
        del arguments[place : place + 2]
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *arguments])
    day = datetime.now(UTC)
    if measured is not None:
        day = datetime.fromtimestamp(measured.stat().st_mtime, UTC)
    load = _load() if measured is None else "how busy it was is not known"
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "torch"))
    rows = {
        "date": f"{day:%Y-%m-%d}",
        "command": f"`{command}`",
        "machine": f"{_processor()}, {os.cpu_count()} logical cores, {load}",
        "software": f"{platform.system()}, Python {platform.python_version()}, "
        f"respectra {rs.__version__}, {packages}",
    }
    return ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]


def _load() -> str:
    """How busy the machine is; the figures of a busy one are worth their ratios."""
    if not hasattr(os, "getloadavg"):
        return "load not known"
    return f"{os.getloadavg()[1]:.1f} programs running on average in the five minutes before"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()
