"""Wavelengths as files state them, in nanometres.

Every file of a cube, a response or a light passes its band axis through :func:`to_nanometres`:
what is stated is converted, what is not stated is guessed only where one guess is plausible, and
what no instrument measures is refused.
"""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.errors import DataError, FormatError, RespectraWarning
from respectra.typing import FloatArray

__all__ = [
    "AXIS_NAMES",
    "PLAUSIBLE_NM",
    "UNIT_NAMES",
    "axis_of_archive",
    "band_widths",
    "check_wavelengths",
    "is_plausible",
    "is_unit",
    "nanometres_per",
    "states_nothing",
    "to_nanometres",
    "unit_in_heading",
    "unit_of_array",
]


#: What spectral cameras and light sources reach, nm: vacuum ultraviolet to thermal infrared.
PLAUSIBLE_NM = (100.0, 100_000.0)
#: Where a number without a unit is taken as nanometres: silicon and InGaAs sensors, nm.
_USUAL_NM = (200.0, 3000.0)

_LENGTHS_NM = {
    1.0: ("nm", "nanometer", "nanometre", "nano meter"),
    1e3: ("um", "μm", "mum", "mkm", "micrometer", "micrometre", "micron", "micro meter"),
    1e6: ("mm", "millimeter", "millimetre"),
    1e7: ("cm", "centimeter", "centimetre"),
    1e9: ("m", "meter", "metre"),
    0.1: ("a", "å", "ang", "angstrom", "ångström", "angström", "ångstrom"),
}
#: Units in which a larger number is a shorter wave: wavelength in nm is the constant over it.
_INVERSE_NM = {
    1e7: ("cm-1", "1/cm", "wavenumber", "inverse centimeter", "reciprocal centimeter", "kayser"),
    299_792_458.0: ("ghz", "gigahertz"),
    299_792_458.0e3: ("mhz", "megahertz"),
    299_792.458: ("thz", "terahertz"),
    1239.841984: ("ev", "electronvolt", "electron volt"),
}
_FACTORS = {name: factor for factor, names in _LENGTHS_NM.items() for name in names}
_CONSTANTS = {name: constant for constant, names in _INVERSE_NM.items() for name in names}
#: What archives call the unit of their wavelengths.
UNIT_NAMES = ("wavelength_units", "wavelength_unit", "wavelengths_units", "units")
#: What archives of responses and lights call their wavelengths.
AXIS_NAMES = ("wavelengths_nm", "wavelengths", "wavelength_nm", "wavelength", "bands", "nm")
_BRACKETS = re.compile(r"[\[({]([^\[\](){}]+)[\])}]")
#: Units that are no more than a letter of a name unless something marks them as units.
_LETTERS = ("a", "m")
#: Words that state nothing.
_UNSTATED = ("", "unknown", "none", "null", "n/a", "undefined", "unspecified", "-", "?")
#: Guesses where nothing is stated: name, nm per unit.
_GUESSES = (("nanometres", 1.0), ("micrometres", 1e3), ("metres", 1e9), ("ångström", 0.1))


def to_nanometres(values: npt.ArrayLike, unit: str | None, *, where: str) -> FloatArray:
    """A band axis in nanometres, in the order it came in.

    Args:
        values: shape (band,), numbers in ``unit``.
        unit: as the file states it, in any usual spelling: nm, um, µm, micrometers, mm, m, Å,
            cm-1 (wavenumbers), THz, eV and so on; None where nothing is stated. Then numbers from
            200 to 3000 are nanometres; others are guessed, with a warning, only if exactly one
            unit makes them plausible.
        where: what the axis belongs to, for messages: a path, for instance.

    Returns:
        float64 wavelengths in nm, shape (band,).

    Raises:
        FormatError: not finite positive numbers, a unit that is no unit of wavelength (Index), or
            wavelengths that no instrument measures: 0.4 to 0.7 nm, 20 to 50 nm.

    Example:
        >>> to_nanometres([0.4, 0.55, 0.7], "Micrometers", where="scene.hdr")
        array([400., 550., 700.])
    """
    axis = _numbers(values, where)
    name = _normalise(unit)
    if name in _UNSTATED:
        return _guess(axis, where)
    if name in _FACTORS:
        nm = axis * _FACTORS[name]
        if _FACTORS[name] != 1.0:
            # 0.41 um is 410 nm, not 409.99999999999994: what files state has few digits.
            short = np.round(nm, 6)
            nm = np.where(np.isclose(nm, short, rtol=1e-14, atol=0), short, nm)
    elif name in _CONSTANTS:
        nm = _CONSTANTS[name] / axis
    else:
        raise FormatError(
            f"{where}: its band axis is in {unit!r}, which is no unit of wavelength (nm, um, mm, "
            "m, angstrom, cm-1, THz, eV); state the wavelengths in nm (of cubes: --wavelengths "
            "400:700:10)"
        )
    if not is_plausible(nm):
        raise FormatError(
            f"{where}: its band axis reaches from {axis.min():g} to {axis.max():g} {unit}, which "
            f"is {nm.min():g} to {nm.max():g} nm; no camera measures that ({_RANGE}). "
            f"{_suggestion(axis)}state the wavelengths in nm (of cubes: --wavelengths 400:700:10)"
        )
    return nm


