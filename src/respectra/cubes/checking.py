"""What in a cube breaks training or scoring, found before it does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import xarray as xr

from respectra.cubes.model import CHALLENGE_WAVELENGTHS_NM, is_chunked, require_cube, wavelengths_of
from respectra.errors import DataError

Severity = Literal["error", "warning", "info"]

#: Full scales that cubes come in, and what they are.
_SCALES = ((255.0, "8-bit codes"), (4095.0, "12-bit codes"), (65535.0, "16-bit codes"))
_REPEATED_SHARE = 0.01
_SATURATED_SHARE = 0.001
_DARK_MEAN = 0.01
#: Values that are looked at together.
_BLOCK_VALUES = 2**24
#: Repeated spectra are sought among so many pixels.
_COMPARED_PIXELS = 2**24
#: Chunks whose findings are put together at a time.
_FAN = 16


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing about a cube.

    Attributes:
        severity: ``error`` breaks training and scoring, ``warning`` spoils them, ``info`` does
            neither.
        code: a short name that does not change, for programs.
        message: what was found, what it means, what to do.
        count: how many values, pixels or bands it concerns.

    Example:
        >>> import respectra as rs
        >>> finding = rs.cubes.check(rs.make_cube([[[0.2, -0.4]]], [450, 550])).findings[0]
        >>> finding.code, finding.severity, finding.count
        ('negative', 'error', 1)
    """

    severity: Severity
    code: str
    message: str
    count: int


