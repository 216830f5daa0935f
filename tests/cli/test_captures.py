"""Captures on the command line."""

import h5py
import numpy as np
import pytest

import respectra as rs
from respectra.cameras import PictureOptions
from respectra.cameras.capture_camera import CaptureCamera
from respectra.cli import bake, cubes, reconstruct  # noqa: F401 - registers them
from respectra.cli.app import run
from respectra.datasets.collections import Opening
from respectra.errors import DataError
from respectra.inference.known import Chosen, KnownFacts
from respectra.methods import save_weights

GRID = np.arange(400.0, 701.0, 10.0)
CAPTURE = rs.Capture(camera="ampas-nikon-d700", light="A")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    values = np.interp(GRID, [400, 500, 600, 700], np.ones(4)) * rng.uniform(0.2, 0.8, (6, 7, 1))
    cube = rs.make_cube(values, GRID, quantity="reflectance")
    rs.save_cube(cube, tmp_path / "truth.zarr")
    rs.save_image(CaptureCamera(CAPTURE).render(cube), tmp_path / "raw.png")
    rs.save_image(CaptureCamera(rs.Capture.photograph()).render(cube), tmp_path / "photo.png")
    places = [[0, 0], [2, 2], [4, 4], [5, 6]]
    rs.References(places, [values[y, x] for y, x in places], GRID).to_csv(tmp_path / "spots.csv")
    with h5py.File(tmp_path / "two.h5", "w") as file:
        file["bands"], file["first"], file["second"] = GRID, values.transpose(2, 0, 1), values / 2
    CAPTURE.save(tmp_path / "capture.json")
    lines = [",".join(["grey", *["0.4"] * 31]), ",".join(["dark", *["0.1"] * 31])]
    header = "name," + ",".join(f"{nm:g}" for nm in GRID)
    (tmp_path / "lib.csv").write_text("\n".join([header, *lines]))
    return tmp_path


def reconstructed(folder, *options, picture="raw.png", method="wiener"):
    out = folder / "out.zarr"
    arguments = ["reconstruct", str(folder / picture), "-o", str(out), "--method", method]
    assert run([*arguments, "--overwrite", *map(str, options)]) == 0
    return rs.open_cube(out)


@pytest.mark.parametrize(
    "options",
    [
        ["--camera", "ampas-nikon-d700", "--light", "A"],
        ["--capture", "{}/capture.json"],
        ["--camera", "ampas-nikon-d700", "--light", "A", "--references", "{}/spots.csv"],
        ["--capture", "{}/capture.json", "--references-from", "{}/truth.zarr"],
        [
            *("--capture", "{}/capture.json", "--references-from", "{}/two.h5", "--key", "first"),
            *("--axes", "band,y,x", "--references-quantity", "reflectance"),
        ],
        ["--capture", "{}/capture.json", "--materials", "{}/lib.csv"],
    ],
)
def test_what_is_told_of_a_raw_picture(folder, options):
    cube = reconstructed(folder, *[o.format(folder) for o in options])
    truth = rs.open_cube(folder / "truth.zarr")
    assert (cube.attrs["quantity"], cube.attrs["light"]) == ("reflectance", "A")
    np.testing.assert_allclose(cube.mean("wavelength"), truth.mean("wavelength"), rtol=0.15)


def test_finished_cubes_depend_on_what_the_references_hold(folder):
    def facts(**options):
        return KnownFacts(references_from=folder / "truth.zarr", **options).plain()

    first = facts()
    assert facts() == first
    assert facts(references_opening=Opening(quantity="radiance")) != first
    cube = rs.open_cube(folder / "truth.zarr").load()
    rs.save_cube(cube / 2, folder / "truth.zarr", overwrite=True)
    assert facts() != first


def test_photographs_by_default_and_by_a_word(folder):
    assert reconstructed(folder, picture="photo.png").attrs["quantity"] == "reflectance"
    cube = reconstructed(folder, "--quantity", "radiance", picture="photo.png")
    assert cube.attrs["quantity"] == "radiance"


def test_relighting(folder):
    arguments = ["relight", str(folder / "truth.zarr"), "--light"]
    assert run([*arguments, "planck:3000", "-o", str(folder / "warm.zarr")]) == 0
    warm = rs.open_cube(folder / "warm.zarr")
    assert warm.attrs["light"] == "planck:3000"
    back = ["relight", str(folder / "warm.zarr"), "--light", "reflectance"]
    assert run([*back, "-o", str(folder / "back.zarr")]) == 0
    np.testing.assert_allclose(
        rs.open_cube(folder / "back.zarr"), rs.open_cube(folder / "truth.zarr"), rtol=1e-5
    )


def test_tables_for_a_capture(folder):
    arguments = ["bake", "wiener", "-o", str(folder / "a.lut"), "--capture"]
    assert run([*arguments, str(folder / "capture.json"), "--nodes", "9"]) == 0
    table = rs.load(folder / "a.lut")
    assert table.capture == CAPTURE
    said = ["--camera", "ampas-nikon-d700", "--light", "A", "--overwrite", "--nodes", "9"]
    assert run([*arguments[:-1], *said]) == 0
    assert rs.load(folder / "a.lut").capture == CAPTURE


