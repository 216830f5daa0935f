"""Evaluations: what is stored, that it continues, and that processes do not change it."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import respectra as rs
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube, save_cube
from respectra.datasets.collections import open_collection
from respectra.errors import ConfigError, DataError, FormatError, OutputError
from respectra.evaluation import (
    Entry,
    EvaluationOptions,
    EvaluationScene,
    Results,
    evaluate,
    evaluation_scenes_of,
    find_entries,
    load_results,
    report_tables,
    scenes_without_truth,
)
from respectra.evaluation.details import load_details
from respectra.evaluation.results import PLAIN, scene_path
from respectra.evaluation.scenes import no_data

OPTIONS = EvaluationOptions(tests=("shuffle-4", "brightness-2", "physical", "weighted"), clusters=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(1)
    for name, shape in (("one", (13, 16)), ("two", (12, 20)), ("three", (14, 14))):
        tone = rng.uniform(0.05, 0.8, (*shape, 1))
        slope = np.linspace(0.4, 1.0, 31) ** rng.uniform(0.2, 2, (*shape, 1))
        save_cube(make_cube(tone * slope, CHALLENGE_WAVELENGTHS_NM), root / f"{name}.npz")
    return root


@pytest.fixture(scope="module")
def subjects(folder: Path) -> tuple[EvaluationScene, ...]:
    return evaluation_scenes_of(open_collection(folder))


def grey(track: str) -> Any:
    """A method that takes the mean of R, G and B for every band."""

    def recover(image: xr.DataArray) -> xr.DataArray:
        mean = image.values.mean(axis=2, keepdims=True)
        return make_cube(np.repeat(mean, 31, axis=2) + 0.01, CHALLENGE_WAVELENGTHS_NM)

    return recover


def refusing(track: str) -> Any:
    def recover(image: xr.DataArray) -> xr.DataArray:
        if image.sizes["x"] < 16:
            raise DataError("too small for me")
        return grey(track)(image)

    return recover


GREY = Entry("grey", grey, "0001")


def scores(results: Results) -> list[tuple[Any, ...]]:
    return [(row.key, dict(row.scores), row.note) for row in results.rows]


def test_everything_is_stored_and_read_back(subjects, tmp_path):
    results = evaluate([GREY], subjects, tmp_path / "r", OPTIONS, timing_runs=1)
    assert len(results.rows) == len(subjects) * 5
    again = load_results(tmp_path / "r")
    assert scores(again) == scores(results)
    assert again.protocol == results.protocol
    assert again.costs == results.costs
    assert again.protocol.scenes[0].truth is not None
    assert results.mean("grey", "clean", "shuffle-4", "mrae").complete
    assert {row.height for row in results.rows if row.scene == "one"} == {12}  # 13 is odd


def test_details_suffice_for_a_report(subjects, tmp_path):
    results = evaluate([GREY], subjects, tmp_path / "r", OPTIONS, timing_runs=0)
    row = next(results.select(test=PLAIN, scene="two"))
    path = results.details(row)
    assert path is not None
    found = load_details(path)
    scene = load_details(scene_path(tmp_path / "r", "main", "clean", "two"))
    assert found is not None
    assert scene is not None
    assert found["by_band"].mean() == pytest.approx(row.scores["mrae"], rel=1e-5)
    assert np.nanmean(found["error_map"]) == pytest.approx(row.scores["mrae"], rel=1e-2)
    weighted = next(results.select(test="weighted", scene="two")).scores["weighted_mrae"]
    assert np.nanmean(found["cluster_errors"]) == pytest.approx(weighted, rel=1e-5)
    assert scene["preview"].shape == (12, 20, 3)
    assert found["spectra"].shape == scene["spectra"].shape
    assert found["consistency"].sum() == 12 * 20 * 3
    best, worst = (
        np.abs(1 - found[f"{which}_spectra"][1] / found[f"{which}_spectra"][0]).mean()
        for which in ("best", "worst")
    )
    assert best < row.scores["mrae"] < worst


def test_a_stopped_evaluation_continues(subjects, tmp_path):
    whole = evaluate([GREY], subjects, tmp_path / "whole", OPTIONS, timing_runs=0)

    def stopping(done: int, total: int, what: str) -> None:
        if done == 1:
            raise KeyboardInterrupt

    part = tmp_path / "part"
    with pytest.raises(KeyboardInterrupt):
        evaluate([GREY], subjects, part, OPTIONS, timing_runs=0, progress=stopping)
    journals = sorted(part.rglob("*.jsonl"))
    assert 0 < len(journals) < 3
    with journals[-1].open("a") as file:
        file.write('{"role": "main", "scene": "thr')  # killed within a line
    assert scores(evaluate([GREY], subjects, part, OPTIONS, timing_runs=0)) == scores(whole)


def test_what_is_done_is_not_done_again(subjects, tmp_path):
    evaluate([GREY], subjects, tmp_path / "r", OPTIONS, timing_runs=0)

    def broken(track: str) -> Any:
        raise AssertionError("nothing is left to do")

    same = dataclasses.replace(GREY, make=broken)
    assert evaluate([same], subjects, tmp_path / "r", OPTIONS, timing_runs=0).names == ("grey",)


def test_methods_tests_and_tracks_are_added_later(subjects, tmp_path):
    evaluate([GREY], subjects, tmp_path / "r", EvaluationOptions(), timing_runs=0)
    more = EvaluationOptions(tracks=("real-world",), tests=("shuffle-1",), seeds=(0,))
    results = evaluate(
        [Entry("other", grey, "0002")], subjects, tmp_path / "r", more, timing_runs=0
    )
    assert results.names == ("grey", "other")
    assert results.protocol.options.tracks == ("clean", "real-world")
    assert results.mean("grey", "clean", PLAIN, "mrae").complete
    assert results.mean("other", "real-world", "shuffle-1", "mrae").complete
    assert not results.mean("grey", "real-world", PLAIN, "mrae").complete


def test_two_evaluations_do_not_write_to_one_folder(subjects, tmp_path):
    def meddling(track: str) -> Any:
        with pytest.raises(OutputError, match="is being written by this process"):
            evaluate([GREY], subjects, tmp_path / "r", timing_runs=0)
        return grey(track)

    first = dataclasses.replace(GREY, make=meddling)
    assert evaluate([first], subjects, tmp_path / "r", timing_runs=0).names == ("grey",)


@pytest.mark.parametrize("back", [False, True])
def test_a_folder_that_vanishes_is_an_error(subjects, tmp_path, back):
    folder, gone = tmp_path / "r", tmp_path / "gone"
    seen = []

    def vanishing(track: str) -> Any:
        def recover(image: xr.DataArray) -> xr.DataArray:
            seen.append(image)
            if len(seen) == 2:
                folder.rename(gone)
                if back:
                    shutil.copytree(gone, folder)
                    shutil.rmtree(folder / "journal")
            return grey(track)(image)

        return recover

    entry = dataclasses.replace(GREY, make=vanishing)
    with pytest.raises(OutputError, match="run the same command again"):
        evaluate([entry], subjects, folder, timing_runs=0)
    shutil.rmtree(folder, ignore_errors=True)
    gone.rename(folder)
    again = evaluate([GREY], subjects, folder, timing_runs=0)
    assert again.mean("grey", "clean", PLAIN, "mrae").complete


def test_what_was_edited_is_said(subjects, tmp_path):
    evaluate([GREY], subjects, tmp_path / "r", timing_runs=0)
    journal = next((tmp_path / "r").glob("journal/**/*.jsonl"))
    text = journal.read_text()
    journal.write_text(text.replace('"mrae": ', '"mrae": 1'))
    with pytest.raises(FormatError, match=r"jsonl: line 1 is not as it was written"):
        evaluate([GREY], subjects, tmp_path / "r", timing_runs=0)
    journal.write_text('{"a": 1}\n')
    with pytest.raises(FormatError, match=r"jsonl: .*lacks the column"):
        evaluate([GREY], subjects, tmp_path / "r", timing_runs=0)
    journal.write_text(text)
    for name, bad in (
        ("results.csv", "role,scene\0\nx"),
        ("costs.json", "[1]"),
        ("methods.json", "[" * 9000),
        ("methods.json", "[1]"),
    ):
        good = (tmp_path / "r" / name).read_text()
        (tmp_path / "r" / name).write_text(bad)
        with pytest.raises(FormatError, match=name):
            load_results(tmp_path / "r")
        (tmp_path / "r" / name).write_text(good)
    assert load_results(tmp_path / "r").names == ("grey",)


def test_other_rules_and_other_methods_of_a_name_are_refused(subjects, tmp_path):
    evaluate([GREY], subjects, tmp_path / "r", EvaluationOptions(), timing_runs=0)
    with pytest.raises(ConfigError, match="other rules, scenes or metrics"):
        evaluate([GREY], subjects, tmp_path / "r", EvaluationOptions(floor=0.01), timing_runs=0)
    with pytest.raises(ConfigError, match="another method called 'grey'"):
        evaluate([Entry("grey", grey, "0003")], subjects, tmp_path / "r", timing_runs=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(ConfigError, match="not empty"):
        evaluate([GREY], subjects, tmp_path / "full", timing_runs=0)


@pytest.mark.parametrize("name", ["", "a/b", ".hidden"])
def test_a_name_that_is_no_files_is_refused(subjects, tmp_path, name):
    with pytest.raises(ConfigError, match="becomes that of a file"):
        evaluate([Entry(name, grey, "0001")], subjects, tmp_path / "r", timing_runs=0)


def test_several_seeds_are_several_rows_on_a_noisy_track(subjects, tmp_path):
    options = EvaluationOptions(tracks=("clean", "real-world"), seeds=(3, 4))
    results = evaluate([GREY], subjects[:1], tmp_path / "r", options, timing_runs=0)
    assert [(row.track, row.seed) for row in results.rows] == [
        ("clean", 3),
        ("real-world", 3),
        ("real-world", 4),
    ]
    assert results.mean("grey", "real-world", PLAIN, "mrae").complete


def test_a_failure_is_noted_and_nothing_else_suffers(subjects, tmp_path):
    both = [Entry("picky", refusing, "0004"), GREY]
    results = evaluate(both, subjects, tmp_path / "r", OPTIONS, timing_runs=0)
    failed = [row for row in results.rows if row.note.startswith("failed")]
    assert {(row.method, row.scene) for row in failed} == {("picky", "three")}
    mean = results.mean("picky", "clean", PLAIN, "mrae")
    assert (mean.count, mean.expected, mean.complete) == (2, 3, False)
    assert results.mean("grey", "clean", PLAIN, "mrae").complete
    shown = report_tables(results)[0]
    assert any("[2/3]" in cell for row in shown.rows for cell in row)


def test_a_second_collection_is_out_of_scope(folder, subjects, tmp_path):
    far = evaluation_scenes_of(open_collection(folder).select(("one",)), "out-of-scope")
    results = evaluate([GREY], subjects + far, tmp_path / "r", OPTIONS, timing_runs=0)
    out = results.mean("grey", "clean", PLAIN, "mrae", role="out-of-scope")
    assert out.complete
    table = next(t for t in report_tables(results) if t.title.startswith("3."))
    assert "Out-of-Scope" in table.columns


def test_images_without_truth_are_judged_by_consistency(folder, tmp_path):
    from respectra.cameras import get_track, save_image

    cube = open_collection(folder).select(("two",)).scenes[0].open_cube()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    save_image(get_track("clean").render(cube), pictures / "ARAD_HS_0466_clean.png")
    found = scenes_without_truth(pictures)
    assert [subject.name for subject in found] == ["ARAD_HS_0466"]
    results = evaluate([GREY], found, tmp_path / "r", OPTIONS, timing_runs=0)
    row = next(results.select(test="physical"))
    assert row.scores["image_delta_e_2000"] > 0
    assert "back_projection_mrae" not in row.scores
    assert next(results.select(test="shuffle-4")).note == "the scene has no truth"
    assert results.mean("grey", "clean", "physical", "image_mrae").complete
    assert results.mean("grey", "real-world", "physical", "image_mrae").expected == 0


def test_images_without_truth_are_left_out_neither_by_others_nor_by_their_names(tmp_path):
    for name in ("a.png", "a_clean.png", "b.png"):
        rs.save_image(rs.make_image(np.full((8, 8, 3), 0.3)), tmp_path / name)
    a, b = sorted(scenes_without_truth(tmp_path), key=lambda scene: scene.name)
    assert (a.images["clean"].name, a.images["real-world"].name) == ("a_clean.png", "a.png")
    assert {path.name for path in b.images.values()} == {"b.png"}
    assert [s.name for s in scenes_without_truth(tmp_path, ["b"])] == ["b"]
    with pytest.raises(DataError, match="no scene c in"):
        scenes_without_truth(tmp_path, ["b", "c"])
    (tmp_path / "a.png").rename(tmp_path / "b.jpg")
    with pytest.raises(DataError, match=r"b\.jpg and b\.png are both an image of b"):
        scenes_without_truth(tmp_path)


def test_results_are_the_same_however_many_processes(subjects, tmp_path):
    methods = find_entries(["pca"])
    one, two = (
        evaluate(methods, subjects, tmp_path / str(jobs), OPTIONS, jobs=jobs, timing_runs=0)
        for jobs in (1, 2)
    )
    assert scores(one) == scores(two)
    names = {path.name for path in (tmp_path / "2").iterdir()}
    assert {"results.csv", "protocol.json", "methods.json", "costs.json", "details"} <= names
    known = json.loads((tmp_path / "2" / "methods.json").read_text())
    assert known["pca"]["trained_for"] == {"clean": "clean"}


def test_no_data_is_a_filling_shared_by_many_pixels(rng):
    values = rng.uniform(0.1, 0.5, (20, 20, 31))
    filling = np.concatenate([np.zeros(18), np.full(13, 0.9)])
    values[10:, 15:] = filling
    values[0, 0] = 0.0
    cube = make_cube(values, CHALLENGE_WAVELENGTHS_NM)
    expected = np.zeros((20, 20), bool)
    expected[10:, 15:] = True
    assert np.array_equal(no_data(cube), expected)


def test_the_muufl_triangle_is_no_data_and_laboratory_scenes_are_all_data(data_dir):
    scenes = {scene.name: scene for scene in open_collection(data_dir / "scenes")}
    assert no_data(scenes["muufl_demo_51x88"].open_cube()).mean() == pytest.approx(0.135, abs=0.01)
    for name in ("cave101_balloons", "kbr_d3", "samson", "cave_u8_feathers"):
        assert not no_data(scenes[name].open_cube()).any(), name


def test_what_a_layout_knows_of_its_files_is_kept(tmp_path, rng):
    import scipy.io

    (tmp_path / "scenes").mkdir()
    values = rng.uniform(400, 4000, (12, 12, 31))
    scipy.io.savemat(tmp_path / "scenes" / "BGU_HS_00001.mat", {"rad": values})
    (subject,) = evaluation_scenes_of(open_collection(tmp_path / "scenes"))
    truth = subject.open("clean", 0, EvaluationOptions(), None).need_truth()
    np.testing.assert_allclose(truth.values, values / 4095, rtol=1e-6)
    np.testing.assert_array_equal(truth["wavelength"], CHALLENGE_WAVELENGTHS_NM)


def test_zeros_where_there_is_no_data_stop_nothing(tmp_path, rng):
    values = rng.uniform(0.1, 0.9, (16, 16, 31))
    values[8:, 8:] = np.linspace(0, 0.5, 31)
    save_cube(make_cube(values, CHALLENGE_WAVELENGTHS_NM), tmp_path / "scenes" / "gap.npz")
    found = evaluation_scenes_of(open_collection(tmp_path / "scenes"))
    results = evaluate([GREY], found, tmp_path / "r", EvaluationOptions(), timing_runs=0)
    assert np.isfinite(results.rows[0].scores["mrae"])
