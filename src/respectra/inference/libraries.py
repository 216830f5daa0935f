"""Spectra that are known of a scene, without places in the picture, as references.

A cube of the same place, or a library of what is in the scene: the capture's camera sees each
spectrum as a colour, and what the method gives for that colour is compared with the spectrum.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.cameras import InputKind, References
from respectra.cameras.pictures import Picture, open_picture
from respectra.cameras.references import MOST, read_spectral_table
from respectra.cubes import open_cube, to_radiance, to_reflectance, wavelengths_of
from respectra.errors import DataError, FormatError
from respectra.inference.guarantees import camera_of
from respectra.inference.reconstructor import Reconstructor
from respectra.inference.references import fit_correction, spectra_at
from respectra.inference.seen import SeenPicture
from respectra.typing import FloatArray

#: Spectra of a cube that are taken, and how well a cube and a library know what is in a picture.
_FROM_CUBE = 256
CUBE_UNCERTAINTY, LIBRARY_UNCERTAINTY = 0.05, 0.15
_DARK, _BRIGHT = 0.004, 0.995


def correct_by_cube(
    reconstructor: Reconstructor,
    path: str | os.PathLike[str],
    kind: InputKind,
    cube_path: str | os.PathLike[str],
    **opening: Any,
) -> Reconstructor:
    """The reconstructor, corrected by a cube of the place that a picture shows.

    Args:
        reconstructor: for the picture's capture.
        path: the picture.
        kind: what its values are.
        cube_path: a cube of the same place or part of it, in the quantity that the reconstructor
            gives or with a light that is known; it need not fit the picture pixel by pixel.
        opening: how it is opened; see :func:`respectra.open_cube`.

    Raises:
        RespectraError: the cube cannot be read, does not cover the bands, or none of its spectra
            lies within the picture's range.
    """
    cube = open_cube(cube_path, **opening)
    wanted = reconstructor.contract.quantity
    if cube.attrs.get("quantity", "radiance") != wanted:
        cube = to_reflectance(cube) if wanted == "reflectance" else to_radiance(cube)
    spectra = np.asarray(cube.values, np.float64).reshape(-1, cube.sizes["wavelength"])
    usable = np.isfinite(spectra).all(axis=1) & (spectra.min(axis=1) >= 0)
    spectra = spectra[usable & (spectra.max(axis=1) > 0)]
    picture = _open(reconstructor, path, kind)
    grid = wavelengths_of(cube)
    return correct_by_spectra(reconstructor, picture, spectra, grid, uncertainty=CUBE_UNCERTAINTY)


def correct_by_materials(
    reconstructor: Reconstructor,
    path: str | os.PathLike[str],
    kind: InputKind,
    library: str | os.PathLike[str],
) -> Reconstructor:
    """The reconstructor, corrected by a library of what is in a scene: pigments, leaves, skin.

    Args:
        reconstructor: for the picture's capture.
        path: the picture.
        kind: what its values are.
        library: CSV with a header ``name,400,410,...,700`` and one spectrum a line.

    Raises:
        RespectraError: as :func:`correct_by_cube`.
    """
    spectra, grid = read_library(library)
    picture = _open(reconstructor, path, kind)
    return correct_by_spectra(
        reconstructor, picture, spectra, grid, uncertainty=LIBRARY_UNCERTAINTY
    )


def _open(reconstructor: Reconstructor, path: str | os.PathLike[str], kind: InputKind) -> Picture:
    """The picture, as linear values of the reconstructor's capture."""
    return open_picture(path, kind, convert=functools.partial(reconstructor.values_of, kind=kind))


def correct_by_spectra(
    reconstructor: Reconstructor,
    picture: Picture,
    spectra: FloatArray,
    wavelengths_nm: npt.ArrayLike,
    *,
    uncertainty: float,
) -> Reconstructor:
    """The reconstructor, corrected by spectra that occur in a picture.

    Raises:
        DataError: none of the spectra lies within the picture's range, or they do not cover the
            bands.
        ConfigError: the camera is not known.
    """
    contract = reconstructor.contract
    grid = np.array(contract.wavelengths_nm)
    response = camera_of(contract).response_matrix(grid)
    if len(spectra) > MOST:
        chosen = np.random.default_rng(0).choice(len(spectra), MOST, replace=False)
        spectra = spectra[np.sort(chosen)]
    on_grid = References(np.zeros((len(spectra), 2)), spectra, wavelengths_nm).on(grid).spectra
    values = on_grid @ response
    usable = np.flatnonzero((values.max(axis=1) < _BRIGHT) & (values.min(axis=1) > _DARK))
    if not usable.size:
        raise DataError(
            "none of the spectra gives values within the picture's range; are they of the same "
            f"quantity ({contract.quantity}) and scale?"
        )
    if usable.size > _FROM_CUBE:
        # Evenly in the order of their brightness.
        order = usable[np.argsort(values[usable].sum(axis=1), kind="stable")]
        usable = order[np.rint(np.linspace(0, order.size - 1, _FROM_CUBE)).astype(int)]
    references = References(None, on_grid[usable], grid, uncertainty, values[usable])
    seen = SeenPicture.on_disk(reconstructor, picture)
    recovered = spectra_at(reconstructor, seen, references)
    return reconstructor.with_correction(fit_correction(reconstructor, references, recovered))


def read_library(path: str | os.PathLike[str]) -> tuple[FloatArray, FloatArray]:
    """Spectra (n, band) and wavelengths in nm of a library.

    Raises:
        FormatError: no such file, or another header or contents.
    """
    file = Path(path)
    table = read_spectral_table(file, "a library of spectra")
    if table.grid_nm.size < 2 or not len(table.spectra):
        raise FormatError(f"{file} needs a header name,400,410,...,700 and a line a spectrum")
    if not np.isfinite(table.spectra).all() or table.spectra.min() < 0:
        raise FormatError(f"{file} holds spectra that are negative or not finite")
    return table.spectra, table.grid_nm
