"""Pages of benchmarks say when, where and by which command; the scripts are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_FOLDER = _ROOT / "docs" / "benchmarks"
_PAGES = [page for page in sorted(_FOLDER.glob("*.md")) if page.name != "index.md"]
_ROW = re.compile(r"^\| (date|command|machine|software) \| (.+) \|$", re.MULTILINE)


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_a_page_says_when_where_and_how(page: Path) -> None:
    text = page.read_text("utf-8")
    told = dict(_ROW.findall(text))
    assert set(told) == {"date", "command", "machine", "software"}
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", told["date"])
    scripts = re.findall(r"python (benchmarks/\w+\.py)", text)
    assert scripts or "respectra " in text
    assert all((_ROOT / script).is_file() for script in scripts)
    assert text.count("\n| ") > 6, "a page holds tables"


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_the_index_lists_the_page(page: Path) -> None:
    assert f"({page.name})" in (_FOLDER / "index.md").read_text("utf-8")
