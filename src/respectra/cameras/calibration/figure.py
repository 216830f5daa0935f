"""What a calibration found, as a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from respectra.cameras.calibration.calibrate import Calibration
from respectra.cameras.response_prior import GRID_NM
from respectra.colour import encode_srgb
from respectra.files import atomic_path

_COLOURS = ("tab:red", "tab:green", "tab:blue")


def save_figure(
    calibration: Calibration,
    image: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """The chart as it was found, measured against predicted patches, and the response.

    Args:
        calibration: what was found.
        image: the first photograph.
        path: of a PNG or SVG file.
        overwrite: replace an existing file.

    Raises:
        OutputError: it exists and ``overwrite`` is false, or cannot be written.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from respectra.cameras.calibration import open_chart
        >>> chart, camera = open_chart("classic24"), rs.cameras.open_camera("ampas-nikon-d70")
        >>> seen = chart.spectra @ rs.cameras.resample_response(camera, range(400, 701, 10)).values
        >>> photo = (0.8 * seen / seen.max()).reshape(4, 6, 3).repeat(20, axis=0).repeat(20, axis=1)
        >>> corners = [[10, 10], [110, 10], [110, 70], [10, 70]]  # x and y, in pixels
        >>> found = rs.calibrate([rs.make_image(photo, bits=16)], light="E", corners=corners)
        >>> rs.cameras.calibration.save_figure(found, rs.make_image(photo), "camera.png")
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.4), layout="constrained")
    axes = figure.subplots(1, 3, width_ratios=(1.25, 1, 1.25))
    used = np.ones(len(calibration.measured), bool)
    used[np.array(calibration.left_out, int) - 1] = False
    _draw_chart(axes[0], calibration, image, used)
    _draw_patches(axes[1], calibration, used)
    if calibration.response is not None:
        _draw_response(axes[2], calibration)
    else:
        _draw_tone(axes[2], calibration)
    ways = ", ".join(
        f"{name} {score:.1%}"
        for name, score in sorted(calibration.scores.items(), key=lambda pair: pair[1])
    )
    figure.suptitle(f"error of a patch that was left out: {ways}", fontsize=10)
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, format=Path(path).suffix.lstrip(".") or "png", dpi=110)


def _draw_chart(axes: Any, calibration: Calibration, image: xr.DataArray, used: Any) -> None:
    """The chart where it was found, its patches numbered, with some of what is around it."""
    shown = np.asarray(image.values)
    if image.attrs.get("encoding") != "srgb":
        shown = encode_srgb(np.clip(shown / np.quantile(shown, 0.99, axis=(0, 1)), 0, 1))
    places = calibration.patches[0].places
    margin = 0.25 * np.ptp(places, axis=0).max()
    low = np.maximum(places.min(axis=0) - margin, 0).astype(int)
    high = np.minimum(places.max(axis=0) + margin, shown.shape[1::-1]).astype(int)
    extent = (low[0] - 0.5, high[0] - 0.5, high[1] - 0.5, low[1] - 0.5)
    axes.imshow(shown[low[1] : high[1], low[0] : high[0]], extent=extent)
    corners = calibration.patches[0].corners
    axes.plot(*np.vstack([corners, corners[:1]]).T, "-", color="white", lw=1)
    for number, (place, kept) in enumerate(zip(places, used, strict=True), start=1):
        box = {"boxstyle": "circle,pad=0.15", "fc": "white" if kept else "tab:red", "lw": 0}
        label = f"{number}" if kept else f"{number}×"
        axes.text(*place, label, fontsize=6, ha="center", va="center", bbox=box)
    out = "" if used.all() else f", {int((~used).sum())} left out (red)"
    axes.set(xticks=[], yticks=[], title=f"the chart as it was found{out}")


def _draw_patches(axes: Any, calibration: Calibration, used: Any) -> None:
    """Measured against predicted values, both axes by roots so that dark patches show."""
    response = calibration.way == "response"
    truth = calibration.measured if response else calibration.wanted
    goal, found = truth[used], calibration.predicted[used]
    top = 1.05 * float(max(goal.max(), found.max()))
    for channel, colour in enumerate(_COLOURS):
        axes.plot(goal[:, channel], found[:, channel], "o", ms=4, mfc="none", color=colour)
    axes.plot([0, top], [0, top], color="0.4", lw=0.6, zorder=0)
    for axis in (axes.set_xscale, axes.set_yscale):
        axis("function", functions=(lambda v: np.sqrt(np.maximum(v, 0)), np.square))
    worst = int(np.nanargmax(calibration.residual))
    what = "linear value" if response else "the chart's linear sRGB"
    axes.set(
        xlim=(0, top), ylim=(0, top), aspect="equal", xlabel=f"{what}",
        ylabel=f"predicted by the {calibration.way}",
        title=f"patches: off by {np.nanmean(calibration.residual):.1%}, "
        f"patch {worst + 1} by {calibration.residual[worst]:.0%}",
    )  # fmt: skip


def _draw_response(axes: Any, calibration: Calibration) -> None:
    """The fitted response and its standard deviation, the largest value 1."""
    response = calibration.response
    assert response is not None
    peak = float(response.values.max())
    for channel, colour in enumerate(_COLOURS):
        line = response.values[:, channel] / peak
        width = response.deviation[:, channel] / peak
        axes.plot(GRID_NM, line, color=colour)
        low = np.maximum(line - width, 0)
        axes.fill_between(GRID_NM, low, line + width, color=colour, alpha=0.2, lw=0)
    guessed = " (the likeliest)" if calibration.lights else ""
    axes.set(
        xlim=(GRID_NM[0], GRID_NM[-1]), ylim=(0, None), xlabel="wavelength (nm)",
        ylabel="relative response",
        title=f"response ± deviation, under {response.light}{guessed}",
    )  # fmt: skip


def _draw_tone(axes: Any, calibration: Calibration) -> None:
    """The tone curve of a developed photograph, beside none at all."""
    tone = calibration.tone
    assert tone is not None
    values = np.linspace(0, 1, 256)
    axes.plot(encode_srgb(values), tone.undo(values), color="k", label="fitted to the chart")
    axes.plot(encode_srgb(values), values, color="0.6", ls="--", label="sRGB's own curve")
    axes.legend(loc="upper left", frameon=False)
    axes.set(
        xlim=(0, 1), ylim=(0, 1), xlabel="value in the picture", ylabel="light on the scene",
        title=f"tone curve, flare {tone.flare:.1%} of full scale",
    )  # fmt: skip
