"""The comparison of all networks: what is finished is kept, and its table."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.side_by_side import (
    COLUMNS,
    PARTS,
    QUICK,
    Lines,
    costs_of,
    make_scenes,
    network_recipe,
    table,
)

import respectra as rs
from respectra.datasets.still_life import still_life
from respectra.methods import list_methods


def test_finished_work_survives_a_line_that_was_cut(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    lines = Lines(file)
    lines.add("a", mrae=0.5)
    lines.add("b", mrae=None)
    file.write_bytes(file.read_bytes()[:-5])
    again = Lines(file)
    assert again.found == {"a": {"key": "a", "mrae": 0.5}}
    again.add("b", mrae=0.25)
    assert Lines(file).found["b"]["mrae"] == 0.25


def test_the_table_has_means_over_seeds_best_first() -> None:
    def entry(method: str, mrae: float, **facts: object) -> dict[str, object]:
        scores = dict.fromkeys(COLUMNS, 0.1) | {"MRAE": mrae}
        return {"method": method, "scores": scores, **facts}

    runs = [
        entry("lwrdanet", m, kind="network", rate=1e-3, seed=k) for k, m in enumerate((0.4, 0.6))
    ]
    costs = {"pca": {"seconds": 0.5, "peak_mib": 7.0}}
    columns, rows = table([*runs, entry("pca", 0.2, kind="classical")], costs)
    assert [row[0] for row in rows] == ["pca", "lwrdanet"]
    assert all(len(row) == len(columns) for row in rows)
    assert rows[1][1:3] == ["0.001", "0.5000 ± 0.1414"]
    assert rows[0][1] == "–"
    assert rows[0][-2:] == ["0.500", "7"]


def test_times_are_taken_once(tmp_path: Path) -> None:
    Lines(tmp_path / "costs.jsonl").add("wiener", seconds=0.25, peak_mib=1.0)
    costs = costs_of([{"method": "wiener", "source": "wiener"}], tmp_path)
    assert costs["wiener"]["seconds"] == 0.25


@pytest.mark.parametrize("name", list_methods("network"))
def test_every_network_has_the_same_recipe_and_its_own_input(name: str) -> None:
    recipe = network_recipe(name, QUICK, 1e-3, 2, ["a"])
    assert (recipe.length.steps, recipe.batch, recipe.seed) == (QUICK.steps, QUICK.batch, 2)
    assert recipe.optimizer.lr == 1e-3
    assert recipe.preset == "tiny"


def test_scenes_are_dealt_out_and_none_is_in_two_parts(tmp_path: Path) -> None:
    plan = type(QUICK)(1, 1, 16, dict.fromkeys(QUICK.scenes, 1), 16)
    measured = tmp_path / "measured"
    for k in range(5):
        rs.save_cube(still_life(16, 16, seed=k), measured / f"scene{k}.npz")
    for _ in range(2):
        make_scenes(tmp_path / "all", plan, measured)
    found = {part: {p.name for p in (tmp_path / "all" / part).iterdir()} for part in PARTS}
    assert found["validation"] == {"synthetic-validation-000.npz", "scene1.npz"}
    assert found["test"] == {"synthetic-test-000.npz", "scene3.npz"}
    assert sum(map(len, found.values())) == 9
