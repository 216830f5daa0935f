"""Write docs/methods/ and the stored counts from the cards and the networks themselves.

    python scripts/write_method_pages.py           write what has changed
    python scripts/write_method_pages.py --check   write nothing; fail when something is out of date

Run it after adding or changing a method.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from respectra.cli.methods import (
    by_rank,
    mrae_text,
    preset_rows,
    properties,
    rank_text,
    short_count,
)
from respectra.methods import list_methods
from respectra.methods.measure import MethodFacts, count_every_preset, get_facts

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "methods"
COUNTS = ROOT / "src" / "respectra" / "methods" / "counts.json"


def main() -> int:
    """Write or check; gives the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, fail if out of date")
    check = parser.parse_args().check

    # The counts first: the pages take theirs from them.
    stale = _update(COUNTS, _counts(), check=check)
    if not (stale and check):
        wanted = {PAGES / name: text for name, text in pages()}
        stale += [p for path, text in wanted.items() for p in _update(path, text, check=check)]
        for left_over in sorted(set(PAGES.glob("*.md")) - set(wanted)):
            stale.append(left_over)
            if not check:
                left_over.unlink()
    for path in stale:
        print(("out of date: " if check else "updated ") + str(path.relative_to(ROOT)))
    if stale and check:
        print("run: python scripts/write_method_pages.py")
    return int(bool(stale) and check)


def _counts() -> str:
    """The counts as JSON, one line a preset."""
    methods = []
    for name, presets in count_every_preset().items():
        lines = (f"  {json.dumps(preset)}: {json.dumps(c)}" for preset, c in presets.items())
        methods.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(methods) + "\n}\n"


def _update(path: Path, text: str, *, check: bool) -> list[Path]:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return []
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [path]


def pages() -> Iterator[tuple[str, str]]:
    """File name and text of every page."""
    every = [get_facts(name) for name in list_methods()]
    yield "index.md", _index(every)
    for facts in every:
        yield f"{facts.card.name}.md", _page(facts)


def _index(every: list[MethodFacts]) -> str:
    lines = [
        "# The methods",
        "",
        "Parameters and arithmetic are counted from the networks; ranks and scores are those "
        "reported by their authors, never measured here.",
        "",
        "## Networks",
        "",
        "MRAE: clean / real-world track of the 2020 challenge; in brackets: validation images of "
        "ARAD-1K, which is another protocol. GMAC: 10⁹ multiply-accumulates for one image of "
        "482 × 512. Sees: side of the square of input that an output pixel depends on. Origin: "
        "the weakest origin among a network's decisions.",
        "",
        "| network | team | rank | MRAE | parameters | GMAC | multiple | sees | tiling | origin |",
        "|---|---|---|---|--:|--:|--:|--:|---|---|",
    ]
    networks = [facts for facts in every if facts.card.kind == "network"]
    for facts in sorted(networks, key=by_rank):
        card = facts.card
        cells = (
            f"[{card.name}]({card.name}.md)",
            card.team or str(card.year),
            rank_text(card),
            mrae_text(card),
            short_count(facts.parameters),
            f"{facts.gmac or 0:.0f}",
            str(card.size_multiple),
            facts.receptive_field,
            card.tiling.value,
            card.origin.value,
        )
        lines.append(_row(cells))
    lines += [
        "",
        "## Classical methods",
        "",
        "Fitted on pairs of RGB and spectrum, applied pixel by pixel; any tiling is exact.",
        "",
        "| method | year | what it does | origin |",
        "|---|---|---|---|",
    ]
    for facts in every:
        card = facts.card
        if card.kind == "classical":
            link = f"[{card.name}]({card.name}.md)"
            lines.append(_row((link, str(card.year), card.summary, card.origin.value)))
    names = sorted(facts.card.name for facts in every)
    lines += ["", "```{toctree}", ":hidden:", "", *names, "```"]
    return "\n".join(lines) + "\n"


def _page(facts: MethodFacts) -> str:
    card = facts.card
    made_by = ", ".join(filter(None, (card.kind, card.team, str(card.year))))
    lines = [f"# {card.title}", "", f"`{card.name}`: {made_by}.", "", card.summary, ""]
    lines += ["| | |", "|---|---|"]
    lines += [_row((f"**{heading}**", text)) for heading, text in properties(facts)]
    lines += [
        "",
        "## Decisions, and where each comes from",
        "",
        "| origin | decision | source |",
        "|---|---|---|",
    ]
    lines += [_row((d.origin.value, d.what, d.source)) for d in card.decisions]
    counted = ("parameters", "arithmetic") if card.kind == "network" else ()
    heading = ("preset", *counted, "options")
    lines += ["", "## Presets", "", _row(heading), "|" + "---|" * len(heading)]
    lines += [_row((f"`{name}`", *rest)) for name, *rest in preset_rows(card.name)]
    options = [f"`{name}` = {value!r}" for name, value in facts.config]
    lines += ["", "Options and their defaults: " + (", ".join(options) or "none") + ".", ""]
    return "\n".join(lines)


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"


if __name__ == "__main__":
    sys.exit(main())
