"""What a calibration found, as a picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from respectra.cameras.calibration.calibrate import Calibration
from respectra.cameras.response_prior import GRID_NM
from respectra.colour import encode_srgb
from respectra.files import atomic_path


def save_figure(
    calibration: Calibration, image: xr.DataArray, path: Path, *, overwrite: bool = False
) -> None:
    """The chart as it was found, measured against predicted patches, and the response.

    Args:
        calibration: what was found.
        image: the first photograph.
        path: of a PNG or SVG file.
        overwrite: replace an existing file.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    shown = np.asarray(image.values)
    if image.attrs.get("encoding") != "srgb":
        shown = encode_srgb(np.clip(shown / np.quantile(shown, 0.99), 0, 1))
    left.imshow(shown)
    patches = calibration.patches[0]
    out = np.isin(np.arange(1, len(patches.places) + 1), calibration.left_out)
    for mark, chosen in (("o", ~out), ("x", out)):
        left.plot(*patches.places[chosen].T, mark, color="white", mec="black", ms=4)
    left.set(xticks=[], yticks=[], title=f"patches ({int(out.sum())} left out)")
    goal = calibration.measured
    top = float(max(goal[~out].max(), calibration.predicted[~out].max()))
    for channel, colour in enumerate(("tab:red", "tab:green", "tab:blue")):
        middle.plot(goal[~out, channel], calibration.predicted[~out, channel], ".", color=colour)
        if calibration.response is not None:
            values, spread = calibration.response.values, calibration.response.deviation
            line, width = values[:, channel], spread[:, channel]
            right.plot(GRID_NM, line, color=colour)
            right.fill_between(GRID_NM, line - width, line + width, color=colour, alpha=0.2)
    middle.plot([0, top], [0, top], "k", lw=0.5)
    middle.set(xlabel="measured", ylabel=f"predicted ({calibration.way})", title="patches")
    light = "" if calibration.response is None else f" under {calibration.response.light}"
    right.set(xlabel="wavelength, nm", title=f"response{light}, ± standard deviation")
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format=path.suffix.lstrip(".") or "png", dpi=110)
