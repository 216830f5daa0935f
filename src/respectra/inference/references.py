"""References: spectra that are known in a picture correct whatever method recovered the others.

What the method gives at the references is compared with what is known there; see
:mod:`respectra.inference.reference_process` for what becomes of the differences, and
:mod:`respectra.inference.corrections` for how a cube is corrected. At the references' own pixels
the answer is the reference itself.

Spectra may also be known of a scene without places in the picture: a cube of the same place, or a
library of what is in the scene. The capture's camera sees each spectrum as a colour, and what the
method gives for that colour is compared with the spectrum.
"""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cameras import Capture, InputKind, References, require_references
from respectra.cameras.capture_camera import CaptureCamera
from respectra.cameras.pictures import Picture, open_picture
from respectra.cameras.references import MOST, read_spectral_table
from respectra.cubes import open_cube, to_radiance, to_reflectance, wavelengths_of
from respectra.errors import DataError, FormatError, RespectraWarning
from respectra.inference.corrections import Correction, camera_and_response
from respectra.inference.guarantees import camera_of
from respectra.inference.pieces import SeenPicture
from respectra.inference.reference_process import (
    FLOOR,
    ReferenceErrors,
    choose_lengths,
    noise_of,
    thin,
)
from respectra.inference.reference_tables import features
from respectra.methods import Tiling
from respectra.typing import FloatArray

if TYPE_CHECKING:
    from respectra.inference.reconstructor import Reconstructor


#: References by which spectra are corrected; more are thinned.
_MOST = 1000
#: A log ratio beyond this is a reference that says nothing of others.
_MOST_LOG = 2.0
#: Standard deviations beyond which a reference contradicts its pixel.
_CONTRADICTION = 4.0
#: Spectra of a cube that are taken, and how well a cube and a library know what is in a picture.
_FROM_CUBE = 256
CUBE_UNCERTAINTY, LIBRARY_UNCERTAINTY = 0.05, 0.15
_DARK, _BRIGHT = 0.004, 0.995


def fit_references(
    reconstructor: Reconstructor, image: xr.DataArray, references: References
) -> Correction:
    """What references in a picture, of the quantity that comes out, teach of a method's errors.

    Raises:
        DataError: references outside the picture, on clipped or black pixels, that contradict one
            another or the picture, or do not cover the bands.
    """
    picture = reconstructor.values_of(image)
    measured = require_references(references).measure(np.asarray(picture.values, np.float64))
    recovered = spectra_at(reconstructor, SeenPicture.in_memory(reconstructor, picture), measured)
    return fit_correction(reconstructor, measured, recovered, picture.attrs)


def correct_picture(
    reconstructor: Reconstructor, picture: Picture, references: References
) -> Correction:
    """As :func:`fit_references`, of a picture on disk that is read piece by piece."""
    measured = references.measure_in(picture.height, picture.width, picture.read)
    recovered = spectra_at(reconstructor, SeenPicture.on_disk(reconstructor, picture), measured)
    corner = picture.image(slice(0, 1), slice(0, 1))
    return fit_correction(reconstructor, measured, recovered, corner.attrs)


def fit_correction(
    reconstructor: Reconstructor,
    references: References,
    recovered: FloatArray,
    codes: Mapping[Any, Any] | None = None,
) -> Correction:
    """A correction from references with values and what a method recovered there.

    Args:
        reconstructor: for the capture of the references.
        references: with the values of their pixels.
        recovered: shape (n, band), what the reconstructor gives at them.
        codes: attributes of the picture, which say how its values were quantised; None: they are
            exact.

    Raises:
        DataError: as :func:`fit_references`.
    """
    grid = np.array(reconstructor.contract.wavelengths_nm)
    known = references.on(grid)
    _check_each_other(known)
    camera, response = camera_and_response(reconstructor.contract)
    if response is not None:
        _check_values(known, response, reconstructor.capture)
    white = np.ones(3) if response is None else response.sum(axis=0)
    values = np.asarray(known.values, np.float64)
    ratios = _log_ratios(known.spectra, recovered)
    kept = thin(features(values, white), _MOST)
    values, ratios, spectra = values[kept], ratios[kept], recovered[kept]
    errors = ReferenceErrors(values, spectra, known.spectra[kept], response, camera, codes)
    noise = noise_of(ratios, known.uncertainty[kept])
    found = choose_lengths(features(values, white), ratios, errors, noise)
    return Correction(values, ratios, grid, white, response, *found, camera=camera, noise=noise)


def spectra_at(
    reconstructor: Reconstructor, picture: SeenPicture, references: References
) -> FloatArray:
    """What a reconstructor gives at references, shape (n, band), which know their pixels' values.

    The rest of the picture is not recovered; guarantees and corrections play no part.
    """
    factor = picture.factor
    if reconstructor.sees_neighbours and references.points is not None:
        return factor * _spectra_in_tiles(reconstructor, picture, references)
    values = np.asarray(references.values, np.float32) / np.float32(factor)
    side = max(reconstructor.card.size_minimum, 1)
    if reconstructor.sees_neighbours:  # values alone: an even field of each
        side = max(side, 16)
        found = [
            reconstructor.predict(np.broadcast_to(v, (side, side, 3)).copy()).mean(axis=(0, 1))
            for v in values
        ]
        return factor * np.asarray(found, np.float64)
    patch = np.repeat(values[:, None], max(side, 1), axis=1)
    patch = np.concatenate([patch, np.repeat(patch[-1:], max(side - len(patch), 0), axis=0)])
    by_means = reconstructor.card.tiling is Tiling.STATISTICS
    if by_means and reconstructor.weights.baked is None:
        layout = reconstructor.layout(picture.height, picture.width)
        means = reconstructor.compute_global_means(
            picture.read, layout, bounds=(0.0, 1.0), bits=picture.bits
        )
        with reconstructor.given(means):
            spectra = reconstructor.predict(patch, bits=picture.bits)
    else:
        spectra = reconstructor.predict(patch, bits=picture.bits)
    return factor * np.asarray(spectra[: len(values), 0], np.float64)


