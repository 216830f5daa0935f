"""Measured reflectances and illuminants that any user can install, on a grid of one's choice.

Nothing is stored in the package: the spectra are read from colour-science, which Respectra depends
on, and from earthlib where it is installed (``pip install 'respectra[spectra]'``).
"""

from __future__ import annotations

import csv
import importlib
import importlib.util
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, check_wavelengths
from respectra.errors import DataError, FormatError, MissingExtraError, unknown_name
from respectra.typing import FloatArray

_COLOUR = "colour-science, BSD-3-Clause, copyright 2013 Colour Developers"


@dataclass(frozen=True)
class Spectrum:
    """One measured spectrum on the grid it was published on."""

    name: str
    wavelengths_nm: FloatArray
    values: FloatArray
    category: str = ""


@dataclass(frozen=True)
class SpectraSource:
    """A collection of spectra: what it is, how it is read, and under which licence."""

    title: str
    read: Callable[[], list[Spectrum]]
    licence: str = _COLOUR
    package: str = "colour"
    """Module whose installation brings the data."""

    @property
    def installed(self) -> bool:
        """Whether the data are on this machine."""
        return importlib.util.find_spec(self.package) is not None


def list_reflectances(*, installed: bool = False) -> list[str]:
    """Names of the collections of reflectances; with ``installed``, only those readable here.

    Example:
        >>> "rawtoaces" in list_reflectances()
        True
    """
    return [name for name, source in _REFLECTANCES.items() if source.installed or not installed]


def list_illuminant_collections() -> list[str]:
    """Names of the collections of illuminants.

    Example:
        >>> len(list_illuminant_collections()) > 0
        True
    """
    return list(_ILLUMINANTS)


def reflectances(
    source: str, wavelengths_nm: npt.ArrayLike = CHALLENGE_WAVELENGTHS_NM
) -> xr.DataArray:
    """Measured reflectances of a collection.

    Args:
        source: one of :func:`list_reflectances`.
        wavelengths_nm: shape (band,), nm. A finer published grid is averaged with a triangular
            window as wide as the step on either side; a coarser one is linearly interpolated.

    Returns:
        Dims (sample, wavelength), float64, factor in about [0, 1], with the coordinate
        ``category`` where the collection has one, and ``source`` and ``licence`` among the attrs.
        ``left_out`` names the spectra that do not cover the grid: nothing is extrapolated.

    Example:
        >>> patches = reflectances("rawtoaces")

    Raises:
        ConfigError: there is no such collection.
        MissingExtraError: the package that brings it is not installed.
        DataError: none of its spectra covers the grid.
    """
    if source not in _REFLECTANCES:
        raise unknown_name("collection of reflectances", source, _REFLECTANCES)
    return _label(source, _REFLECTANCES[source], wavelengths_nm, "reflectance")


def illuminants(
    source: str, wavelengths_nm: npt.ArrayLike = CHALLENGE_WAVELENGTHS_NM
) -> xr.DataArray:
    """Spectral power distributions of a collection, relative: each with a maximum of 1.

    Args:
        source: one of :func:`list_illuminant_collections`.
        wavelengths_nm: shape (band,), nm; resampled as in :func:`reflectances`.

    Returns:
        Dims (sample, wavelength), float64; one lamp by name with ``.sel(sample="D65")``.

    Raises:
        ConfigError: there is no such collection.
        DataError: none of its spectra covers the grid.

    Example:
        >>> illuminants(list_illuminant_collections()[0], [450, 550, 650]).dims
        ('sample', 'wavelength')
    """
    if source not in _ILLUMINANTS:
        raise unknown_name("collection of illuminants", source, _ILLUMINANTS)
    return _label(source, _ILLUMINANTS[source], wavelengths_nm, "illuminant")


