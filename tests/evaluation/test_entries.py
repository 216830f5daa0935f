"""Contestants: names, guarantees, and tracks that they take no part in."""

from __future__ import annotations

import pytest

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube, save_cube
from respectra.datasets.collections import open_collection
from respectra.errors import ConfigError
from respectra.evaluation import (
    EvaluationOptions,
    evaluate,
    evaluation_scenes_of,
    find_entries,
    make_entry,
    report_tables,
)
from respectra.evaluation.report.build import reproduction_command
from respectra.evaluation.report.details import charted_methods
from respectra.inference import find_weights
from respectra.methods import save_weights


def test_every_set_of_guarantees_is_a_method_of_its_own():
    sets = [["non-negative"], ["non-negative", "consistent"]]
    found = find_entries(["pca"], guarantees=sets)
    assert [one.name for one in found] == [
        "pca", "pca+non-negative", "pca+consistent+non-negative",
    ]  # fmt: skip
    assert len({one.fingerprint_for("clean") for one in found}) == 3
    assert found[0].fingerprint == make_entry("pca").fingerprint
    assert [one.facts["guarantees"] for one in found][::2] == [[], ["consistent", "non-negative"]]
    assert {one.facts["base"] for one in found} == {"pca"}


def test_what_is_fitted_does_not_depend_on_threads():
    import threadpoolctl

    prints = []
    for threads in (1, 2):
        with threadpoolctl.threadpool_limits(threads):
            prints.append(make_entry("rbf").fingerprint_for("clean"))
    assert prints[0] == prints[1]


def test_an_unknown_guarantee_is_refused():
    with pytest.raises(ConfigError, match="did you mean 'consistent'"):
        find_entries(["pca"], guarantees=[["consistant"]])


def test_a_method_takes_part_where_it_has_weights():
    (one,) = find_entries(["respectra"], tracks=["clean", "exposed"])
    assert one.takes_part("clean")
    assert not one.takes_part("exposed")
    assert "'exposed'" in one.facts["absent"]["exposed"]
    with pytest.raises(ConfigError, match="respectra weights 'exposed'"):
        find_entries(["respectra"], tracks=["exposed"])


def test_weights_of_one_camera_are_consistent_with_no_other(tmp_path):
    save_weights(find_weights("pca"), tmp_path / "clean.safetensors")
    source = str(tmp_path / "clean.safetensors")
    both = ["clean", "real-world"]
    plain, kept = find_entries([source], tracks=both, guarantees=[["consistent"]], force=True)
    assert plain.takes_part("real-world")
    assert not kept.takes_part("real-world")
    assert "camera of the track 'clean'" in kept.facts["absent"]["real-world"]


def test_guarantees_are_scored_beside_the_method_without(tmp_path, rng):
    values = rng.uniform(0.02, 0.8, (12, 16, 1)) * rng.uniform(0.5, 1, (12, 16, 31))
    save_cube(make_cube(values, CHALLENGE_WAVELENGTHS_NM), tmp_path / "scenes" / "a.npz")
    names = ["wiener", "pca", "respectra"]
    options = EvaluationOptions(
        tracks=("clean", "real-world"), tests=("physical", "brightness-2"), floor=0.01
    )
    found = find_entries(names, tracks=options.tracks, guarantees=[["consistent", "non-negative"]])
    subjects = evaluation_scenes_of(open_collection(tmp_path / "scenes"))
    results = evaluate(found, subjects, tmp_path / "r", options, timing_runs=0)
    tables = {table.title: table for table in report_tables(results)}
    clean = tables["Guarantees, Clean"]
    assert [row[0] for row in clean.rows[:2]] == ["wiener", "wiener+consistent+non-negative"]
    place = clean.columns.index("Pixels that differ")
    assert [row[place] for row in clean.rows[1::2]] == ["0 of 192"] * 3
    assert clean.rows[0][place] != "0 of 192"
    assert "Brightness ×2" in clean.columns
    assert "Brightness ×0.5" not in clean.columns
    assert "Pixels that differ" not in tables["Guarantees, Real World"].columns
    kept = results.mean("pca+consistent+non-negative", "clean", "physical", "image_mrae")
    assert kept.value == 0.0
    assert set(charted_methods(results)) == set(names)
    command, _ = reproduction_command(results)
    assert command is not None
    assert "evaluate wiener pca respectra " in command
    assert "--guarantees consistent,non-negative" in command
