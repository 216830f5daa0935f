"""The demonstration runs, says where its files are, and its scores are those of its files."""

import json

import numpy as np
import pytest

import respectra as rs
from respectra.cli import demo as _  # noqa: F401 - registers the command
from respectra.cli.app import run
from respectra.evaluation import metrics


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("demo") / "results"
    assert run(["demo", "-o", str(place)]) == 0
    return place


def test_it_writes_what_it_says(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "error.png",
        "photo.png",
        "preview.png",
        "recovered.zarr",
        "scores.json",
        "spectra.png",
        "truth.zarr",
    ]


def test_the_photo_is_what_the_clean_camera_sees_of_the_truth(folder):
    truth, photo = rs.open_cube(folder / "truth.zarr"), rs.open_image(folder / "photo.png")
    np.testing.assert_array_equal(rs.get_track("clean").render(truth), photo)


def test_the_scores_are_those_of_the_cubes(folder):
    truth, recovered = (rs.open_cube(folder / n) for n in ("truth.zarr", "recovered.zarr"))
    scores = json.loads((folder / "scores.json").read_text())["scores"]
    assert scores["mrae"] == pytest.approx(
        float(metrics.mrae(truth, recovered, floor=scores["mrae_floor"])), rel=1e-5
    )
    assert scores["mrae"] < 0.3


def test_an_existing_folder_is_kept(folder, capsys):
    assert run(["demo", "-o", str(folder)]) == 1
    assert "exists already" in capsys.readouterr().err
    assert (folder / "spectra.png").is_file()