def check_wavelengths(wavelengths_nm: npt.ArrayLike) -> FloatArray:
    """Wavelengths as float64, shape (band,), nm.

    Raises:
        DataError: not one-dimensional, not finite, not positive, or not strictly ascending.

    Example:
        >>> check_wavelengths([400, 550, 700]).tolist()
        [400.0, 550.0, 700.0]
    """
    try:
        grid = np.asarray(wavelengths_nm, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"wavelengths must be numbers in nanometres: {error}") from None
    if grid.ndim != 1 or grid.size == 0:
        raise DataError(f"wavelengths form a list of numbers in nm; got shape {grid.shape}")
    if not np.isfinite(grid).all() or (grid <= 0).any():
        raise DataError("wavelengths must be finite and positive numbers in nm")
    if not is_plausible(grid):
        raise DataError(
            f"wavelengths are in nm, from {PLAUSIBLE_NM[0]:g} to {PLAUSIBLE_NM[1]:g}; "
            f"got {grid.min():g} to {grid.max():g}: convert them"
        )
    if grid.size > 1 and not (np.diff(grid) > 0).all():
        raise DataError(
            "wavelengths must ascend without repetition; "
            f"got {np.array2string(grid, threshold=6, precision=4)}: sort the bands first"
        )
    return grid


def band_widths(grid_nm: FloatArray) -> FloatArray:
    """How far each band reaches, nm, shape (band,); 1 for a band that has no neighbours."""
    return np.asarray(np.gradient(grid_nm) if grid_nm.size > 1 else np.ones(1), np.float64)


def is_plausible(wavelengths_nm: npt.ArrayLike) -> bool:
    """Whether an instrument can have measured at all of these, nm."""
    grid = np.asarray(wavelengths_nm, np.float64)
    return bool(((grid >= PLAUSIBLE_NM[0]) & (grid <= PLAUSIBLE_NM[1])).all())


_RANGE = f"{PLAUSIBLE_NM[0]:g} to {PLAUSIBLE_NM[1]:g} nm"


def nanometres_per(unit: str | None) -> float | None:
    """Length of a unit in nm; None for what is no unit of length. For widths of bands."""
    return _FACTORS.get(_normalise(unit))


def states_nothing(unit: str | None) -> bool:
    """Whether a text that stands in the place of a unit names none."""
    return _normalise(unit) in _UNSTATED


def is_unit(unit: str | None) -> bool:
    """Whether a text is a unit of wavelength, wavenumber, frequency or photon energy."""
    return _normalise(unit) in _FACTORS or _normalise(unit) in _CONSTANTS


def unit_in_heading(heading: str) -> str | None:
    """The unit of wavelength that the heading of a column gives, or None where it gives none.

    Example:
        >>> [unit_in_heading(h) for h in ("wavelength [um]", "energy/eV", "nm", "R")]
        ['um', 'eV', 'nm', None]
    """
    for text in _BRACKETS.findall(heading):
        if is_unit(text):
            return str(text)
    words = [heading.strip(), *re.split(r"[\s_,;]+", heading)]
    for word in words:
        if is_unit(word) and _normalise(word) not in _LETTERS:
            return word
    after = heading.rpartition("/")[2].strip()
    if after != heading.strip() and is_unit(after):
        return after
    letters = re.findall(r"[^\W\d_]+", heading)
    return next((w for w in letters if is_unit(w) and _normalise(w) not in _LETTERS), None)


