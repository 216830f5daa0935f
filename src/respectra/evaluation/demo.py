"""The first five minutes: a still life with known spectra, photographed, recovered and scored."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

from respectra.cameras import get_track, save_image
from respectra.cubes import preview, save_cube, save_preview
from respectra.datasets.still_life import still_life
from respectra.evaluation import figures, metrics
from respectra.files import atomic_path
from respectra.inference import load

#: Pixels whose spectra are plotted: fractions of height and width of the still life.
_POINTS = ((0.60, 0.34), (0.56, 0.60), (0.60, 0.78), (0.25, 0.62), (0.90, 0.25))
#: MRAE divides by the truth; darker values than this count as this.
FLOOR = 0.01


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration made.

    Example:
        >>> from pathlib import Path
        >>> from respectra.evaluation import DemoResult
        >>> DemoResult(Path("demo"), ("photo.png",), "respectra", {"mrae": 0.1}, seconds=0.2).files
        ('photo.png',)
    """

    folder: Path
    files: tuple[str, ...]
    method: str
    scores: dict[str, float]
    seconds: float
    """Time of the reconstruction alone."""


def run_demo(folder: str | os.PathLike[str], *, overwrite: bool = False) -> DemoResult:
    """Render the still life, photograph it, recover its spectra with the shipped method, score.

    Args:
        folder: where the files go; written as a whole or not at all.
        overwrite: replace the folder.

    Returns:
        The files' names, and the scores: ``mrae`` (relative), ``rmse`` (of values in [0, 1]) and
        ``sam_degrees``.

    Raises:
        OutputError: the folder exists and ``overwrite`` is false, or cannot be written.

    Example:
        >>> import respectra as rs
        >>> result = rs.run_demo("demo")
        >>> result.scores["mrae"] < 0.5, "spectra.png" in result.files
        (True, True)
    """
    target = Path(folder)
    with atomic_path(target, overwrite=overwrite) as place:
        place.mkdir()
        truth = still_life()
        image = get_track("clean").render(truth)
        reconstructor = load()
        reconstructor(image[:8, :8])
        start = time.perf_counter()
        estimate = reconstructor(image)
        seconds = time.perf_counter() - start
        scores = {
            "mrae": float(metrics.mrae(truth, estimate, floor=FLOOR)),
            "mrae_floor": FLOOR,
            "rmse": float(metrics.rmse(truth, estimate)),
            "sam_degrees": float(metrics.sam(truth, estimate, unit="deg")),
        }
        save_image(image, place / "photo.png")
        save_cube(truth, place / "truth.zarr")
        save_cube(estimate, place / "recovered.zarr")
        save_preview(estimate, place / "preview.png")
        error = metrics.mrae_map(truth, estimate, FLOOR)
        figures.save_error_map(error, place / "error.png")
        height, width = error.shape
        points = [(int(y * height), int(x * width)) for y, x in _POINTS]
        figures.save_spectra(truth, estimate, preview(truth), points, place / "spectra.png")
        report = {"method": reconstructor.name, "seconds": seconds, "scores": scores}
        (place / "scores.json").write_text(json.dumps(report, indent=2) + "\n")
        files = tuple(sorted(path.name for path in place.iterdir()))
    return DemoResult(target, files, reconstructor.name, scores, seconds)