def resample_spectrum(
    wavelengths_nm: FloatArray, values: FloatArray, grid_nm: FloatArray
) -> FloatArray | None:
    """Spectra (..., native) on another grid (..., band), or None where they do not cover it.

    Where the native step is finer than the grid's, a triangular window of the grid's step on
    either side averages; it narrows at the ends of the data, so that it stays symmetric.
    """
    low, high = wavelengths_nm[0], wavelengths_nm[-1]
    if grid_nm[0] < low or grid_nm[-1] > high:
        return None
    native_step = float(np.median(np.diff(wavelengths_nm)))
    steps = np.gradient(grid_nm) if grid_nm.size > 1 else np.zeros(1)
    operator = np.zeros((wavelengths_nm.size, grid_nm.size))
    identity = np.eye(wavelengths_nm.size)
    for band, (centre, step) in enumerate(zip(grid_nm, steps, strict=True)):
        half = min(step, centre - low, high - centre) if native_step < step else 0.0
        points = centre + half * np.linspace(-1.0, 1.0, 41) if half > 0 else np.array([centre])
        window = 1.0 - np.abs(points - centre) / half if half > 0 else np.ones(1)
        window /= window.sum()
        for point, weight in zip(points, window, strict=True):
            right = int(np.clip(np.searchsorted(wavelengths_nm, point), 1, wavelengths_nm.size - 1))
            left = right - 1
            share = (point - wavelengths_nm[left]) / (wavelengths_nm[right] - wavelengths_nm[left])
            operator[:, band] += weight * ((1 - share) * identity[left] + share * identity[right])
    resampled: FloatArray = values @ operator
    return resampled


def _label(
    name: str, source: SpectraSource, wavelengths_nm: npt.ArrayLike, quantity: str
) -> xr.DataArray:
    grid = check_wavelengths(wavelengths_nm)
    if not source.installed:
        raise MissingExtraError(source.package, "spectra", f"the collection {name!r}")
    kept, left_out = _resampled(source.read(), grid)
    if not kept:
        raise DataError(
            f"no spectrum of {name!r} covers {grid[0]:g} to {grid[-1]:g} nm; "
            "ask for a narrower range of wavelengths"
        )
    values = np.stack([spectrum.values for spectrum in kept])
    if quantity == "illuminant":
        values = values / values.max(axis=1, keepdims=True)
    coords: dict[str, Any] = {
        "sample": [spectrum.name for spectrum in kept],
        "wavelength": ("wavelength", grid, {"units": "nm"}),
    }
    if any(spectrum.category for spectrum in kept):
        coords["category"] = ("sample", [spectrum.category for spectrum in kept])
    facts = {"quantity": quantity, "source": source.title, "licence": source.licence}
    return xr.DataArray(
        values,
        dims=("sample", "wavelength"),
        coords=coords,
        name=quantity,
        attrs={**facts, "left_out": left_out},
    )


def _resampled(spectra: Iterable[Spectrum], grid: FloatArray) -> tuple[list[Spectrum], list[str]]:
    """Spectra on the grid, and the names of those that do not cover it; one operator a grid."""
    groups: dict[bytes, list[Spectrum]] = {}
    for spectrum in spectra:
        groups.setdefault(spectrum.wavelengths_nm.tobytes(), []).append(spectrum)
    kept: list[Spectrum] = []
    left_out: list[str] = []
    for group in groups.values():
        native = group[0].wavelengths_nm
        values = resample_spectrum(native, np.stack([s.values for s in group]), grid)
        if values is None:
            left_out += [spectrum.name for spectrum in group]
            continue
        kept += [
            Spectrum(s.name, grid, row, s.category) for s, row in zip(group, values, strict=True)
        ]
    return kept, left_out


def _from_colour(name: str, distribution: Any) -> Spectrum:
    """A spectrum of colour-science's, sorted, without its interpolators."""
    wavelengths = np.asarray(distribution.wavelengths, dtype=np.float64)
    values = np.asarray(distribution.values, dtype=np.float64)
    order = np.argsort(wavelengths)
    return Spectrum(name, wavelengths[order], values[order])


def _columns(distributions: Any) -> list[Spectrum]:
    """The spectra of a multi-spectral distribution of colour-science's."""
    wavelengths = np.asarray(distributions.wavelengths, dtype=np.float64)
    values = np.asarray(distributions.values, dtype=np.float64)
    return [
        Spectrum(str(label), wavelengths, values[:, index])
        for index, label in enumerate(distributions.labels)
    ]


def _table(table: str, part: str = "", module: str = "colour") -> Callable[[], list[Spectrum]]:
    """What reads a table of distributions by name in colour-science, or a part of one."""

    def read() -> list[Spectrum]:
        found = getattr(importlib.import_module(module), table)
        return [_from_colour(str(k), sd) for k, sd in (found[part] if part else found).items()]

    return read


def _ces() -> list[Spectrum]:
    from colour import SpectralShape
    from colour.quality.cfi2017 import load_TCS_CIE2017

    return _columns(load_TCS_CIE2017(SpectralShape(380, 780, 5)))


def _rawtoaces() -> list[Spectrum]:
    from colour.characterisation import read_training_data_rawtoaces_v1

    return _columns(read_training_data_rawtoaces_v1())


