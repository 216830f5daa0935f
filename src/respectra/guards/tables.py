"""Tables of numbers in text files, as spreadsheets and instruments of any country write them."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from respectra.errors import FormatError
from respectra.guards.text import read_text

_MOST_BYTES = 2**26
_COMMENTS = ("#", "%", "//")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")


class TextTable(NamedTuple):
    """A table of shape (row, column); no names where its columns have no headings."""

    names: tuple[str, ...]
    values: npt.NDArray[np.float64]


def read_table(path: str | os.PathLike[str]) -> TextTable:
    """Read a table of numbers.

    Columns lie between tabs, semicolons, commas or spaces, whichever leads to rows of equal
    length; numbers may have decimal commas where commas do not lie between columns. Lines that
    begin with ``#``, ``%`` or ``//`` are left out; rows before the first one of numbers are
    headings, the last of which names the columns when it has as many.
    """
    lines = [line for line in read_text(path, _MOST_BYTES).splitlines() if line.strip()]
    rows = [line.strip() for line in lines if not line.lstrip().startswith(_COMMENTS)]
    if not rows:
        raise FormatError(f"{path} holds no rows of numbers")
    for separator in _separators(rows):
        split = [_split(row, separator) for row in rows]
        start = next((n for n, row in enumerate(split) if _numbers(row, separator)), None)
        if start is None:
            continue
        numbers = [_numbers(row, separator) for row in split[start:]]
        width = len(numbers[0] or ())
        wrong = next((n for n, row in enumerate(numbers) if row is None or len(row) != width), None)
        if wrong is not None:
            text = rows[start + wrong][:60]
            raise FormatError(f"{path}: a row differs from the first of {width} numbers: {text!r}")
        for n, row in enumerate(split[:start]):
            if _lacks_a_number(row, separator, width):
                raise FormatError(f"{path}: a row lacks a number: {rows[n][:60]!r}")
        headings = [row for row in split[:start] if len(row) == width]
        names = tuple(headings[-1]) if headings else ()
        return TextTable(names, np.array(numbers, dtype=np.float64))
    raise FormatError(f"{path} holds no rows of numbers; it begins with {rows[0][:60]!r}")


def _separators(rows: list[str]) -> list[str]:
    """Those that occur, the least ambiguous first; a space stands for any number of them."""
    last = rows[-1]
    found = [mark for mark in ("\t", ";") if mark in last]
    # A comma between columns is not one within numbers: 400,0 0,12 has spaces between.
    spaced = " " in re.sub(r"\s*,\s*", ",", last)
    if "," in last and not spaced:
        found.append(",")
    found.append(" ")
    if "," in last and spaced:
        found.append(",")
    return found


def _split(row: str, separator: str) -> list[str]:
    parts = row.split() if separator == " " else row.split(separator)
    cells = [part.strip().strip("\"'").strip() for part in parts]
    while len(cells) > 1 and not cells[-1]:  # a separator at the end of the line
        cells.pop()
    return cells


def _lacks_a_number(cells: list[str], separator: str, width: int) -> bool:
    """Whether a row before the first whole one is no heading but begins as that does."""
    known = [_numbers([cell], separator) is not None for cell in cells[:width]]
    return known[0] and len(cells) >= max(2, width - 1) and 2 * sum(known) >= width


def _numbers(cells: list[str], separator: str) -> list[float] | None:
    values = []
    for cell in cells:
        text = cell
        if separator != "," and _DECIMAL_COMMA.fullmatch(cell):
            text = cell.replace(",", ".")
        try:
            values.append(float(text))
        except ValueError:
            return None
    return values
