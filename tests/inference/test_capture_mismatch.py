"""A capture of another camera than a picture's file names: a warning with both names."""

import warnings

import numpy as np
import pytest
from PIL import Image
from tests.cameras.dng_file import BLACK, WHITE, write_dng

import respectra as rs
from respectra.cameras import Capture
from respectra.cli import reconstruct as _  # noqa: F401 - registers the command
from respectra.cli.app import run
from respectra.errors import RespectraWarning
from respectra.inference.binding import warn_of_another_camera


def photograph(path, model):
    exif = Image.Exif()
    exif[271], exif[272] = "NIKON CORPORATION", model
    Image.fromarray(np.full((6, 8, 3), 120, np.uint8)).save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    "capture",
    [
        Capture(camera="ampas-nikon-d700"),
        Capture.photograph(taken_by="NIKON D700"),
    ],
)
def test_both_names_are_said(tmp_path, capture):
    other = rs.cameras.open_picture(photograph(tmp_path / "a.jpg", "NIKON D5100"), "srgb")
    with pytest.warns(RespectraWarning, match=r"D700.*D5100|d700.*D5100"):
        warn_of_another_camera(capture, other.attrs, "a.jpg")
    same = rs.cameras.open_picture(photograph(tmp_path / "b.jpg", "NIKON D700"), "srgb")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_another_camera(capture, same.attrs, "b.jpg")
        warn_of_another_camera(Capture.photograph(), other.attrs, "a.jpg")
        warn_of_another_camera(capture, {}, "c.png")


def test_on_the_command_line(tmp_path, capsys):
    pytest.importorskip("rawpy", reason="the extra raw is not installed")
    level = np.tile(np.array([[0.125, 0.25], [0.25, 0.15625]]), (12, 16))
    path = write_dng(tmp_path / "a.dng", np.rint(BLACK + level * (WHITE - BLACK)))
    Capture(camera="ampas-nikon-d700", light="D50").save(tmp_path / "c.json")
    line = ["reconstruct", path, "-o", tmp_path / "a.npz", "--capture", tmp_path / "c.json"]
    assert run([*map(str, line), "--method", "pseudo-inverse"]) == 0
    said = capsys.readouterr().err
    assert "ampas-nikon-d700" in said
    assert "Acme One" in said


def test_of_a_picture_in_memory(tmp_path):
    image = rs.open_image(photograph(tmp_path / "a.jpg", "NIKON D5100"), encoding="srgb")
    rec = rs.load("pseudo-inverse")
    with pytest.warns(RespectraWarning, match=r"a\.jpg.*D700.*D5100"):
        rec(image, capture=Capture.photograph(taken_by="NIKON D700"))
