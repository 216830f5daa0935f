"""MATLAB files, version 5: what ``save`` and ``scipy.io.savemat`` write unless told otherwise.

They are read through ``guards.mat5``, as the format ``matlab``, which the suffix names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import xarray as xr

from respectra.cubes.formats.base import CubeFormat, encode_attrs
from respectra.cubes.formats.matlab import peek_matlab
from respectra.cubes.model import wavelengths_of
from respectra.errors import OutputError
from respectra.guards.matlab import SIGNATURE_V5


def _write(cube: xr.DataArray, path: Path) -> None:
    from scipy.io import savemat

    if cube.nbytes >= 2**31:
        raise OutputError("a MATLAB 5 file holds at most 2 GiB; write version 7.3 (matlab)")
    variables: dict[str, Any] = {
        "cube": cube.values,
        "bands": wavelengths_of(cube),
        "attributes": encode_attrs(cube.attrs),
    }
    if "norm_factor" in cube.attrs:
        variables["norm_factor"] = float(cube.attrs["norm_factor"])
    savemat(path, variables, appendmat=False)


MATLAB_V5 = CubeFormat(
    name="matlab-v5",
    title="MATLAB 5 file",
    suffix=".mat",
    suffixes=(),
    preserves="values bit for bit, wavelengths, attributes as JSON in the variable `attributes`",
    peek=peek_matlab,
    write=_write,
    recognises=lambda head: head.startswith(SIGNATURE_V5),
)
FORMATS = (MATLAB_V5,)
