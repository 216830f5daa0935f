"""The tables of the challenge's report as it printed them: published on ARAD, not measured here."""

from __future__ import annotations

import csv
import functools
import importlib.resources
from typing import Literal

from respectra.errors import unknown_name
from respectra.evaluation.tables import NONE, ReportTable

#: Stands above every published table.
LABEL = "published on ARAD"
#: Where they are from.
SOURCE = "Arad et al., NTIRE 2020 Challenge on Spectral Reconstruction from an RGB Image"
_TITLES = {
    "1": "results on the test images",
    "2": "seconds an image as the teams reported them",
    "3": "auxiliary tests of the top three (MRAE)",
}


def published_table(number: Literal["1", "2", "3"]) -> ReportTable:
    """Table 1 (results), 2 (runtimes) or 3 (auxiliary tests) of the report.

    VIPLab2 stands twice as VIPLab1 in the report's table 2.

    Raises:
        ConfigError: there is no such table.

    Example:
        >>> published_table("1").columns[:3]
        ('Team', 'User name', 'Clean MRAE')
    """
    if number not in _TITLES:
        raise unknown_name("published table", number, _TITLES)
    columns, *rows = _lines(number)
    return ReportTable(
        f"Report, table {number}: {_TITLES[number]} ({LABEL})",
        columns,
        tuple(tuple(cell or NONE for cell in row) for row in rows),
        (f"Source: {SOURCE}. Not measured here and not comparable with what was.",),
    )


@functools.cache
def _lines(number: str) -> tuple[tuple[str, ...], ...]:
    folder = importlib.resources.files("respectra.evaluation") / "data"
    text = (folder / f"published_table_{number}.csv").read_text("utf-8")
    return tuple(tuple(line) for line in csv.reader(text.splitlines()))
