"""``respectra methods``: every method in a table, or one of them in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.markup import escape

from respectra.cli.app import app, make_table, out, print_json
from respectra.cli.options import argument, flag
from respectra.registry import own_package

if TYPE_CHECKING:
    from rich.table import Table

    from respectra.methods import Card
    from respectra.methods.measure import MethodFacts

#: From this many columns of the terminal on, words are written out.
_WIDE = 112
_TRACKS: Final = ("clean", "real-world")
_TILING = {
    "exact with halo": "halo",
    "exact after a first pass": "2-pass",
    "tiles of its own": "own",
    "approximate": "blend",
    "whole image only": "whole",
}
_ORIGIN = {"published": "paper", "authors' code": "code", "our reading": "ours"}
_COLOUR = {"published": "green", "authors' code": "cyan", "our reading": "yellow"}
_LEGEND = (
    "Rank and MRAE: as reported, clean / real-world track of 2020; (in brackets): validation "
    "images of ARAD-1K, another protocol. GMAC: one image of 482 x 512. x: works at multiples of "
    "that many pixels; any size is accepted. Sees: side of the square of input that an output "
    "pixel depends on. Tiles: halo = exact with overlap, 2-pass = exact after a first pass over "
    "the image, own = defined on its own tiles, blend = approximate, whole = image in one piece. "
    "Origin: the weakest of its decisions: paper, authors' code, or ours where nothing is "
    "disclosed. More: respectra methods NAME"
)


@app.command()
def methods(
    name: Annotated[str | None, argument("METHOD", "Show this method in full.")] = None,
    as_json: Annotated[bool, flag("--json", "Print everything as JSON.")] = False,
) -> None:
    """List the methods and what is known of each, or show one in full."""
    from respectra.methods.measure import every_method, get_facts

    if name is not None:
        facts = get_facts(name)
        print_json(facts.as_dict()) if as_json else _show(facts)
        return
    every = every_method()
    if as_json:
        print_json([facts.as_dict() for facts in every])
    elif out.is_terminal:
        _print_tables(every)
    else:
        _print_plain(every)


def short_count(value: float | None) -> str:
    """A count in three digits: 17.5M, 626k; empty for None."""
    if value is None:
        return ""
    for limit, unit in ((999_500, "M"), (999.5, "k")):
        if value >= limit:
            scaled = value / (1e6 if unit == "M" else 1e3)
            digits = 0 if scaled >= 99.95 else 1
            return f"{scaled:.{digits}f}{unit}"
    return f"{value:.0f}"


def rank_text(card: Card) -> str:
    """Ranks of the clean and the real-world track, as ``1/3``; a dash where there is none."""
    if not card.rank:
        return ""
    return "/".join(str(card.rank[t]) if t in card.rank else "–" for t in _TRACKS)


def mrae_text(card: Card) -> str:
    """Reported MRAE of both tracks, as ``.0301/.0622``; where none, of ARAD-1K in brackets."""
    scores = {track: f"{score.mrae:.4f}".lstrip("0") for track, score in card.reported.items()}
    if any(track in scores for track in _TRACKS):
        return "/".join(scores.get(track, "–") for track in _TRACKS)
    return f"({scores['arad-1k']})" if scores else ""


def by_rank(facts: MethodFacts) -> tuple[int, int, int, str]:
    """Sort key: rank on the clean track, then on the real-world one, then newest first."""
    rank = facts.card.rank
    return rank.get("clean", 99), rank.get("real-world", 99), -facts.card.year, facts.card.name


def _print_tables(every: Sequence[MethodFacts]) -> None:
    wide = out.width >= _WIDE
    networks = make_table("Network", "Team", "Rank", "MRAE", "Params", "GMAC", "x", "Sees", gap=1)
    for column, place in zip(networks.columns, "llrrrrrr", strict=True):
        column.justify = "right" if place == "r" else "left"
    networks.add_column("Tiles")
    networks.add_column("Origin")
    for facts in sorted((f for f in every if f.card.kind == "network"), key=by_rank):
        card = facts.card
        origin = card.origin.value
        networks.add_row(
            f"[bold]{card.name}[/]",
            escape(card.team or str(card.year)),
            rank_text(card),
            mrae_text(card),
            short_count(facts.parameters),
            f"{facts.gmac or 0:.0f}",
            str(card.size_multiple),
            facts.receptive_field if wide else facts.receptive_field.removesuffix(" px"),
            card.tiling.value if wide else _TILING[card.tiling.value],
            f"[{_COLOUR[origin]}]{origin if wide else _ORIGIN[origin]}[/]",
        )
    classical = make_table("Classical", "Year", "Origin", gap=1)
    classical.add_column("What it does, pixel by pixel", no_wrap=False)
    for facts in (f for f in every if f.card.kind == "classical"):
        card = facts.card
        origin = card.origin.value
        classical.add_row(
            f"[bold]{card.name}[/]",
            str(card.year),
            f"[{_COLOUR[origin]}]{origin if wide else _ORIGIN[origin]}[/]",
            escape(card.summary),
        )
    out.print(networks, soft_wrap=False)
    out.print()
    out.print(classical, soft_wrap=False)
    out.print()
    others = [facts for facts in every if facts.package != own_package()]
    if others:
        packages = make_table("Method", "Package", gap=1)
        for facts in others:
            packages.add_row(escape(facts.card.name), escape(facts.package))
        out.print("Of other packages:")
        out.print(packages, soft_wrap=False)
        out.print()
    out.print(f"[dim]{escape(_LEGEND)}[/]", soft_wrap=False)


def _print_plain(every: Sequence[MethodFacts]) -> None:
    """One line a method, tab-separated, a dash for what is not known."""
    for number, facts in enumerate(every):
        card = facts.card
        scores = {track: score.mrae for track, score in card.reported.items()}
        row = {
            "name": card.name,
            "kind": card.kind,
            "team": card.team,
            "rank_clean": card.rank.get("clean"),
            "rank_real_world": card.rank.get("real-world"),
            "mrae_clean": scores.get("clean"),
            "mrae_real_world": scores.get("real-world"),
            "mrae_arad_1k": scores.get("arad-1k"),
            "parameters": facts.parameters,
            "gmac_482x512": None if facts.gmac is None else round(facts.gmac, 2),
            "size_multiple": card.size_multiple,
            "receptive_field": facts.receptive_field,
            "tiling": card.tiling.value,
            "origin": card.origin.value,
            "package": facts.package,
        }
        if not number:
            typer.echo("\t".join(row))
        typer.echo("\t".join("-" if value is None else str(value) for value in row.values()))


def _show(facts: MethodFacts) -> None:
    card = facts.card
    made_by = ", ".join(filter(None, (card.kind, card.team, str(card.year))))
    out.print(f"[bold]{escape(card.title)}[/]  ({card.name}; {escape(made_by)})")
    out.print(escape(card.summary), soft_wrap=False)
    out.print()
    table = _grid()
    for heading, text in properties(facts):
        table.add_row(f"[bold]{heading}[/]", escape(text))
    out.print(table, soft_wrap=False)
    out.print("\n[bold]Decisions, and where each comes from[/]")
    table = _grid()
    for decision in card.decisions:
        source = f" [dim]({escape(decision.source)})[/]" if decision.source else ""
        colour = _COLOUR[decision.origin.value]
        table.add_row(f"[{colour}]{decision.origin.value}[/]", escape(decision.what) + source)
    out.print(table, soft_wrap=False)
    out.print("\n[bold]Presets[/]")
    table = _grid(columns=4 if card.kind == "network" else 2)
    for row in preset_rows(card.name):
        table.add_row(*map(escape, row))
    out.print(table, soft_wrap=False)


def _grid(columns: int = 2) -> Table:
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for column in range(columns):
        table.add_column(no_wrap=column < columns - 1)
    return table


def properties(facts: MethodFacts) -> list[tuple[str, str]]:
    """What is known of a method as headed lines of text, without decisions and presets."""
    card = facts.card
    rows = [("Reference", card.reference)]
    ranks = {str(track): rank for track, rank in card.rank.items()}
    for track, score in card.reported.items():
        text = f"MRAE {score.mrae:.5f}"
        text += f", RMSE {score.rmse:.5f}" if score.rmse is not None else ""
        text += f", rank {ranks[track]}" if track in ranks else ""
        rows.append((f"Reported, {track}", text))
    if facts.parameters is not None and facts.gmac is not None:
        rows.append(("Parameters", f"{facts.parameters:,}"))
        rows.append(("Arithmetic", f"{facts.gmac:,.1f} GMAC on one image of 482 x 512"))
    if card.memory_gb is not None:
        rows.append(("Memory", f"at most {card.memory_gb:g} GB on one image of 482 x 512, CPU"))
    sizes = f"any from {card.size_minimum} x {card.size_minimum}"
    if card.size_multiple > 1:
        sizes += f"; pads to multiples of {card.size_multiple} and crops by itself"
    rows += [
        ("Sizes", sizes),
        ("Sees", facts.receptive_field),
        ("Tiling", f"{card.tiling.value}. {card.tiling_reason}"),
    ]
    if card.kind == "network":
        rows.append(("Exports to ONNX", "yes" if card.exports_onnx else "no"))
    if card.licence_note:
        rows.append(("Licence", card.licence_note))
    rows.append(("Origin", card.origin.value))
    if facts.package != own_package():
        rows.append(("Package", facts.package))
    return rows


def preset_rows(name: str) -> list[tuple[str, ...]]:
    """Name, parameters and arithmetic of networks, and the options of each preset."""
    from respectra.methods.measure import get_facts, presets_of

    rows = []
    for preset, options in presets_of(name).items():
        facts = get_facts(name, preset=preset)
        counts = (
            (f"{facts.parameters:,}", f"{facts.gmac:,.1f} GMAC")
            if facts.parameters is not None and facts.gmac is not None
            else ()
        )
        changed = ", ".join(f"{key} = {value}" for key, value in options.items())
        rows.append((preset, *counts, changed or "the defaults"))
    return rows
