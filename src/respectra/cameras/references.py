"""References: pixels or rectangles of a picture whose spectra are known."""

from __future__ import annotations

import csv
import dataclasses
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from respectra.cubes import check_wavelengths
from respectra.errors import ConfigError, DataError, FormatError
from respectra.files import atomic_path
from respectra.guards.text import read_text
from respectra.typing import FloatArray

IntArray = npt.NDArray[np.int64]

#: Relative standard deviation of a spectrum of which nothing is said.
UNCERTAINTY = 0.02
#: Values from here on may be clipped; mean values below the other are black.
CLIPPED, BLACK = 0.999, 1e-4
#: More than these are a data set to fit a method on.
MOST = 4096
_PLACE = ("y", "x", "height", "width")


@dataclass(frozen=True, eq=False)
class References:
    """Places of a picture and what their spectra are.

    Args:
        points: shape (n, 2), y and x of pixels, or (n, 4), y, x, height and width of rectangles.
            None for references that come with the values of their pixels instead.
        spectra: shape (n, band), in the quantity of the cube: reflectance, or radiance.
        wavelengths_nm: shape (band,), nm, ascending.
        uncertainty: relative standard deviation of the spectra: one number, shape (n,) or
            (n, band).
        values: shape (n, 3), linear R, G, B of the references where they were measured; looked up
            in the picture where None. With them, references of one picture serve others.

    Raises:
        DataError: shapes that disagree, spectra that are negative, black or not finite.

    Example:
        >>> references = References([[0, 0]], [[0.2, 0.4]], [450, 550])
        >>> len(references)
        1
    """

    points: Any
    spectra: Any
    wavelengths_nm: Any
    uncertainty: Any = UNCERTAINTY
    values: Any = None

    def __post_init__(self) -> None:
        grid = check_wavelengths(self.wavelengths_nm)
        spectra = _numbers(self.spectra, "spectra")
        if spectra.ndim != 2 or spectra.shape[1] != grid.size or len(spectra) == 0:
            raise DataError(
                f"references have one spectrum a line, {grid.size} bands each; got shape "
                f"{spectra.shape}"
            )
        if len(spectra) > MOST:
            raise DataError(f"at most {MOST} references are taken; got {len(spectra)}")
        points = None if self.points is None else _places(self.points, len(spectra))
        values = None if self.values is None else _numbers(self.values, "values")
        if points is None and values is None:
            raise DataError("references need places in the picture, or the values of their pixels")
        if values is not None and values.shape != (len(spectra), 3):
            raise DataError(
                f"references have R, G, B a spectrum; got {values.shape} for {len(spectra)}"
            )
        self._put(grid, points, spectra, values)
        for number in range(len(spectra)):
            if not np.isfinite(spectra[number]).all() or spectra[number].min() < 0:
                raise DataError(
                    f"{self.name(number)} has a spectrum that is negative or not finite"
                )
            if spectra[number].max() <= 0:
                raise DataError(f"{self.name(number)} has a spectrum that is zero everywhere")

    def _put(
        self, grid: FloatArray, points: IntArray | None, spectra: FloatArray, values: Any
    ) -> None:
        spread = _numbers(self.uncertainty, "uncertainty")
        if spread.ndim == 1:
            spread = spread[:, None]
        if spread.ndim > 2 or (spread.size > 1 and len(spread) != len(spectra)):
            raise DataError(
                f"uncertainty is one number, one a reference or one a value; got {spread.shape}"
            )
        if not (np.isfinite(spread).all() and spread.min() > 0 and spread.max() < 1):
            raise DataError(
                "uncertainty is a relative standard deviation above 0 and below 1, such as 0.02"
            )
        spread = np.broadcast_to(spread, spectra.shape)
        names = ("points", "spectra", "wavelengths_nm", "uncertainty", "values")
        for name, array in zip(names, (points, spectra, grid, spread, values), strict=True):
            if array is not None:
                array = np.array(array)
                array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.spectra)

    @property
    def measured(self) -> bool:
        """Whether the values of the references' pixels are known."""
        return self.values is not None

    def name(self, number: int) -> str:
        """How a message calls a reference, counted from 1."""
        if self.points is None:
            return f"reference {number + 1}"
        y, x = self.points[number, :2]
        return f"reference {number + 1} at y={y}, x={x}"

    def measure(self, image: npt.ArrayLike) -> References:
        """The references with the mean values of their pixels in a picture.

        Args:
            image: shape (y, x, 3), linear values in [0, 1].

        Raises:
            DataError: a reference outside the picture, on clipped or on black pixels.
        """
        picture = np.asarray(image, np.float64)
        rows, columns = picture.shape[:2]
        return self.measure_in(rows, columns, lambda y, x: picture[y, x])

    def measure_in(
        self, rows: int, columns: int, read: Callable[[slice, slice], npt.NDArray[Any]]
    ) -> References:
        """As :meth:`measure`, of a picture of which only the references' places are read.

        Args:
            rows: height of the picture.
            columns: its width.
            read: gives linear values of rows and columns, (y, x, 3).

        Raises:
            DataError: as :meth:`measure`.
        """
        if self.points is None:
            return self
        values = np.empty((len(self), 3))
        for number, (y, x, height, width) in enumerate(self.points):
            if y + height > rows or x + width > columns:
                size = "" if height == width == 1 else f", height={height}, width={width}"
                raise DataError(
                    f"{self.name(number)}{size} lies outside the picture of {rows} rows and "
                    f"{columns} columns"
                )
            patch = np.asarray(read(slice(y, y + height), slice(x, x + width)), np.float64)
            patch = patch.reshape(-1, 3)
            if (patch.max(axis=1) >= CLIPPED).mean() > 0.05:
                raise DataError(
                    f"{self.name(number)} lies on clipped pixels, whose light is not known; choose "
                    "another place"
                )
            values[number] = patch.mean(axis=0)
            if values[number].max() < BLACK:
                raise DataError(
                    f"{self.name(number)} lies on black pixels, which say nothing; choose another "
                    "place"
                )
        return self.replace(values=values)

    def replace(self, **changes: Any) -> References:
        """The references with something changed."""
        return dataclasses.replace(self, **changes)

    def on(self, wavelengths_nm: npt.ArrayLike) -> References:
        """The references on other wavelengths, linear between their own.

        Raises:
            DataError: their spectra do not cover them.
        """
        grid = check_wavelengths(wavelengths_nm)
        known = self.wavelengths_nm
        if np.array_equal(grid, known):
            return self
        if grid[0] < known[0] or grid[-1] > known[-1]:
            raise DataError(
                f"the references are known from {known[0]:g} to {known[-1]:g} nm, the cube's bands "
                f"run from {grid[0]:g} to {grid[-1]:g} nm; measure them on the whole range"
            )

        def across(rows: FloatArray) -> FloatArray:
            return np.stack([np.interp(grid, known, row) for row in rows])

        spectra, spread = across(self.spectra), across(self.uncertainty)
        return self.replace(spectra=spectra, wavelengths_nm=grid, uncertainty=spread)

    @classmethod
    def from_csv(
        cls, path: str | os.PathLike[str], *, uncertainty: float = UNCERTAINTY
    ) -> References:
        """Read references from a table.

        Args:
            path: CSV with a header ``y,x[,height,width],400,410,...,700``: the wavelengths in nm
                are names of columns; one line a reference. A column ``uncertainty`` is allowed.
            uncertainty: relative standard deviation, where the table has no such column.

        Raises:
            FormatError: no such file, or another header or contents.
        """
        file = Path(path)
        table = read_spectral_table(file, "references")
        if not len(table.spectra):
            raise FormatError(f"{file} holds no references: a header and a line for each")
        places = [name for name in _PLACE if name in table.others]
        if places not in (list(_PLACE[:2]), list(_PLACE)) or not table.grid_nm.size:
            raise FormatError(
                f"{file} needs a header y,x[,height,width],400,410,...,700; got {table.header[:80]}"
            )
        unknown = set(table.others) - {*_PLACE, "uncertainty", "name"}
        if unknown:
            raise FormatError(
                f"{file} has columns that are not known: {', '.join(sorted(unknown))}"
            )
        points = np.stack([table.numbers(name) for name in places], axis=1)
        spread = table.numbers("uncertainty") if "uncertainty" in table.others else uncertainty
        try:
            return cls(points, table.spectra, table.grid_nm, spread)
        except DataError as error:
            raise FormatError(f"{file}: {error}") from None

    def to_csv(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write what :meth:`from_csv` reads.

        Raises:
            DataError: the references have no places.
            OutputError: the file exists and ``overwrite`` is false, or cannot be written.
        """
        if self.points is None:
            raise DataError("references without places are written by saving their capture")
        with (
            atomic_path(path, overwrite=overwrite) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow([*_PLACE, "uncertainty", *(f"{nm:g}" for nm in self.wavelengths_nm)])
            for place, spectrum, spread in zip(
                self.points, self.spectra, self.uncertainty, strict=True
            ):
                cells = [*place.tolist(), f"{spread.mean():.6g}", *(f"{v:.8g}" for v in spectrum)]
                writer.writerow(cells)

    def to_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        spread = self.uncertainty
        flat = spread.size and (spread == spread.flat[0]).all()
        record = {
            "wavelengths_nm": self.wavelengths_nm.tolist(),
            "spectra": self.spectra.tolist(),
            "uncertainty": float(spread.flat[0]) if flat else spread.tolist(),
        }
        if self.points is not None:
            record["points"] = self.points.tolist()
        if self.values is not None:
            record["values"] = self.values.tolist()
        return record

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> References:
        """References of what :meth:`to_json` gave."""
        return cls(
            record.get("points"),
            record["spectra"],
            record["wavelengths_nm"],
            record["uncertainty"],
            record.get("values"),
        )


def require_references(references: object) -> References:
    """Return ``references`` when they are some.

    Raises:
        ConfigError: they are something else, which the message says.

    Example:
        >>> import respectra as rs
        >>> known = rs.References([(0, 0)], [[0.5] * 31], range(400, 701, 10))
        >>> rs.cameras.require_references(known) is known
        True
    """
    if not isinstance(references, References):
        raise ConfigError(
            f"references are respectra.References; got {type(references).__name__}: "
            "read a table, References.from_csv(path)"
        )
    return references


def _numbers(values: Any, what: str) -> FloatArray:
    try:
        return np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the {what} of references are numbers: {error}") from None


def _places(points: Any, count: int) -> IntArray:
    table = _numbers(points, "places")
    if table.ndim != 2 or table.shape[1] not in (2, 4) or len(table) != count:
        raise DataError(
            f"places are y, x or y, x, height, width for each of {count} references; got shape "
            f"{table.shape}"
        )
    if table.shape[1] == 2:
        table = np.hstack([table, np.ones_like(table)])
    if not np.isfinite(table).all() or (table != np.rint(table)).any() or np.abs(table).max() > 1e9:
        raise DataError("places are whole numbers of pixels")
    wrong = np.flatnonzero((table[:, :2] < 0).any(axis=1) | (table[:, 2:] < 1).any(axis=1))
    if wrong.size:
        y, x = table[wrong[0], :2]
        raise DataError(f"reference {wrong[0] + 1} at y={y:g}, x={x:g} lies outside the picture")
    return table.astype(np.int64)


@dataclass(frozen=True)
class SpectralTable:
    """A CSV whose header names wavelengths in nm: a line a spectrum.

    Attributes:
        file: where it was read.
        header: its first line.
        grid_nm: shape (band,), ascending.
        spectra: shape (line, band).
        others: the cells of its other columns, by name in lower case.
    """

    file: Path
    header: str
    grid_nm: FloatArray
    spectra: FloatArray
    others: dict[str, list[str]]

    def numbers(self, name: str) -> FloatArray:
        """A column of numbers."""
        return _parse(self.file, [[cell] for cell in self.others[name]], 1)[:, 0]


def read_spectral_table(file: Path, what: str) -> SpectralTable:
    """Read a CSV of spectra, which is to hold something, for the error.

    Between columns are commas, or semicolons or tabs where the header has them; numbers may then
    have decimal commas, as spreadsheets of many countries write them.

    Raises:
        FormatError: it cannot be read, or a spectrum lacks a number.
    """
    lines = read_text(file).splitlines()
    first = next((line for line in lines if line.strip()), "")
    mark = next((mark for mark in (";", "\t") if mark in first), ",")
    try:
        rows = [row for row in csv.reader(lines, delimiter=mark) if any(c.strip() for c in row)]
    except csv.Error as error:
        raise FormatError(f"{file} cannot be read as {what}: {error}") from None
    header, *rows = rows or [[]]
    names = [cell.strip().lower().replace(",", ".") for cell in header]
    spectral = [i for i, n in enumerate(names) if re.fullmatch(r"\d+(\.\d+)?(\s*nm)?", n)]
    rows = [row + [""] * (len(names) - len(row)) for row in rows]
    others = {n: [row[i] for row in rows] for i, n in enumerate(names) if i not in spectral}
    grid = np.array([float(names[i].removesuffix("nm")) for i in spectral])
    order = np.argsort(grid)
    spectra = _parse(file, [[row[i] for i in spectral] for row in rows], len(spectral))
    return SpectralTable(file, ",".join(header), grid[order], spectra[:, order], others)


def _parse(file: Path, rows: list[list[str]], columns: int) -> FloatArray:
    table = np.empty((len(rows), columns))
    for line, row in enumerate(rows):
        try:
            table[line] = [float(cell.replace(",", ".")) for cell in row]
        except ValueError:
            raise FormatError(
                f"{file}, line {line + 2}: a number is missing or is none: {','.join(row)[:60]}"
            ) from None
    return table
