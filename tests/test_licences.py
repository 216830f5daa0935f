"""What others made and the package brings is named, with its licence; so is what is installed."""

from __future__ import annotations

import fnmatch
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[1]
_PACKAGE = _ROOT / "src" / "respectra"
_NOTICE = _ROOT / "NOTICE.md"
_PAGE = _ROOT / "docs" / "licences.md"


def _project() -> dict[str, Any]:
    return dict(tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"])


def _others() -> list[str]:
    """Files of the package that are data, or somebody else's code."""
    inside = [path.relative_to(_PACKAGE).as_posix() for path in _PACKAGE.rglob("*.*")]
    return [
        path
        for path in inside
        if ("/data/" in f"/{path}" or "/vendor/" in f"/{path}" or ".min." in path)
        and not path.endswith((".py", ".pyc"))
    ]


@pytest.mark.parametrize("path", _others())
def test_the_notice_names_each_file_of_others(path: str) -> None:
    patterns = re.findall(r"`([^`]+)`", _NOTICE.read_text("utf-8"))
    assert any(fnmatch.fnmatch(path, pattern) for pattern in patterns), path


def test_the_notice_names_what_the_weights_were_fitted_to() -> None:
    text = _NOTICE.read_text("utf-8")
    for source in ("earthlib", "isetmultispectral", "rawtoaces-data", "colour-science"):
        assert source in text
    names = [path.stem for path in (_PACKAGE / "methods" / "shipped").glob("*.safetensors")]
    rows = re.findall(r"^\| (`[^|]+?) \|", text, re.MULTILINE)
    patterns = [name for row in rows for name in re.findall(r"`([^`]+)`", row)]
    assert names
    assert all(any(fnmatch.fnmatch(name, pattern) for pattern in patterns) for name in names)


def test_texts_of_licences_are_installed() -> None:
    files = _project()["license-files"]
    assert "NOTICE.md" in files
    assert all((_ROOT / file).is_file() for file in files)
    inside = [path.relative_to(_ROOT).as_posix() for path in _PACKAGE.rglob("*LICENSE*")]
    assert set(inside) <= set(files)


def test_the_page_of_licences_has_the_notice_and_every_dependency() -> None:
    page = _PAGE.read_text("utf-8")
    notice = _NOTICE.read_text("utf-8").partition("\n")[2].partition("\n## ")[0].strip()
    assert notice in page, "write the page again: make release-check"
    listed = {_plain(name) for name in re.findall(r"^\| ([\w.-]+) \|", page, re.MULTILINE)}
    wanted = [*_project()["dependencies"]]
    for extra, names in _project()["optional-dependencies"].items():
        wanted += names if extra not in ("all", "dev", "docs") else []
    names = {_plain(re.split(r"[\[<>=!;~ ]", one)[0]) for one in wanted}
    assert sorted(names - listed) == [], "write the page again: make release-check"


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
