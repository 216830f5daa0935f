"""How long a command takes from the start to its end: a photograph, and what comes before it.

    python benchmarks/start.py --write docs/benchmarks/start.md

The photograph, 640 x 480, is the demo's still life. Each row is a process of its own, five times in
turns with the others; the first run of a command, which may measure or compile, is shown apart.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pages import Page, add_option

RUNS = 5
#: Made by a process of its own: the peak of a process counts from that of the one that started it.
PICTURE = """
from PIL import Image
from respectra.cubes import save_preview
from respectra.datasets.still_life import still_life

save_preview(still_life(480, 640), "photo.png", illuminant="D65")
Image.open("photo.png").save("photo.jpg", quality=92)
"""
PYTHON = [sys.executable, "-c"]
COMMAND = [sys.executable, "-m", "respectra", "reconstruct", "photo.jpg", "--overwrite", "-o"]
ROWS = {
    "Python, NumPy": [*PYTHON, "import numpy"],
    "PyTorch": [*PYTHON, "import torch"],
    "xarray, Zarr": [*PYTHON, "import xarray, zarr"],
    "photograph to Zarr": [*COMMAND, "cube.zarr"],
    "photograph to NumPy's format": [*COMMAND, "cube.npz"],
    "photograph to Zarr, engine torch": [*COMMAND, "torch.zarr", "--engine", "torch"],
    "`respectra inspect`": [sys.executable, "-m", "respectra", "inspect", "cube.zarr"],
    "`respectra --help`": [sys.executable, "-m", "respectra", "--help"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_option(parser)
    options = parser.parse_args()
    page = Page(
        "The start of a command",
        "Seconds from the start of a process to its end, processor time, and the memory at its "
        "peak: what a newcomer waits for, and what each worker of many costs. The photograph has "
        f"640 x 480 pixels; medians of {RUNS} runs in turns, after a first one that is shown "
        "apart. The cache folder is new: what is measured or compiled once is in the first.",
    )
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([*PYTHON, PICTURE], cwd=folder, check=True)
        first = {row: _run(command, folder) for row, command in ROWS.items()}
        every: dict[str, list[tuple[float, float, float]]] = {row: [] for row in ROWS}
        for _ in range(RUNS):
            for row, command in ROWS.items():
                every[row].append(_run(command, folder))
    for row, runs in every.items():
        seconds, processor, peak = (statistics.median(values) for values in zip(*runs, strict=True))
        rows.append(
            [row, f"{first[row][0]:.2f}", f"{seconds:.2f}", f"{processor:.2f}", f"{peak:.0f}"]
        )
    page.table(["process", "first, s", "later, s", "processor, s", "peak, MB"], rows)
    page.write(options.write)


def _run(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Seconds, seconds of processor time, and peak memory in MB of a process."""
    start = time.perf_counter()
    done = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(folder / "cache")},
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(done.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000


if __name__ == "__main__":
    main()
