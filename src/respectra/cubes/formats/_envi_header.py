"""ENVI's headers as people have them: text of ``name = value`` lines, values in braces over many.

Read are headers in UTF-8 and Latin-1, with a byte order mark, with trailing commas, with other
brackets, without what has an obvious default, and with names in the plural.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from respectra.cubes.formats._grids import Grid, numbers_in, spelled_grid, stated_grid, widths_nm
from respectra.cubes.formats._values import Decoding, per_band, unless_all
from respectra.errors import FormatError

#: Entries by name, as they are written.
Header = dict[str, str]
#: Order of (y, x, band) in the file, slowest first, by interleave.
ORDERS = {"bip": (0, 1, 2), "bil": (0, 2, 1), "bsq": (2, 0, 1)}
_TYPES = {
    1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 6: "c8", 9: "c16", 12: "u2", 13: "u4",
    14: "i8", 15: "u8",
}  # fmt: skip
_LIMIT = 2**24
_RADIANCE = (b"#?RADIANCE", b"#?RGBE", b"#?AUTOPANO")
_BRACKETS = {"{": "}", "[": "]"}
_ENTRY = re.compile(
    r"^[ \t]*([^={}\[\]\n;][^={}\[\]\n]*?)[ \t]*=[ \t]*(?:\n[ \t]*(?=[{\[]))?", re.M
)
#: What is said with the values themselves, and is not kept as an attribute.
_USED = frozenset(
    (
        *("description", "samples", "lines", "bands", "header offset", "file type", "data type"),
        *("interleave", "byte order", "file compression", "data ignore value", "data gain values"),
        *("data offset values", "reflectance scale factor", "sensor type", "data file", "bbl"),
        *("wavelength", "wavelengths", "wavelength units", "wavelength unit", "wavelengths units"),
        *("fwhm", "band names"),
    )
)


@dataclass(frozen=True)
class EnviLayout:
    """Where the values lie in the data file."""

    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    interleave: str
    offset: int
    compressed: bool

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        rows, columns, bands = self.shape
        return rows * columns * bands * self.dtype.itemsize


def read_header(path: Path) -> Header:
    """The entries of a header by name in lower case, as they are written, brackets included."""
    if path.stat().st_size > _LIMIT:
        raise FormatError(f"{path} is too long for an ENVI header")
    data = path.read_bytes()
    if data.startswith(_RADIANCE):
        raise FormatError(
            f"{path} is a Radiance picture (RGBE), not the header of an ENVI cube; save it as a "
            "TIFF with 16 or 32 bits to open it as a picture"
        )
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.lstrip()[:4].upper() == b"ENVI":
        raise FormatError(f"{path} is not an ENVI header: it does not begin with ENVI")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    entries: dict[str, str] = {}
    at = 0
    while (match := _ENTRY.search(text, at)) is not None:
        at = _end(text, match.end())
        name = " ".join(match[1].lower().replace("_", " ").split())
        entries[name] = text[match.end() : at].strip()
    return entries


def _end(text: str, at: int) -> int:
    """Where the value ends that begins here: with its line, or a bracket that closes a line."""
    closing = _BRACKETS.get(text[at : at + 1])
    if closing is None:
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    found = re.compile(rf"\{closing}[ \t]*(?=\n|\Z)").search(text, at)
    return len(text) if found is None else found.end()


def text_of(header: Header, name: str) -> str:
    """An entry as text, without brackets around it; empty where there is none."""
    value = header.get(name, "")
    if value[:1] in _BRACKETS and value:
        value = value[1:].removesuffix(_BRACKETS[value[0]])
    return value.strip()


def list_of(header: Header, name: str) -> list[str]:
    """An entry as a list, whatever separates it; empty where there is none."""
    text = text_of(header, name)
    parts = text.split(",") if "," in text else text.split()
    parts = [" ".join(part.split()) for part in parts]
    while parts and not parts[-1]:
        parts.pop()
    return parts


def layout_of(header: Header, path: Path) -> EnviLayout:
    """Sizes, type and order of the values."""
    if "spectral library" in text_of(header, "file type").lower():
        raise FormatError(f"{path} is a library of spectra, not a cube")
    rows, columns, bands = (_integer(header, n, path) for n in ("lines", "samples", "bands"))
    shape = (rows, columns, bands)
    offset = _integer(header, "header offset", path, 0)
    code = _integer(header, "data type", path)
    if code not in _TYPES:
        raise FormatError(f"{path} is damaged: ENVI has no data type {code}")
    interleave = text_of(header, "interleave").lower()
    if interleave not in ORDERS:
        raise FormatError(f"{path}: interleave is bip, bil or bsq; got {interleave!r}")
    if min(shape) < 1 or offset < 0:
        raise FormatError(f"{path} gives sizes that cannot be: {shape}")
    if any(set(re.findall(r"-?\d+", text_of(header, f"{w} frame offsets"))) - {"0"}
           for w in ("major", "minor")):  # fmt: skip
        raise FormatError(f"{path} has gaps between its lines (frame offsets); rewrite it without")
    order: Literal["<", ">"] = ">" if _integer(header, "byte order", path, 0) == 1 else "<"
    return EnviLayout(
        shape,
        np.dtype(_TYPES[code]).newbyteorder(order),
        interleave,
        offset,
        compressed=_integer(header, "file compression", path, 0) != 0,
    )


def _integer(header: Header, name: str, path: Path, default: int | None = None) -> int:
    text = text_of(header, name)
    if not text and default is not None:
        return default
    try:
        return int(text)
    except ValueError:
        what = f"got {text!r}" if text else "it is missing"
        raise FormatError(f"{path}: {name!r} is a whole number; {what}") from None


def wavelengths_in(header: Header, bands: int, path: Path) -> Grid:
    """Wavelengths in nm: of their own entry, or as they stand in the names of the bands."""
    problem: Grid = {}
    for name in ("wavelength", "wavelengths"):
        entries = list_of(header, name)
        grid = stated_grid(entries or None, _unit(header), bands, path)
        if not grid and len(entries) == bands:  # each with its unit: 400 nm
            grid = spelled_grid(entries, path)
        if grid:
            return grid
        if entries and len(entries) != bands:
            said = f"{path} states {len(entries)} wavelengths and has {bands} bands"
            problem = {"wavelength_problem": f"{said}; say where they are (--wavelengths)"}
    names = list_of(header, "band names")
    return (spelled_grid(names, path) if len(names) == bands else {}) or problem


def _unit(header: Header) -> str | None:
    names = ("wavelength units", "wavelength unit", "wavelengths units")
    return next((text_of(header, name) for name in names if name in header), None)


def decoding_of(header: Header, bands: int, path: Path, stored_type: np.dtype[Any]) -> Decoding:
    """What the header says of its numbers."""

    def numbers(name: str) -> Any:
        return per_band(list_of(header, name) or None, bands, f"{path}: {name}")

    divisor = numbers("reflectance scale factor")
    factor = 1.0 if divisor is None else float(divisor[0])
    if not (np.isfinite(factor) and factor > 0):
        raise FormatError(f"{path}: reflectance scale factor is positive; got {factor}")
    if factor < 1 and stored_type.kind in "iu":
        raise FormatError(
            f"{path}: whole numbers are divided by the reflectance scale factor; got {factor:g}, "
            f"which would make them larger. If it was meant to multiply, write {1 / factor:g}"
        )
    gain = unless_all(numbers("data gain values"), 1.0)
    offset = unless_all(numbers("data offset values"), 0.0)
    if gain is not None and factor != 1.0:
        if not np.allclose(gain * factor, 1.0):
            raise FormatError(
                f"{path} states two scales, data gain values and a reflectance scale factor; "
                "remove the one that is not meant"
            )
        gain = None  # one statement, said twice
    nodata = numbers("data ignore value")
    if nodata is not None and np.isnan(nodata).all():  # NaN is missing as it is
        nodata = None
    return Decoding(nodata, gain, offset, factor)


def attributes_of(header: Header, bands: int) -> dict[str, Any]:
    """What else the header says, so that a conversion keeps it.

    ``band_names``, ``fwhm_nm`` and ``good_bands`` (1 good, 0 bad) are lists of one a band; ``envi``
    holds the entries that Respectra makes no use of, such as ``map info``, as they are written.
    """
    attrs: dict[str, Any] = {}
    if text_of(header, "description"):
        attrs["description"] = text_of(header, "description")
    names = list_of(header, "band names")
    if len(names) == bands:
        attrs["band_names"] = names
    good, fwhm = list_of(header, "bbl"), list_of(header, "fwhm")
    numbers = numbers_in(good)
    if numbers and len(good) == bands:
        attrs["good_bands"] = [int(number) for number in numbers]
    widths = widths_nm(fwhm, _unit(header))
    if widths and len(fwhm) == bands:
        attrs["fwhm_nm"] = widths
    others = {
        name: value
        for name, value in header.items()
        if name not in _USED and "frame offsets" not in name
    }
    return attrs | ({"envi": others} if others else {})


def entries_for(attrs: Mapping[Any, Any], bands: int) -> list[tuple[str, str]]:
    """The entries of a header that say what ``attributes_of`` reads."""
    entries = []
    for name, key in (("band names", "band_names"), ("fwhm", "fwhm_nm"), ("bbl", "good_bands")):
        values = attrs.get(key)
        if isinstance(values, list) and len(values) == bands:
            parts = [re.sub(r"[,{}\n=]", " ", str(value)) for value in values]
            entries.append((name, "{" + ", ".join(parts) + "}"))
    others = attrs.get("envi")
    for name, value in others.items() if isinstance(others, Mapping) else ():
        plain = isinstance(name, str) and isinstance(value, str) and name.lower() not in _USED
        if plain and _is_entry(name, value):
            entries.append((name, value))
    return entries


def _is_entry(name: str, value: str) -> bool:
    """Whether an entry reads back as it is: nothing in it can be taken for another one."""
    text = f"{name} = {value}\n"
    match = _ENTRY.match(text)
    return (
        match is not None
        and match[1] == name
        and text[match.end() : _end(text, match.end())].strip() == value
        and _end(text, match.end()) >= len(text) - 1
        and value.isascii()
    )
