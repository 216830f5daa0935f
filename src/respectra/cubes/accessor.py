"""What a cube can do in a notebook: ``cube.respectra.plot_spectra(...)``, ``.preview()``."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.model import require_cube, wavelengths_of
from respectra.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Rows and columns of the picture that a notebook shows, at most.
_SHOWN = 320


@xr.register_dataarray_accessor("respectra")  # type: ignore[no-untyped-call]
class CubeAccessor:
    """Ways to look at a cube. Its own representation is a picture with what is known of it.

    Args:
        cube: dims (y, x, wavelength).

    Example:
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.full((2, 2, 31), 0.5), np.arange(400, 701, 10))
        >>> cube.respectra.preview().shape
        (2, 2, 3)
    """

    def __init__(self, cube: xr.DataArray) -> None:
        self._cube = cube

    def preview(self, **options: Any) -> npt.NDArray[np.uint8]:
        """The cube as sRGB for a display, uint8 (y, x, 3); see :func:`respectra.cubes.preview`."""
        from respectra.cubes.previewing import preview

        return preview(self._cube, **options)

    def plot_spectra(
        self, points: Sequence[tuple[int, int]], *, ax: Axes | None = None, picture: bool = True
    ) -> Axes:
        """Plot the spectra of some pixels, beside a picture that shows where they are.

        Args:
            points: (y, x) of each pixel.
            ax: axes to draw into; a new figure by default.
            picture: whether the picture is drawn; it needs a figure of its own.

        Returns:
            The axes of the spectra.

        Raises:
            ConfigError: a point lies outside the cube, or there is none.
        """
        import matplotlib.pyplot as plt

        cube = require_cube(self._cube)
        places = _checked(points, cube)
        shown = None
        if ax is None:
            if picture:
                _, (shown, ax) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
            else:
                _, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
        grid = wavelengths_of(cube)
        for number, (y, x) in enumerate(places):
            spectrum = np.asarray(cube[y, x].values)
            ax.plot(grid, spectrum, color=f"C{number % 10}", label=f"y {y}, x {x}")
        ax.set_xlabel("wavelength (nm)")
        quantity, units = cube.attrs.get("quantity", "radiance"), cube.attrs.get("units", "")
        ax.set_ylabel(f"{quantity} ({units})" if units else str(quantity))
        ax.set_ylim(bottom=min(0.0, ax.get_ylim()[0]))
        ax.legend(frameon=False)
        if shown is not None:
            shown.imshow(self.preview())
            for number, (y, x) in enumerate(places):
                shown.plot(x, y, "o", mec="white", mfc=f"C{number % 10}")
            shown.set_axis_off()
        return ax

    def to_reflectance(self, light: Any) -> xr.DataArray:
        """Radiance over the light that it was seen under: :func:`respectra.to_reflectance`.

        Args:
            light: a name, a file, or an array with the dimension wavelength.
        """
        from respectra.cubes.relighting import to_reflectance

        return to_reflectance(self._cube, light)

    def _repr_html_(self) -> str:
        """A picture of the cube, and a line of what is known."""
        step = max(1, -(-max(self._cube.shape[:2]) // _SHOWN))
        picture = CubeAccessor(self._cube[::step, ::step]).preview()
        facts = html.escape(repr(self))
        image = f'<img alt="preview" src="{_png(picture)}">'
        return f'<figure style="margin:0">{image}<figcaption>{facts}</figcaption></figure>'

    def __repr__(self) -> str:
        cube = require_cube(self._cube)
        grid = wavelengths_of(cube)
        rows, columns, bands = cube.shape
        source = cube.attrs.get("source", "")
        return (
            f"cube of {rows} x {columns} pixels, {bands} bands from {grid[0]:g} to "
            f"{grid[-1]:g} nm, "
            f"{cube.attrs.get('quantity', 'radiance')}" + (f"; {source}" if source else "")
        )


def _png(picture: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "png")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _checked(points: Sequence[tuple[int, int]], cube: xr.DataArray) -> list[tuple[int, int]]:
    rows, columns = cube.shape[:2]
    places = [(int(y), int(x)) for y, x in points]
    if not places:
        raise ConfigError("name at least one pixel: plot_spectra([(y, x), ...])")
    for y, x in places:
        if not (0 <= y < rows and 0 <= x < columns):
            raise ConfigError(
                f"the pixel y {y}, x {x} lies outside the cube of {rows} x {columns} pixels"
            )
    return places