def unit_of_array(name: str, texts: Mapping[str, str]) -> str | None:
    """The unit of an array of wavelengths in an archive: what lies beside it, else its name.

    Args:
        name: of the array: ``wavelength_um``.
        texts: what the archive holds of short texts, by name.
    """
    stated = next((texts[key] for key in UNIT_NAMES if key in texts), None)
    return unit_in_heading(name) if stated is None else stated


def axis_of_archive(arrays: Mapping[str, npt.NDArray[Any]]) -> tuple[str, FloatArray]:
    """The name of an archive's wavelengths, and what they are in nm, in the order they lie in.

    Raises:
        FormatError: it has none, or they are not wavelengths; see :func:`to_nanometres`.
    """
    name = next((name for name in AXIS_NAMES if name in arrays), None)
    if name is None:
        raise FormatError(
            f"has no wavelengths: add an array called 'wavelengths' in nm (found: {list(arrays)})"
        )
    texts = {k: str(v.item()) for k, v in arrays.items() if v.size == 1 and v.dtype.kind in "US"}
    axis = np.asarray(arrays[name], np.float64).ravel()
    return name, to_nanometres(axis, unit_of_array(name, texts), where=f"the array {name!r}")


def _numbers(values: npt.ArrayLike, where: str) -> FloatArray:
    try:
        axis = np.atleast_1d(np.asarray(values, np.float64))
    except (TypeError, ValueError):
        axis = np.empty(0)
    if axis.ndim != 1 or axis.size == 0:
        raise FormatError(f"{where}: a band axis is a list of numbers, one a band")
    if not (np.isfinite(axis).all() and (axis > 0).all()):
        raise FormatError(f"{where}: wavelengths are finite and positive; {_listed(axis)} are not")
    return axis


def _listed(axis: FloatArray) -> str:
    wrong = axis[~(np.isfinite(axis) & (axis > 0))]
    return ", ".join(f"{value:g}" for value in wrong[:3]) + (" ..." if wrong.size > 3 else "")


def _normalise(unit: str | None) -> str:
    """A unit in one spelling: no case, plural, brackets, and one kind of micro sign."""
    # NFKC makes one sign of both micro signs and of both signs for ångström.
    text = unicodedata.normalize("NFKC", str(unit or "")).strip(" \t\r\n\0[](){}\"'.").lower()
    text = " ".join(text.replace("_", " ").replace("−", "-").split())
    text = text.replace("**", "").replace("^", "").replace("{-1}", "-1").replace(" -1", "-1")
    if text not in _FACTORS and text.endswith("s"):
        text = text[:-1]
    return text


def _guess(axis: FloatArray, where: str) -> FloatArray:
    if _USUAL_NM[0] <= axis.min() and axis.max() <= _USUAL_NM[1]:
        return axis
    fitting = [(name, factor) for name, factor in _GUESSES if _is_usual(axis * factor)]
    if len(fitting) != 1:
        problem = "fits " + " and ".join(name for name, _ in fitting) if fitting else "fits none"
        raise FormatError(
            f"{where}: its band axis reaches from {axis.min():g} to {axis.max():g} without a "
            f"unit, which {problem}; state the wavelengths in nm (of cubes: --wavelengths "
            "400:700:10)"
        )
    name, factor = fitting[0]
    nm = axis * factor
    warnings.warn(
        f"{where}: its band axis states no unit; {axis.min():g} to {axis.max():g} is taken as "
        f"{name}, {nm.min():g} to {nm.max():g} nm",
        RespectraWarning,
        stacklevel=3,
    )
    return np.round(nm, 6)


def _is_usual(nm: FloatArray) -> bool:
    """Whether a guess may be made: ultraviolet to thermal infrared, 200 nm to 20 micrometres."""
    return bool(nm.min() >= _USUAL_NM[0] and nm.max() <= 20_000.0)


def _suggestion(axis: FloatArray) -> str:
    fitting = [name for name, factor in _GUESSES if _is_usual(axis * factor)]
    return f"If these are {' or '.join(fitting)}, the file's unit is wrong: " if fitting else ""
