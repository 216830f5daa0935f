"""Looking at a cube from Python or a notebook."""

from __future__ import annotations

import atexit
import html
import webbrowser
from typing import Self

import xarray as xr

from respectra.cubes import require_cube
from respectra.errors import DataError
from respectra.progress import unseen
from respectra.viewer.server import BackgroundServer
from respectra.viewer.settings import Settings
from respectra.viewer.store import new_id

_NOTEBOOKS = ("http://127.0.0.1:*", "http://localhost:*", "vscode-webview:")


class View:
    """A page that shows one cube, served to this machine until closed or the process ends.

    Attributes:
        url: the page's address.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.full((4, 4, 31), 0.5), range(400, 701, 10))
        >>> view = rs.viewer.show(cube)
        >>> view.close()
    """

    def __init__(self, server: BackgroundServer, url: str, height: int) -> None:
        self._server, self.url, self._height = server, url, height
        atexit.register(self.close)

    def close(self) -> None:
        """Stop serving."""
        atexit.unregister(self.close)
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"View({self.url})"

    def _repr_html_(self) -> str:
        source = html.escape(self.url, quote=True)
        return (
            f'<iframe src="{source}" width="100%" height="{self._height}" '
            'style="border:0;border-radius:12px" title="Respectra viewer"></iframe>'
        )


def show(
    cube: xr.DataArray,
    *,
    truth: xr.DataArray | None = None,
    name: str | None = None,
    open_browser: bool | None = None,
    height: int = 720,
) -> View:
    """Show a cube in the browser, or in a notebook as the value of a cell.

    Args:
        cube: dims (y, x, wavelength).
        truth: a cube of the same pixels to compare with.
        name: title of the page; by default the cube's source.
        open_browser: open a browser window; by default outside notebooks only.
        height: of the frame in a notebook, pixels.

    Returns:
        the view; keep it, and close it when done.

    Raises:
        DataError: not a cube, or the truth has other pixels.
        MissingExtraError: the extra ``serve`` is not installed.

    Example:
        >>> import respectra as rs  # doctest: +SKIP
        >>> view = rs.viewer.show(rs.open_cube("scene.zarr"))  # doctest: +SKIP
    """
    from respectra.viewer.blocks import CubeSource
    from respectra.viewer.scene_writer import write_scene

    require_cube(cube)
    if truth is not None and require_cube(truth).shape[:2] != cube.shape[:2]:
        raise DataError(
            f"the truth has {truth.shape[0]} x {truth.shape[1]} pixels and the cube "
            f"{cube.shape[0]} x {cube.shape[1]}; they must show the same pixels"
        )
    server = BackgroundServer(Settings(uploads=False, embed=_NOTEBOOKS))
    service = server.app.state.service
    job = new_id()
    try:
        for scene, values in (("recovered", cube), ("truth", truth)):
            if values is not None:
                folder = service.store.job_folder(job) / scene
                folder.mkdir(parents=True)
                write_scene(CubeSource(values), folder, unseen)
    except BaseException:
        server.close()
        raise
    service.jobs.add_finished(job, name or str(cube.attrs.get("source") or "A cube"), forever=True)
    view = View(server, f"{server.url}#job={job}", height)
    if open_browser if open_browser is not None else not _in_notebook():
        webbrowser.open(view.url)
    return view


def _in_notebook() -> bool:
    import sys

    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"
