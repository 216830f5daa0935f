"""Calibrating a camera: a chart in an uploaded photograph becomes a capture file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from respectra.cameras.calibration import Calibration, calibrate
from respectra.cameras.calibration.charts import open_chart
from respectra.cameras.response_prior import GRID_NM
from respectra.config import Config

#: The files of a result.
CAPTURE_FILE, FACTS_FILE = "capture.json", "facts.json"


#: Patches of the classic chart, in reading order.
PATCHES = (
    *("dark skin", "light skin", "blue sky", "foliage", "blue flower", "bluish green"),
    *("orange", "purplish blue", "moderate red", "purple", "yellow green", "orange yellow"),
    *("blue", "green", "red", "yellow", "magenta", "cyan"),
    *("white", "neutral 8", "neutral 6.5", "neutral 5", "neutral 3.5", "black"),
)


class ChartTask(Config):
    """Which chart a photograph shows, and how."""

    chart: str = "classic24"
    light: str = "unknown"
    light_file: Path | None = None
    corners: tuple[tuple[float, float], ...] | None = None
    """x and y of the centres of the four outer patches, from the first one clockwise."""


def run_calibration(image: xr.DataArray, task: ChartTask, folder: Path) -> None:
    """Calibrate as ``respectra calibrate`` does; the capture and what is to be known of it.

    Raises:
        RespectraError: no chart is found, or it cannot be used.
    """
    light = task.light if task.light_file is None else str(task.light_file)
    found = calibrate([image], chart=task.chart, light=light, corners=task.corners)
    found.capture.save(folder / CAPTURE_FILE)
    (patches,) = found.patches
    facts: dict[str, Any] = {
        "words": _in_words(found),
        "way": found.way,
        "scores": found.scores,
        "light": None if found.response is None else found.response.light,
        "left_out": found.left_out,
        "residuals": [None if np.isnan(v) else float(v) for v in found.residual],
        "corners": patches.corners.tolist(),
        "places": patches.places.tolist(),
    }
    (folder / FACTS_FILE).write_text(json.dumps(facts), "utf-8")


_WAYS = {
    "response": "the camera's estimated response",
    "matrix": "a 3 × 3 matrix",
    "root-polynomial": "a root-polynomial of its values",
    "tone": "the chart's tone curve",
    "gaussian-process": "a Gaussian process over its colours",
}


def _in_words(found: Calibration) -> str:
    error = 100 * found.scores[found.way]
    words = f"A patch that is left out is predicted to {error:.2g} % by {_WAYS[found.way]}."
    if found.response is not None:
        words += f" The light is {found.response.light}"
        words += ", the likeliest of those that were tried." if found.lights else "."
    if found.left_out:
        words += f" Left out, clipped or in shadow: patches {', '.join(map(str, found.left_out))}."
    return words


def chart_table(chart: str) -> dict[str, Any]:
    """The patches of a chart, as plain values.

    Raises:
        ConfigError: an unknown chart.
    """
    known = open_chart(chart)
    return {
        "name": known.name,
        "rows": known.rows,
        "columns": known.columns,
        "patches": list(PATCHES),
        "wavelengths_nm": GRID_NM.tolist(),
        "spectra": np.round(known.spectra, 6).tolist(),
    }
