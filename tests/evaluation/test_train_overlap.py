"""Scenes that a method has learned from are named, and a table leaves them out."""

from __future__ import annotations

import dataclasses

from respectra.cli.evaluate import _summary
from respectra.evaluation import (
    EvaluationOptions,
    Protocol,
    Results,
    Row,
    build_report,
    make_leaderboard,
    report_tables,
)
from respectra.evaluation.protocol import SceneRecord
from respectra.evaluation.results import Mean
from respectra.evaluation.tables import accuracy_table, auxiliary_table, show
from respectra.evaluation.train_overlap import learned_scenes, without_learned


def results(provenance: dict[str, object]) -> Results:
    scenes = tuple(SceneRecord(name=name, truth=f"sha-{name}") for name in ("a", "b", "c"))
    rows = tuple(
        Row("main", scene.name, "clean", 0, method, "plain", scores={"mrae": value, "rmse": value})
        for method, values in {"net": (0.1, 0.1, 0.9), "other": (0.5, 0.5, 0.5)}.items()
        for scene, value in zip(scenes, values, strict=True)
    )
    protocol = Protocol(options=EvaluationOptions(), collections={}, scenes=scenes, versions={})
    return Results(protocol, rows, methods={"net": {"provenance": provenance}, "other": {}})


PROVENANCE = {
    "sha256": {"renamed.npz": "sha-a", "b.npz": "sha-b", "elsewhere.npz": "sha-z"},
    "scenes": {"train": ["renamed", "elsewhere"], "validation": ["b"]},
}


def test_scenes_are_known_by_their_files_and_not_by_their_names():
    assert learned_scenes(results(PROVENANCE), "net") == {"a": "train", "b": "validation"}
    assert learned_scenes(results(PROVENANCE), "other") == {}
    assert learned_scenes(results({"sha256": "broken"}), "net") == {}


def test_what_weights_were_started_from_counts():
    started = {"started_from": {"provenance": PROVENANCE}, "sha256": {"c.npz": "sha-c"}}
    assert learned_scenes(results(started), "net") == {
        "a": "train",
        "b": "validation",
        "c": "train",
    }
    tuned_on_b = {**started, "sha256": {"b.npz": "sha-b"}}
    assert learned_scenes(results(tuned_on_b), "net")["b"] == "train"


def test_files_of_one_base_name_are_told_apart():
    provenance = {
        "sha256": {"a/cube.npz": "sha-a", "b/cube.npz": "sha-b"},
        "validation_sha256": ["sha-b"],
    }
    assert learned_scenes(results(provenance), "net") == {"a": "train", "b": "validation"}


def test_a_mean_over_fewer_scenes_is_marked():
    assert show(Mean(0.5, 4, 4)) == "0.50000"
    assert show(Mean(0.5, 3, 4)) == "0.50000 [3/4]"
    assert show(Mean(0.5, 1, 1, idle=3)) == "0.50000 [1 of 4]"


def test_a_mean_over_some_scenes_stands_beside_no_other_unmarked():
    whole = results({})
    options = EvaluationOptions(tests=("shuffle-4", "weighted"))
    rows = [*whole.rows[:3], *whole.rows[3:5]]  # "other" lacks the scene c
    for place, scene in enumerate("abc"):
        scored = {"scores": {"mrae": 0.2}} if place == 0 else {"note": "failed: too small"}
        rows.append(Row("main", scene, "clean", 0, "net", "shuffle-4", **scored))
        scored = {"scores": {"weighted_mrae": 0.3}} if place == 1 else {"note": "one cluster"}
        rows.append(Row("main", scene, "clean", 0, "net", "weighted", **scored))
    partial = Results(
        whole.protocol.model_copy(update={"options": options}),
        tuple(rows),
        methods=whole.methods,
    )
    assert accuracy_table(partial).rows[1] == ("other", "0.50000 [2/3]", "0.50000 [2/3]")
    cells = set(auxiliary_table(partial, "clean").rows[0])
    assert {"0.20000 [1/3]", "0.30000 [1 of 3]"} <= cells
    means = {(m["method"], m["test"]): m for m in _summary(partial)["means"]}
    assert "over" not in means["net", "plain"]
    assert means["other", "plain"]["over"]["mrae"] == [2, 3]
    assert means["net", "shuffle-4"]["over"] == {"mrae": [1, 3]}
    assert means["net", "weighted"]["over"] == {"weighted_mrae": [1, 3]}
    page = build_report(partial)
    assert "Every test at a glance" not in page  # no test is over all scenes
    for mark in ("[2/3]", "[1/3]", "[1 of 3]"):
        assert mark in page


def test_a_table_has_the_other_scenes_alone():
    tables = report_tables(results(PROVENANCE))
    assert "net was trained on a and was chosen by b." in tables[0].notes
    assert [row[0] for row in tables[0].rows] == ["net", "other"]
    assert "no method has learned" in tables[1].title
    assert tables[1].rows == (
        ("other", "0.50000 (1)", "0.50000"),
        ("net", "0.90000 (2)", "0.90000"),
    )
    assert tables[1].notes == ("Scenes: c.",)


def test_there_is_no_such_table_where_it_would_be_empty_or_the_same():
    assert without_learned(results({})) is None
    everything = {"sha256": {name: f"sha-{name}" for name in "abc"}}
    assert without_learned(results(everything)) is None


def test_the_leaderboard_says_it_and_ranks_by_the_other_scenes():
    one = results(PROVENANCE)
    other = dataclasses.replace(one, rows=tuple(one.select(method="other")), methods={"other": {}})
    for boards in (make_leaderboard([one]), make_leaderboard([other, one])):
        whole, unseen = boards
        assert "net was trained on a and was chosen by b." in whole.notes
        assert [row[:2] for row in whole.rows] == [("1", "net"), ("2", "other")]
        assert unseen.title == f"{whole.title}, scenes that no method has learned from"
        assert [row[:2] for row in unseen.rows] == [("1", "other"), ("2", "net")]
    [alone] = make_leaderboard([results({})])
    assert len(alone.notes) == 1