def test_pictures_of_weights_for_one_camera_are_its_codes(folder):
    save_weights(rs.load("wiener").with_capture(CAPTURE).weights, folder / "told.safetensors")
    wanted = reconstructed(folder, "--camera", "ampas-nikon-d700", "--light", "A").load()
    out = folder / "told.zarr"
    picture = ["reconstruct", str(folder / "raw.png"), "-o", str(out)]
    assert run([*picture, "--weights", str(folder / "told.safetensors")]) == 0
    found = rs.open_cube(out).load()
    np.testing.assert_array_equal(found, wanted)
    bound = rs.load(folder / "told.safetensors")
    rs.reconstruct_files(folder / "raw.png", out, bound, overwrite=True)
    np.testing.assert_array_equal(rs.open_cube(out), found)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--light", "FL99"], "unknown light"),
        (["--camera", "none"], "unknown camera"),
        (["--white", "1,2"], "--white takes"),
        (["--white", "0,0,0", "--camera", "ampas-nikon-d700"], "black"),
        (["--white", "0,0,90,90", "--camera", "ampas-nikon-d700"], "beyond"),
        (["--capture", "{}/spots.csv"], "not JSON"),
        (["--references", "{}/capture.json"], "header"),
        (["--references", "{}/spots.csv", "--materials", "{}/lib.csv"], "exclude"),
        (["--materials", "{}/spots.csv.gone"], "there is no file"),
    ],
)
def test_what_cannot_be_is_one_line(folder, capsys, options, message):
    out = folder / "out.zarr"
    arguments = ["reconstruct", str(folder / "raw.png"), "-o", str(out), "--method", "wiener"]
    assert run([*arguments, *[o.format(folder) for o in options]]) == 1
    text = capsys.readouterr().err
    assert message in text
    assert text.strip().count("\n") == 0
    assert not out.exists()


def test_references_and_low_rank_cubes_exclude_each_other(folder, capsys):
    out = folder / "out.zarr"
    arguments = ["reconstruct", str(folder / "raw.png"), "-o", str(out), "--low-rank"]
    assert run([*arguments, "--references", str(folder / "spots.csv")]) == 1
    assert "references and self-ensembles change" in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--camera", "ampas-nikon-d700", "--light", "{}/dark.csv"], "is zero at 400"),
        (["--camera", "ampas-nikon-d700", "--white", "0,0,90,90"], "beyond"),
        (["--capture", "{}/capture.json", "--references", "{}/far.csv"], "reference 1 at y=90"),
        (["--capture", "{}/capture.json", "--materials", "{}/spots.csv.gone"], "there is no file"),
    ],
)
def test_what_cannot_be_of_the_first_picture_ends_a_folder_before_it_begins(
    folder, capsys, options, message
):
    (folder / "shots").mkdir()
    for name in ("a.png", "b.png"):
        (folder / "shots" / name).write_bytes((folder / "raw.png").read_bytes())
    (folder / "dark.csv").write_text("nm,power\n400,0\n550,1\n700,1\n")
    rs.References([[90, 0]], np.full((1, 31), 0.4), GRID).to_csv(folder / "far.csv")
    arguments = ["reconstruct", str(folder / "shots"), "-o", str(folder / "cubes")]
    assert run([*arguments, "--method", "wiener", *[o.format(folder) for o in options]]) == 1
    text = capsys.readouterr().err
    assert message in text
    assert text.strip().count("\n") == 0
    assert not (folder / "cubes").exists()


def test_places_of_the_first_picture_are_of_no_other(folder):
    refs = rs.References([[5, 6]], np.full((1, 31), 0.4), GRID)
    chosen = Chosen("wiener", KnownFacts(CAPTURE, references=refs), PictureOptions(), {})
    small = rs.make_image(np.full((3, 3, 3), 0.5), bits=8)
    rs.save_image(small, folder / "small.png")
    for name in ("small.png", "raw.png"):
        with pytest.raises(DataError, match="outside the picture of 3 rows"):
            chosen(folder / name, "camera")


def test_a_damaged_first_picture_of_a_told_light_stops_no_other(folder, capsys):
    (folder / "shots").mkdir()
    (folder / "shots" / "a.png").write_bytes((folder / "raw.png").read_bytes()[:60])
    (folder / "shots" / "b.png").write_bytes((folder / "raw.png").read_bytes())
    arguments = ["reconstruct", str(folder / "shots"), "-o", str(folder / "cubes")]
    told = ["--method", "wiener", "--camera", "ampas-nikon-d700", "--light", "A"]
    assert run([*arguments, *told]) == 1
    assert "1 of 2 failed" in capsys.readouterr().err
    assert rs.open_cube(folder / "cubes" / "b.zarr").attrs["light"] == "A"


def test_that_nobody_stated_the_light_of_a_radiance_is_said_once(folder, capsys):
    pictures = folder / "shots"
    pictures.mkdir(exist_ok=True)
    for name in ("a.png", "b.png"):
        (pictures / name).write_bytes((folder / "raw.png").read_bytes())
    told = ["--camera", "ampas-nikon-d700", "--quantity", "radiance", "--method", "wiener"]
    assert run(["reconstruct", str(pictures), "-o", str(folder / "dim"), *told]) == 0
    assert capsys.readouterr().err.count("which nobody stated") == 1
