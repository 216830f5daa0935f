"""Blind mode: what is refused and why, and what a good submission scores."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube, save_cube
from respectra.datasets.collections import Collection, open_collection
from respectra.errors import DataError
from respectra.evaluation import EvaluationOptions, score_submission, validate_submission

NAMES = ("ARAD_HS_0466", "ARAD_HS_0468")


@pytest.fixture
def truth(tmp_path: Path, rng: np.random.Generator) -> Collection:
    for name in NAMES:
        values = rng.uniform(0.1, 0.9, (12, 14, 31))
        save_cube(make_cube(values, CHALLENGE_WAVELENGTHS_NM), tmp_path / "truth" / f"{name}.mat")
    return open_collection(tmp_path / "truth")


@pytest.fixture
def submitted(tmp_path: Path, truth: Collection) -> Path:
    folder = tmp_path / "submitted"
    folder.mkdir()
    for scene in truth:  # MATLAB 5, as the organisers' own helper writes
        scipy.io.savemat(folder / f"{scene.name}.mat", {"cube": scene.open_cube().values * 1.1})
    return folder


def replace(folder: Path, values: np.ndarray, name: str = NAMES[0], variable: str = "cube") -> None:
    scipy.io.savemat(folder / f"{name}.mat", {variable: values})


def test_a_good_submission_is_scored(truth, submitted):
    assert validate_submission(submitted, truth) == ()
    scores = score_submission(
        submitted, truth, EvaluationOptions(tests=("physical", "weighted"), clusters=4)
    )
    assert set(scores) == set(NAMES)
    for row in scores.values():
        assert row["mrae"] == pytest.approx(0.1, rel=1e-5)
        assert row["weighted_mrae"] == pytest.approx(0.1, rel=1e-5)
        assert row["back_projection_mrae"] == pytest.approx(0.1, rel=1e-5)


def test_names_are_strict(truth, submitted):
    (submitted / f"{NAMES[0]}.mat").rename(submitted / "ARAD_HS_466.mat")
    problems = validate_submission(submitted, truth)
    assert [p.file for p in problems] == [f"{NAMES[0]}.mat", "ARAD_HS_466.mat"]
    with pytest.raises(DataError, match=r"is missing; ARAD_HS_466\.mat: is not expected"):
        score_submission(submitted, truth)


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (np.full((14, 12, 31), 0.5), "rows and columns are exchanged"),
        (np.full((12, 14, 30), 0.5), "has shape|cannot be read"),
        (np.full((12, 14, 31), 200.0), "must lie in"),
        (np.full((12, 14, 31), np.nan), "NaN or infinite"),
    ],
)
def test_shapes_nan_and_range_are_strict(truth, submitted, values, what):
    replace(submitted, values)
    (problem,) = validate_submission(submitted, truth)
    assert problem.file == f"{NAMES[0]}.mat"
    assert re.search(what, problem.what)


def test_the_variable_and_the_format_are_strict(truth, submitted):
    replace(submitted, np.full((12, 14, 31), 0.5), variable="rad")
    (submitted / f"{NAMES[1]}.mat").write_bytes(b"no MATLAB file")
    problems = validate_submission(submitted, truth)
    assert len(problems) == 2
    assert all("cannot be read" in p.what for p in problems)


def test_a_submission_scores_as_a_method_that_gives_these_cubes(tmp_path, rng):
    from respectra.evaluation import Entry, evaluate, evaluation_scenes_of

    values = rng.uniform(0.1, 0.9, (13, 15, 31))
    values[8:, 8:] = np.linspace(0, 0.5, 31)  # no data
    save_cube(make_cube(values, CHALLENGE_WAVELENGTHS_NM), tmp_path / "truth" / "a.npz")
    answer = make_cube(np.full((13, 15, 31), 0.4), CHALLENGE_WAVELENGTHS_NM)
    save_cube(answer, tmp_path / "submitted" / "a.mat")
    truth = open_collection(tmp_path / "truth")
    options = EvaluationOptions(tracks=("real-world",), tests=("physical",))
    blind = score_submission(tmp_path / "submitted", truth, options)["a"]
    method = Entry("m", lambda track: lambda image: answer[:12, :14], "0001")
    seen = evaluate([method], evaluation_scenes_of(truth), tmp_path / "r", options, timing_runs=0)
    assert blind == {name: value for row in seen.rows for name, value in row.scores.items()}
