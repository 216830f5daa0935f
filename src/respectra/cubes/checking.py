"""What in a cube breaks training or scoring, found before it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.model import CHALLENGE_WAVELENGTHS_NM, require_cube, wavelengths_of

Severity = Literal["error", "warning", "info"]

#: Full scales that cubes come in, and what they are.
_SCALES = ((255.0, "8-bit codes"), (4095.0, "12-bit codes"), (65535.0, "16-bit codes"))
_REPEATED_SHARE = 0.01
_SATURATED_SHARE = 0.001
_DARK_MEAN = 0.01


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing about a cube.

    Attributes:
        severity: ``error`` breaks training and scoring, ``warning`` spoils them, ``info`` does
            neither.
        code: a short name that does not change, for programs.
        message: what was found, what it means, what to do.
        count: how many values, pixels or bands it concerns.
    """

    severity: Severity
    code: str
    message: str
    count: int


@dataclass(frozen=True)
class Report:
    """What ``check`` found.

    Attributes:
        shape: (y, x, band).
        minimum: smallest finite value; NaN when there is none.
        maximum: largest finite value; NaN when there is none.
        mean: mean of the finite values; NaN when there is none.
        findings: the worst first.
    """

    shape: tuple[int, int, int]
    minimum: float
    maximum: float
    mean: float
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found that breaks training or scoring."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON; a statistic that does not exist is None."""
        plain = asdict(self) | {"ok": self.ok, "shape": list(self.shape)}
        plain["findings"] = list(plain["findings"])
        for name in ("minimum", "maximum", "mean"):
            plain[name] = plain[name] if np.isfinite(plain[name]) else None
        return plain


def check(cube: xr.DataArray) -> Report:
    """Look for what breaks training and scoring.

    The challenge's score, MRAE, divides by the true value: a NaN makes the score NaN, a negative
    value its sign wrong, a zero infinite unless a floor is declared.

    Raises:
        DataError: not a cube.
    """
    cube = require_cube(cube)
    values = cube.values
    finite = np.isfinite(values)
    known = values if finite.all() else values[finite]
    exists = known.size > 0
    low = float(known.min()) if exists else float("nan")
    high = float(known.max()) if exists else float("nan")
    mean = float(known.mean(dtype=np.float64)) if exists else float("nan")
    findings = [
        *_values(values, finite),
        *_range(known, high, mean, cube.attrs.get("quantity")),
        *_pixels(values),
        *_bands(values, wavelengths_of(cube)),
    ]
    order = {"error": 0, "warning": 1, "info": 2}
    findings.sort(key=lambda finding: order[finding.severity])
    rows, columns, bands = values.shape
    return Report((rows, columns, bands), low, high, mean, tuple(findings))


def _values(values: npt.NDArray[np.float32], finite: npt.NDArray[np.bool_]) -> Iterator[Finding]:
    bad = values.size - int(np.count_nonzero(finite))
    if bad:
        yield Finding(
            "error",
            "not-finite",
            f"{_share(bad, values.size)} are NaN or infinite; training and scores become NaN: "
            "mask or replace them",
            bad,
        )
    negative = int(np.count_nonzero(values < 0))
    if negative:
        yield Finding(
            "error",
            "negative",
            f"{_share(negative, values.size)} are negative; light is not, and MRAE divides by "
            "them: mask them, or calibrate anew",
            negative,
        )
    zero = values.size - int(np.count_nonzero(values))
    if zero:
        everything = zero == values.size
        yield Finding(
            "error" if everything else "warning",
            "zero",
            f"{_share(zero, values.size)} are zero; MRAE divides by them: "
            + ("the cube is empty" if everything else "declare a floor, or mask them"),
            zero,
        )


def _range(
    known: npt.NDArray[np.float32], high: float, mean: float, quantity: object
) -> Iterator[Finding]:
    if known.size == 0 or high <= 0:
        return
    if high > 2.0:
        scale, what = next(((s, w) for s, w in _SCALES if high <= s), (high, "in an unknown unit"))
        yield Finding(
            "warning",
            "scale",
            f"values reach {high:g}: they look like {what}, and methods expect 0 to 1: "
            f"divide by {scale:g}",
            int(np.count_nonzero(known > 1)),
        )
    elif quantity == "reflectance" and high > 1.05:
        above = int(np.count_nonzero(known > 1))
        yield Finding(
            "warning",
            "reflectance-above-1",
            f"{_share(above, known.size)} exceed 1, up to {high:g}: highlights, fluorescence, or "
            "radiance called reflectance",
            above,
        )
    if mean < _DARK_MEAN:
        yield Finding(
            "warning",
            "dark",
            f"the mean is {mean:.3g}; relative errors of so dark a cube are mostly noise",
            known.size,
        )
    top = int(np.count_nonzero(known == high))
    if top > max(1, _SATURATED_SHARE * known.size) and top < known.size:
        yield Finding(
            "warning",
            "saturated",
            f"{_share(top, known.size)} equal the maximum {high:g}: the sensor was probably "
            "saturated there",
            top,
        )


def _pixels(values: npt.NDArray[np.float32]) -> Iterator[Finding]:
    pixels = np.nan_to_num(values.reshape(-1, values.shape[2]), nan=0.0, posinf=0.0, neginf=0.0)
    dead = len(pixels) - int(np.count_nonzero(pixels.any(axis=1)))
    if 0 < dead < len(pixels):
        yield Finding(
            "warning",
            "dead-pixels",
            f"{_share(dead, len(pixels), 'pixels')} hold no light in any band: mask them",
            dead,
        )
    repeated = _most_repeated(pixels)
    if repeated > max(2, _REPEATED_SHARE * len(pixels)):
        yield Finding(
            "warning",
            "repeated-spectrum",
            f"{_share(repeated, len(pixels), 'pixels')} share one spectrum to the last digit: "
            "probably filled in where nothing was measured; mask them",
            repeated,
        )


def _most_repeated(pixels: npt.NDArray[np.float32]) -> int:
    """How many pixels share the most frequent spectrum that is not black."""
    key = pixels @ np.random.default_rng(0).random(pixels.shape[1])
    key = key[key != 0]
    if key.size == 0:
        return 0
    _, counts = np.unique(key, return_counts=True)
    return int(counts.max())


def _bands(values: npt.NDArray[np.float32], grid: npt.NDArray[np.float64]) -> Iterator[Finding]:
    flat = values.min(axis=(0, 1)) == values.max(axis=(0, 1))
    count = int(np.count_nonzero(flat))
    if count and values.shape[0] * values.shape[1] > 1:
        where = ", ".join(f"{nm:g}" for nm in grid[flat][:5]) + (" ..." if count > 5 else "")
        yield Finding(
            "warning",
            "constant-band",
            f"{count} of {grid.size} bands hold one value in all pixels ({where} nm): drop them",
            count,
        )
    if not np.array_equal(grid, CHALLENGE_WAVELENGTHS_NM):
        yield Finding(
            "info",
            "other-bands",
            f"{grid.size} bands from {grid[0]:g} to {grid[-1]:g} nm, where the challenge has 31 "
            "from 400 to 700 nm: resample for its methods",
            grid.size,
        )


def _share(count: int, total: int, what: str = "values") -> str:
    return f"{count:,} of {total:,} {what} ({100 * count / total:.2g} %)"