def _spectra_in_tiles(
    reconstructor: Reconstructor, picture: SeenPicture, references: References
) -> FloatArray:
    """Means over the references' rectangles."""
    layout = reconstructor.layout(picture.height, picture.width)
    totals = np.zeros((len(references), reconstructor.contract.bands))
    pieces = reconstructor.pieces(
        picture.read,
        layout,
        bounds=picture.bounds,
        bits=picture.bits,
    )
    for (rows, columns), spectra in pieces:
        for number, (y, x, tall, wide) in enumerate(references.points):
            top, left = max(y, rows.start), max(x, columns.start)
            bottom, right = min(y + tall, rows.stop), min(x + wide, columns.stop)
            if top < bottom and left < right:
                part = spectra[
                    top - rows.start : bottom - rows.start,
                    left - columns.start : right - columns.start,
                ]
                totals[number] += part.sum(axis=(0, 1), dtype=np.float64)
    return np.asarray(totals / references.points[:, 2:].prod(axis=1)[:, None], np.float64)


def _log_ratios(truth: FloatArray, recovered: FloatArray) -> FloatArray:
    floor = 0.1 * FLOOR * truth.mean(axis=1, keepdims=True)
    logs = np.log(np.maximum(truth, floor) / np.maximum(recovered, floor))
    return np.asarray(np.clip(logs, -_MOST_LOG, _MOST_LOG))


def _check_each_other(references: References) -> None:
    """Refuse references of one place that state different spectra."""
    if references.points is None:
        return
    first: dict[tuple[int, ...], int] = {}
    for number, place in enumerate(references.points):
        other = first.setdefault(tuple(place.tolist()), number)
        if other == number:
            continue
        one, two = references.spectra[other], references.spectra[number]
        spread = np.hypot(references.uncertainty[other], references.uncertainty[number])
        off = np.abs(one - two) / np.maximum(0.5 * (one + two), 1e-9)
        if np.median(off / spread) > _CONTRADICTION:
            raise DataError(
                f"{references.name(number)} contradicts reference {other + 1} of the same place: "
                f"their spectra differ by {np.median(off):.0%}, {np.median(spread):.0%} is their "
                "uncertainty; keep one of them, or state a larger uncertainty"
            )


def _check_values(references: References, response: FloatArray, capture: Capture | None) -> None:
    """Refuse references whose spectra do not give the R, G, B of their pixels."""
    seen = references.spectra @ response
    values = np.asarray(references.values)
    spread = references.uncertainty.mean(axis=1, keepdims=True)
    noise: FloatArray = np.zeros(1)
    if capture is not None and capture.noise:
        noise = CaptureCamera(capture).deviation(values)
    size = np.maximum(seen, values)
    expected = np.sqrt((spread * size) ** 2 + noise**2) + 1.0 / 255.0 / _CONTRADICTION
    off = np.abs(seen - values) / expected
    off[values >= 0.995] = 0.0
    wrong = np.flatnonzero(off.max(axis=1) > _CONTRADICTION)
    if not wrong.size:
        return
    parts = []
    for number in wrong[:3]:
        channel = int(off[number].argmax())
        parts.append(
            f"{references.name(number)} gives {'RGB'[channel]} = {seen[number, channel]:.3f}, the "
            f"picture has {values[number, channel]:.3f} "
            f"({seen[number, channel] / max(values[number, channel], 1e-6) - 1:+.0%})"
        )
    more = f" and {wrong.size - 3} more" if wrong.size > 3 else ""
    message = (
        f"references contradict the picture by more than their uncertainty: {'; '.join(parts)}"
        f"{more}. Check the camera, the light and the white, whether the spectra are of this "
        "quantity, or state a larger uncertainty"
    )
    told = capture is None or (capture.light is not None and not capture.is_photograph)
    if told:
        raise DataError(message)
    warnings.warn(message, RespectraWarning, stacklevel=2)


def correct_by_cube(
    reconstructor: Reconstructor,
    path: str | os.PathLike[str],
    kind: InputKind,
    cube_path: str | os.PathLike[str],
    **opening: Any,
) -> Reconstructor:
    """The reconstructor, corrected by a cube of the place that a picture shows.

    The cube, opened as :func:`respectra.open_cube` does, is of the same place or part of it, in the
    quantity that the reconstructor gives or with a light that is known; it need not fit the picture
    pixel by pixel.

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

    As :func:`correct_by_cube`; the library is a CSV with a header ``name,400,410,...,700`` and one
    spectrum a line.
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