@dataclass(frozen=True)
class CubeReport:
    """What ``check`` found.

    Attributes:
        shape: (y, x, band).
        minimum: smallest finite value; NaN when there is none.
        maximum: largest finite value; NaN when there is none.
        mean: mean of the finite values; NaN when there is none.
        findings: the worst first.

    Example:
        >>> import respectra as rs
        >>> report = rs.cubes.check(rs.make_cube([[[0.2, 0.4]]], [450, 550]))
        >>> report.ok, report.shape
        (True, (1, 1, 2))
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


def check(cube: xr.DataArray) -> CubeReport:
    """Look for what breaks training and scoring; a cube that is not in memory is read by parts.

    The challenge's score, MRAE, divides by the true value: a NaN makes the score NaN, a negative
    value its sign wrong, a zero infinite unless a floor is declared.

    Raises:
        DataError: not a cube.
        FormatError: a file whose values are damaged.

    Example:
        >>> import respectra as rs
        >>> rs.cubes.check(rs.make_cube([[[0.2, -0.4]]], [450, 550])).findings[0].code
        'negative'
    """
    cube = require_cube(cube)
    if is_chunked(cube):
        report: CubeReport = check_lazily(cube).compute()
        return report
    rows, columns, bands = cube.shape
    height = max(1, _BLOCK_VALUES // (columns * bands))
    step = _step(rows * columns)
    parts = [_look(cube[y : y + height].values, step) for y in range(0, rows, height)]
    return _report(_joined(parts), cube.shape, cube.attrs.get("quantity"), wavelengths_of(cube))


def check_lazily(cube: xr.DataArray) -> Any:
    """As :func:`check`, for a cube on dask's chunks; ``compute()`` of the result gives the report.

    Raises:
        DataError: not a cube, or not on chunks.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> cube = rs.make_cube(np.full((4, 4, 2), 0.5), [450, 550]).chunk(y=2, x=2)
        >>> rs.cubes.check_lazily(cube).compute().ok
        True
    """
    import dask

    cube = require_cube(cube)
    if not is_chunked(cube):
        raise DataError("the cube is not on chunks; cut it: cube.chunk(y=256, x=256)")
    blocks = cube.data.rechunk({2: -1}).to_delayed().ravel()
    parts = [dask.delayed(_look)(block, _step(cube.shape[0] * cube.shape[1])) for block in blocks]
    while len(parts) > 1:
        parts = [dask.delayed(_joined)(parts[k : k + _FAN]) for k in range(0, len(parts), _FAN)]
    facts = cube.shape, cube.attrs.get("quantity"), wavelengths_of(cube)
    return dask.delayed(_report)(parts[0], *facts)


@dataclass(frozen=True)
class _Seen:
    """What is known of some pixels; statistics are of finite values, NaN where there is none."""

    finite: int
    negative: int
    zero: int
    above_one: int
    dead: int
    total: float
    low: float
    high: float
    top: int
    """Values that equal the largest."""
    band_low: npt.NDArray[np.floating]
    band_high: npt.NDArray[np.floating]
    keys: npt.NDArray[np.float64]
    """A number a pixel, equal for equal spectra and 0 for black ones."""


def _step(pixels: int) -> int:
    """Of so large a cube, spectra are compared on every so manieth pixel."""
    return -(-pixels // _COMPARED_PIXELS)


def _look(values: npt.NDArray[np.floating], step: int) -> _Seen:
    finite = np.isfinite(values)
    known = values if finite.all() else values[finite]
    low, high = (float(known.min()), float(known.max())) if known.size else (np.nan, np.nan)
    pixels = np.nan_to_num(values.reshape(-1, values.shape[2]), nan=0.0, posinf=0.0, neginf=0.0)
    return _Seen(
        finite=known.size,
        negative=int(np.count_nonzero(values < 0)),
        zero=values.size - int(np.count_nonzero(values)),
        above_one=int(np.count_nonzero(known > 1)),
        dead=len(pixels) - int(np.count_nonzero(pixels.any(axis=1))),
        total=float(known.sum(dtype=np.float64)),
        low=low,
        high=high,
        top=int(np.count_nonzero(known == high)),
        band_low=values.min(axis=(0, 1)),
        band_high=values.max(axis=(0, 1)),
        keys=pixels[::step] @ np.random.default_rng(0).random(values.shape[2]),
    )


def _joined(parts: list[_Seen]) -> _Seen:
    counted = ("finite", "negative", "zero", "above_one", "dead", "total")
    known = [part for part in parts if part.finite]
    high = max((part.high for part in known), default=np.nan)
    return _Seen(
        **{name: sum(getattr(part, name) for part in parts) for name in counted},
        low=min((part.low for part in known), default=np.nan),
        high=high,
        top=sum(part.top for part in known if part.high == high),
        band_low=np.min([part.band_low for part in parts], axis=0),
        band_high=np.max([part.band_high for part in parts], axis=0),
        keys=np.concatenate([part.keys for part in parts]),
    )


def _report(
    seen: _Seen, shape: tuple[int, ...], quantity: object, grid: npt.NDArray[np.float64]
) -> CubeReport:
    rows, columns, bands = map(int, shape)
    mean = seen.total / seen.finite if seen.finite else float("nan")
    findings = [
        *_values(seen, rows * columns * bands),
        *_range(seen, mean, quantity),
        *_pixels(seen, rows * columns),
        *_bands(seen, grid, rows * columns),
    ]
    order = {"error": 0, "warning": 1, "info": 2}
    findings.sort(key=lambda finding: order[finding.severity])
    return CubeReport((rows, columns, bands), seen.low, seen.high, mean, tuple(findings))


def _values(seen: _Seen, size: int) -> Iterator[Finding]:
    bad = size - seen.finite
    if bad:
        yield Finding(
            "error",
            "not-finite",
            f"{_share(bad, size)} are NaN or infinite; training and scores become NaN: "
            "mask or replace them",
            bad,
        )
    if seen.negative:
        yield Finding(
            "error",
            "negative",
            f"{_share(seen.negative, size)} are negative; light is not, and MRAE divides by "
            "them: mask them, or calibrate anew",
            seen.negative,
        )
    if seen.zero:
        everything = seen.zero == size
        yield Finding(
            "error" if everything else "warning",
            "zero",
            f"{_share(seen.zero, size)} are zero; MRAE divides by them: "
            + ("the cube is empty" if everything else "declare a floor, or mask them"),
            seen.zero,
        )


def _range(seen: _Seen, mean: float, quantity: object) -> Iterator[Finding]:
    known, high = seen.finite, seen.high
    if known == 0 or high <= 0:
        return
    if high > 2.0:
        scale, what = next(((s, w) for s, w in _SCALES if high <= s), (high, "in an unknown unit"))
        yield Finding(
            "warning",
            "scale",
            f"values reach {high:g}: they look like {what}, and methods expect 0 to 1: "
            f"divide by {scale:g}",
            seen.above_one,
        )
    elif quantity == "reflectance" and high > 1.05:
        yield Finding(
            "warning",
            "reflectance-above-1",
            f"{_share(seen.above_one, known)} exceed 1, up to {high:g}: highlights, "
            "fluorescence, or radiance called reflectance",
            seen.above_one,
        )
    if mean < _DARK_MEAN:
        yield Finding(
            "warning",
            "dark",
            f"the mean is {mean:.3g}; relative errors of so dark a cube are mostly noise",
            known,
        )
    if max(1, _SATURATED_SHARE * known) < seen.top < known:
        yield Finding(
            "warning",
            "saturated",
            f"{_share(seen.top, known)} equal the maximum {high:g}: the sensor was probably "
            "saturated there",
            seen.top,
        )


def _pixels(seen: _Seen, pixels: int) -> Iterator[Finding]:
    if 0 < seen.dead < pixels:
        yield Finding(
            "warning",
            "dead-pixels",
            f"{_share(seen.dead, pixels, 'pixels')} hold no light in any band: mask them",
            seen.dead,
        )
    step = _step(pixels)
    repeated = int(np.unique_counts(seen.keys[seen.keys != 0]).counts.max(initial=0)) * step
    if repeated > max(2 * step, _REPEATED_SHARE * pixels):
        about = "" if step == 1 else "about "
        yield Finding(
            "warning",
            "repeated-spectrum",
            f"{about}{_share(repeated, pixels, 'pixels')} share one spectrum to the last "
            "digit: filled in where nothing was measured (mask them), or recovered from one colour",
            repeated,
        )


def _bands(seen: _Seen, grid: npt.NDArray[np.float64], pixels: int) -> Iterator[Finding]:
    flat = seen.band_low == seen.band_high
    count = int(np.count_nonzero(flat))
    if count and pixels > 1:
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
