"""Calibrating a camera with photographs of a colour chart."""

from respectra.cameras.calibration.calibrate import Calibration, calibrate
from respectra.cameras.calibration.charts import Chart, open_chart
from respectra.cameras.calibration.detection import ChartPatches, find_chart, measure_patches
from respectra.cameras.calibration.figure import save_figure

__all__ = [
    "Calibration",
    "Chart",
    "ChartPatches",
    "calibrate",
    "find_chart",
    "measure_patches",
    "open_chart",
    "save_figure",
]
