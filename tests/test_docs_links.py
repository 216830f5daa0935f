"""Links and pictures of the pages lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
#: Written when the site is built.
_MADE = {"_build", "auto_gallery", "rooms", "jupyter_execute"}
_PAGES = [
    page
    for page in [*sorted(_ROOT.glob("*.md")), *sorted((_ROOT / "docs").rglob("*.md"))]
    if not _MADE & set(page.parts)
]
_LINK = re.compile(r"\]\(([^)\s]+)\)|```\{image\} (\S+)")


def _broken(page: Path) -> list[str]:
    found = []
    for link, image in _LINK.findall(page.read_text("utf-8")):
        target = (link or image).partition("#")[0]
        if not target or re.match(r"[a-z]+:", target) or _MADE & set(Path(target).parts):
            continue
        if not (page.parent / target).exists():
            found.append(target)
    return found


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_links_within_the_project_lead_somewhere(page: Path) -> None:
    assert _broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[here](page.md#part) [there](gone.md) [web](https://example.org)")
    assert _broken(page) == ["gone.md"]


def test_pages_speak_of_the_project_alone() -> None:
    """No places of one machine, and nobody's own addresses."""
    private = re.compile(r"(?<![\w.:/])/(?:work|root|home/\w|opt|tmp/\w)|file://")
    for page in _PAGES:
        assert not private.findall(page.read_text("utf-8")), page
