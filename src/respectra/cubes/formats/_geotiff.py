"""What GDAL writes into TIFF files: missing values, scales, and what is known of the bands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from respectra.cubes.formats._grids import Grid, spelled_grid, stated_grid, widths_nm
from respectra.cubes.formats._values import Decoding, per_band, unless_all
from respectra.errors import FormatError

METADATA_TAG, NODATA_TAG = 42112, 42113
_LIMIT = 2**22
#: Items that hold a wavelength, and the unit in which they do when none is stated.
_WAVELENGTHS = (
    ("wavelength", None),
    ("wavelength_nm", "nm"),
    ("central_wavelength_um", "um"),
    ("center_wavelength", None),
    ("central_wavelength", None),
)
_WIDTHS = (("fwhm", None), ("fwhm_um", "um"))
_UNITS = ("wavelength_units", "wavelength_unit")


@dataclass(frozen=True)
class GeoTiffFacts:
    """Items of GDAL's metadata by name in lower case: of the whole file, and one a band."""

    whole: Mapping[str, str] = field(default_factory=dict)
    by_band: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    def of_bands(self, name: str, bands: int) -> list[str] | None:
        """An item of all bands; None unless all have it."""
        values = self.by_band.get(name, {})
        return [values[k] for k in range(bands)] if all(k in values for k in range(bands)) else None

    def unit_of_bands(self, bands: int) -> str | None:
        """The unit of wavelengths that the bands state; that of the first counts."""
        return next((u[0] for n in _UNITS if (u := self.of_bands(n, bands))), None)


def parse_metadata(text: str) -> GeoTiffFacts:
    """The items of GDAL's XML."""
    if len(text) > _LIMIT or "<!" in text:  # neither doctypes nor entities
        raise FormatError("its GDAL metadata cannot be read: too long, or with a document type")
    try:
        root = ElementTree.fromstring(text.strip("\0 \n"))
    except ElementTree.ParseError as error:
        raise FormatError(f"its GDAL metadata cannot be read: {error}") from None
    whole: dict[str, str] = {}
    by_band: dict[str, dict[int, str]] = {}
    for item in root.iter("Item"):
        name, value = item.get("name", "").lower(), (item.text or "").strip()
        sample = item.get("sample", "")
        if sample.isdigit():
            by_band.setdefault(item.get("role") or name, {})[int(sample)] = value
        else:
            whole[name] = value
    return GeoTiffFacts(whole, by_band)


def decoding(facts: GeoTiffFacts, nodata: str | None, bands: int) -> Decoding:
    """Missing value, gain and offset of each band."""
    missing = per_band([nodata.strip("\0 ")] if nodata else None, bands, "its missing value")
    if missing is not None and np.isnan(missing).all():
        missing = None
    return Decoding(
        missing,
        unless_all(_numbers(facts, "scale", bands, "1"), 1.0),
        unless_all(_numbers(facts, "offset", bands, "0"), 0.0),
    )


def _numbers(facts: GeoTiffFacts, name: str, bands: int, neutral: str) -> Any:
    values = facts.by_band.get(name)
    if not values:
        return None
    return per_band([values.get(k, neutral) for k in range(bands)], bands, f"its {name}s")


def wavelengths(facts: GeoTiffFacts, bands: int, path: Path) -> Grid:
    """Wavelengths in nm: of the bands' own items, of one list, or as the bands are described."""
    shared = next((facts.whole[name] for name in _UNITS if name in facts.whole), None)
    for name, usual in _WAVELENGTHS:
        values = facts.of_bands(name, bands)
        unit = facts.unit_of_bands(bands) or usual or shared
        if values is None and name in facts.whole:
            values, unit = re.findall(r"[^\s,{}\[\]]+", facts.whole[name]), usual or shared
        grid = stated_grid(values, unit, bands, path)
        if not grid and values and len(values) == bands:  # each with its unit: 400 Nanometers
            grid = spelled_grid(values, path)
        if grid:
            return grid
    named = [facts.whole.get(f"band_{k + 1}", "") for k in range(bands)]
    described = facts.of_bands("description", bands)
    return (spelled_grid(described, path) if described else {}) or spelled_grid(named, path)


def attributes(facts: GeoTiffFacts, bands: int) -> dict[str, Any]:
    """``band_names`` and ``fwhm_nm``, where all bands have them."""
    attrs: dict[str, Any] = {}
    names = facts.of_bands("description", bands)
    if names is not None:
        attrs["band_names"] = names
    for name, usual in _WIDTHS:
        unit = usual or facts.unit_of_bands(bands)
        widths = widths_nm(facts.of_bands(name, bands) or (), unit)
        if widths:
            attrs["fwhm_nm"] = widths
            break
    return attrs
