"""Pictures of a result: where it errs, and true against recovered spectra."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes import wavelengths_of
from respectra.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colours that stay apart for colour-blind readers (Okabe and Ito).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def save_error_map(
    error: npt.NDArray[np.floating], path: str | os.PathLike[str], *, overwrite: bool = False
) -> None:
    """Write an error map as a picture with its scale; the scale ends at the 99 % quantile."""
    figure = new_figure(6.4, 4.4)
    axes = figure.add_subplot()
    top = float(np.quantile(error, 0.99)) or 1.0
    shown = axes.imshow(error, cmap="cividis", vmin=0.0, vmax=top)
    axes.set_title("relative error, mean over the bands")
    axes.set_xticks([])
    axes.set_yticks([])
    figure.colorbar(shown, ax=axes, extend="max", shrink=0.86)
    save_figure(figure, path, overwrite=overwrite)


def save_spectra(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    picture: npt.NDArray[np.uint8],
    points: Sequence[tuple[int, int]],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Plot true and recovered spectra at some pixels, beside the picture that shows where.

    Args:
        truth: the true cube.
        estimate: the recovered cube, on the same grid.
        picture: what to show, (y, x, 3).
        points: (row, column) of each pixel.
        path: PNG to write.
        overwrite: replace an existing file.
    """
    from matplotlib.patheffects import withStroke

    figure = new_figure(11.0, 4.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1.0))
    left.imshow(picture)
    left.set_xticks([])
    left.set_yticks([])
    grid = wavelengths_of(truth)
    for number, ((row, column), colour) in enumerate(zip(points, PALETTE, strict=False), 1):
        left.plot(column, row, "o", ms=7, mfc=colour, mec="white", mew=1.5)
        label = left.annotate(
            str(number),
            (column, row),
            (6, 5),
            textcoords="offset points",
            color="white",
            weight="bold",
        )
        label.set_path_effects([withStroke(linewidth=2.5, foreground="black")])
        right.plot(grid, truth.values[row, column], color=colour, lw=2.2, label=f"{number}")
        right.plot(grid, estimate.values[row, column], color=colour, lw=1.4, ls=(0, (4, 2)))
    right.plot([], [], color="0.4", lw=2.2, label="true")
    right.plot([], [], color="0.4", lw=1.4, ls=(0, (4, 2)), label="recovered")
    right.set_xlabel("wavelength (nm)")
    right.set_ylabel(f"{truth.attrs.get('quantity', 'value')} ({truth.attrs.get('units', '')})")
    right.set_ylim(bottom=0.0)
    right.legend(frameon=False, ncols=2, fontsize=9)
    right.spines[["top", "right"]].set_visible(False)
    save_figure(figure, path, overwrite=overwrite)


def new_figure(width_in: float, height_in: float) -> Figure:
    """A figure that needs no display and no global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Write a figure as a PNG, whole or not at all."""
    with atomic_path(Path(path), overwrite=overwrite) as temporary:
        figure.savefig(temporary, format="png")