def _earthlib() -> list[Spectrum]:
    """The full library, read from its ENVI file: importing the package itself is not needed."""
    import spectral.io.envi

    spec = importlib.util.find_spec("earthlib")
    if spec is None or spec.origin is None:
        raise MissingExtraError("earthlib", "spectra", "the collection 'earthlib'")
    folder = Path(spec.origin).parent / "data"
    header, data, table = (folder / f"spectra.{end}" for end in ("sli.hdr", "sli", "csv"))
    if not (header.is_file() and data.is_file() and table.is_file()):
        raise FormatError(
            f"the installed earthlib has no spectral library in {folder}; "
            "install a version that has: pip install 'earthlib>=1.1'"
        )
    library = spectral.io.envi.open(str(header), str(data))
    wavelengths = np.round(np.asarray(library.bands.centers, dtype=np.float64) * 1000.0, 6)
    with table.open(encoding="utf-8", newline="") as lines:
        # Row by row: a few names stand for two spectra, and one is spelt differently.
        categories = [
            "/".join(row[f"LEVEL_{level}"] for level in (2, 3, 4)) for row in csv.DictReader(lines)
        ]
    return [
        Spectrum(str(name), wavelengths, values, category)
        for name, values, category in zip(
            library.names,
            np.asarray(library.spectra, dtype=np.float64),
            categories,
            strict=True,
        )
    ]


def _daylight() -> list[Spectrum]:
    from colour import sd_CIE_illuminant_D_series
    from colour.temperature import CCT_to_xy_CIE_D

    temperatures = [*range(4000, 10000, 500), *range(10000, 25001, 2500)]
    return [
        _from_colour(f"daylight {k} K", sd_CIE_illuminant_D_series(CCT_to_xy_CIE_D(k)))
        for k in temperatures
    ]


def _blackbodies() -> list[Spectrum]:
    from colour import SpectralShape, sd_blackbody

    shape = SpectralShape(360, 830, 5)
    return [
        _from_colour(f"black body {k} K", sd_blackbody(k, shape)) for k in range(2000, 12001, 500)
    ]


_CHECKERS, _QUALITY = "SDS_COLOURCHECKERS", "colour.quality"
_REFLECTANCES = {
    "colorchecker-babelcolor": SpectraSource(
        "ColorChecker, 24 patches, average of 30 charts (BabelColor)",
        _table(_CHECKERS, "BabelColor Average"),
    ),
    "colorchecker-ohta": SpectraSource(
        "ColorChecker, 24 patches (Ohta 1997)", _table(_CHECKERS, "ColorChecker N Ohta")
    ),
    "colorchecker-iso17321": SpectraSource(
        "ColorChecker, 24 patches (ISO 17321-1)", _table(_CHECKERS, "ISO 17321-1")
    ),
    "pmc": SpectraSource("PMC colour checker, 30 patches", _table(_CHECKERS, "PMC")),
    "cie-tcs": SpectraSource(
        "Test colour samples of the CIE colour rendering index, 15 (CIE 2024)",
        _table("SDS_TCS", "CIE 2024", _QUALITY),
    ),
    "cqs": SpectraSource(
        "Saturated samples of the NIST colour quality scale 9.0, 15",
        _table("SDS_VS", "NIST CQS 9.0", _QUALITY),
    ),
    "cie-ces99": SpectraSource(
        "Colour evaluation samples of CIE 224:2017 and IES TM-30, 99 real materials", _ces
    ),
    "rawtoaces": SpectraSource(
        "190 patches: skin, natural and man-made objects (A.M.P.A.S. rawtoaces)",
        _rawtoaces,
        f"{_COLOUR}; measured by the Academy of Motion Picture Arts and Sciences",
    ),
    "earthlib": SpectraSource(
        "earthlib: soils, vegetation, litter, built surfaces, 7261 spectra",
        _earthlib,
        "earthlib, MIT, Christopher Anderson",
        package="earthlib",
    ),
}

_ILLUMINANTS = {
    "cie": SpectraSource("CIE and ISO standard illuminants", _table("SDS_ILLUMINANTS")),
    "lamps": SpectraSource(
        "Measured lamps: NIST, RIT, and a cinema projector", _table("SDS_LIGHT_SOURCES")
    ),
    "daylight": SpectraSource("CIE daylight series, 4000 to 25000 K", _daylight),
    "blackbody": SpectraSource("Black bodies, 2000 to 12000 K", _blackbodies),
}
