"""The tables of an evaluation, as a page of the documentation.

respectra evaluate METHODS --data SCENES --track clean,real-world --aux official -o REPORT
python benchmarks/evaluation.py REPORT --write docs/benchmarks/evaluation.md
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pages

from respectra.cameras import track_title
from respectra.evaluation import Results, load_results, report_tables

#: Title of a column -> role, test and metric.
COLUMNS = {
    "MRAE": ("main", "plain", "mrae"),
    "RMSE": ("main", "plain", "rmse"),
    "out of scope": ("out-of-scope", "plain", "mrae"),
    "4 × 4 shuffled": ("main", "shuffle-4", "mrae"),
    "brightness × 0.5": ("main", "brightness-0.5", "mrae"),
    "× 2": ("main", "brightness-2", "mrae"),
    "physical": ("main", "physical", "back_projection_mrae"),
    "weighted": ("main", "weighted", "weighted_mrae"),
}
ABOUT = """
Methods by the challenge's protocol on {scenes} scenes; each scene counts the same. MRAE or, where
it says so, RMSE and physical MRAE, with a floor of {floor:g}; a dash was not measured.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder that `respectra evaluate` wrote")
    pages.add_option(parser)
    chosen = parser.parse_args()
    results = load_results(chosen.results)
    options = results.protocol.options
    about = ABOUT.format(scenes=len(results.protocol.scene_names()), floor=options.floor)
    page = pages.Page("Evaluation", about, measured=chosen.results / "results.csv")
    for track in options.tracks:
        page.table(*scores(results, track), track_title(track))
    for table in report_tables(results):
        if "no method has learned from" in table.title:
            page.table(table.columns, table.rows, "Scenes that no method has learned from")
            page.text(" ".join(table.notes))
    page.write(chosen.write)


def scores(results: Results, track: str) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of a track, the least MRAE first."""
    rows = []
    for name in results.names_of(track):
        means = [
            results.mean(name, track, test, metric, role=role).value
            for role, test, metric in COLUMNS.values()
        ]
        cost = results.cost(name, track)
        times = [None, None] if cost is None else [cost.seconds, cost.seconds_4k]
        shown = ["–" if value is None else f"{value:.4f}" for value in means]
        shown += ["–" if value is None else f"{value:.3g}" for value in times]
        rows.append((means[0] if means[0] is not None else float("inf"), (name, *shown)))
    ordered = [row for _, row in sorted(rows)]
    return ("method", *COLUMNS, "s/image", "s/4K"), ordered


if __name__ == "__main__":
    main()
