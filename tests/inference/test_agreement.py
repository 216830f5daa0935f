"""Weights on an image that says it is another track's are refused, unless that is meant."""

import cv2
import numpy as np
import pytest
import xarray as xr
from tests.inference.clips import write_clip

import respectra as rs
from respectra.cli import evaluate, reconstruct  # noqa: F401 - registers the commands
from respectra.cli.app import run
from respectra.errors import ConfigError, DataError
from respectra.evaluation import make_entry
from respectra.inference import reconstruct_file, reconstruct_video
from respectra.methods import save_weights

OTHER = {"clean": "real-world", "real-world": "clean"}


@pytest.fixture(scope="module")
def methods():
    return {track: rs.load("pseudo-inverse", track=track) for track in OTHER}


def image_of(rng, track, **attrs):
    return rs.make_image(rng.random((9, 8, 3)), track=track, **attrs)


@pytest.mark.parametrize("track", OTHER)
def test_an_image_of_another_track_is_refused_and_what_fits_is_said(methods, rng, track):
    image = image_of(rng, OTHER[track])
    with pytest.raises(DataError, match="force=True") as caught:
        methods[track](image)
    assert f"the track {track!r}" in str(caught.value)
    assert f"respectra.load(track={OTHER[track]!r})" in str(caught.value)
    cube = methods[OTHER[track]](image)
    assert "contract_mismatch" not in cube.attrs


@pytest.mark.parametrize("track", OTHER)
def test_who_means_it_gets_the_cube_with_a_note(methods, rng, track):
    image, method = image_of(rng, OTHER[track]), methods[track]
    cube = method(image, force=True)
    assert cube.attrs["contract_mismatch"] == (
        f"weights for the track {track!r}, image of the track {OTHER[track]!r}"
    )
    np.testing.assert_array_equal(cube, method(image.assign_attrs(track=track)))
    made = rs.load("pseudo-inverse", track=track, force=True)
    assert made(image).attrs["contract_mismatch"] == cube.attrs["contract_mismatch"]
    assert "contract_mismatch" not in made(image.assign_attrs(track=track)).attrs
    assert "contract_mismatch" in made.low_rank(image).attrs


def test_a_track_that_nobody_ships_weights_for_is_named(methods, rng):
    with pytest.raises(DataError, match="use weights that were trained for 'mine'"):
        methods["clean"](image_of(rng, "mine"))


def test_images_of_2022_go_with_weights_for_them(methods, rng, tmp_path):
    np.save(tmp_path / "p.npy", rng.integers(20, 200, (12, 16, 3), dtype=np.uint8))
    theirs = rs.load("pseudo-inverse", track="exposed")
    reconstruct_file(theirs, tmp_path / "p.npy", tmp_path / "cube.zarr", kind="exposed")
    assert "contract_mismatch" not in rs.open_cube(tmp_path / "cube.zarr").attrs
    with pytest.raises(DataError, match="says that it is of 'exposed'"):
        reconstruct_file(methods["clean"], tmp_path / "p.npy", tmp_path / "no.zarr", kind="exposed")


def test_images_that_say_nothing_and_stated_captures_pass(methods, rng):
    plain = rs.make_image(rng.random((9, 8, 3)))
    for method in methods.values():
        assert method(plain).shape == (9, 8, 31)
    capture = rs.Capture(camera="cie-1964-ntire2020", light="D65")
    stated = methods["clean"](image_of(rng, "real-world"), capture=capture)
    assert "contract_mismatch" not in stated.attrs
    photo = rs.make_image(rng.random((9, 8, 3)), encoding="srgb", bits=8)
    assert methods["clean"](photo).attrs["quantity"] == "reflectance"


def test_files_and_clips_are_held_to_it(methods, rng, tmp_path):
    np.save(tmp_path / "p.npy", rng.integers(20, 200, (12, 16, 3), dtype=np.uint8))
    clip = write_clip(tmp_path / "c.mkv", rng.integers(0, 255, (2, 16, 16, 3), dtype=np.uint8))
    forced = rs.load("pseudo-inverse", force=True)
    for work, source in ((reconstruct_file, tmp_path / "p.npy"), (reconstruct_video, clip)):
        with pytest.raises(DataError, match="says that it is of 'real-world'"):
            work(methods["clean"], source, tmp_path / "no.zarr", kind="real-world")
        target = tmp_path / f"{work.__name__}.zarr"
        work(forced, source, target, kind="real-world")
        with xr.open_zarr(target, consolidated=False) as stored:
            assert "contract_mismatch" in stored.cube.attrs["attributes"]


def test_the_command_line_says_it_in_one_line_and_takes_force(methods, rng, tmp_path, capsys):
    save_weights(methods["clean"].weights, tmp_path / "w.safetensors")
    path = tmp_path / "ARAD_HS_0451_RealWorld.jpg"
    cv2.imwrite(str(path), rng.integers(20, 200, (12, 16, 3), dtype=np.uint8))
    arguments = ["reconstruct", str(path), "--weights", str(tmp_path / "w.safetensors")]
    assert run([*arguments, "-o", str(tmp_path / "cube.npz")]) == 1
    error = capsys.readouterr().err
    assert "--force" in error
    assert "Traceback" not in error
    assert not (tmp_path / "cube.npz").exists()
    assert run([*arguments, "-o", str(tmp_path / "cube.npz"), "--force"]) == 0
    assert "contract_mismatch" in rs.open_cube(tmp_path / "cube.npz").attrs


def test_of_a_folder_those_that_fit_are_done(methods, rng, tmp_path, capsys):
    save_weights(methods["clean"].weights, tmp_path / "w.safetensors")
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("ARAD_HS_0451_RealWorld.jpg", "ARAD_HS_0452_clean.png"):
        picture = rng.integers(20, 200, (12, 16, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / name), picture)
    out = tmp_path / "out"
    arguments = ["reconstruct", str(folder), "--weights", str(tmp_path / "w.safetensors")]
    assert run([*arguments, "-o", str(out), "--format", "npz"]) == 1
    assert "it is of 'real-world'" in capsys.readouterr().err
    assert [file.name for file in out.glob("*.npz")] == ["ARAD_HS_0452_clean.npz"]


def test_an_evaluation_leaves_out_tracks_that_weights_are_not_for(methods, tmp_path):
    file = tmp_path / "w.safetensors"
    save_weights(methods["clean"].weights, file)
    entry = make_entry(file, tracks=["clean", "real-world"])
    assert entry.takes_part("clean")
    assert not entry.takes_part("real-world")
    assert "--force" in entry.facts["absent"]["real-world"]
    forced = make_entry(file, tracks=["clean", "real-world"], force=True)
    assert forced.takes_part("real-world")
    image = rs.make_image(np.full((4, 4, 3), 0.5), track="real-world")
    assert "contract_mismatch" in forced.make("real-world")(image).attrs


def test_weights_saved_for_a_capture_are_not_for_the_track_of_another_camera(
    methods, rng, tmp_path
):
    image = image_of(rng, "clean")
    for camera, fits in (("ampas-nikon-d700", False), ("cie-1964-ntire2020", True)):
        told = methods["clean"].with_capture(rs.Capture(camera=camera, light="A"))
        file = tmp_path / f"{camera}.safetensors"
        save_weights(told.weights, file)
        assert make_entry(file, tracks=["clean"], force=True).takes_part("clean")
        if fits:
            np.testing.assert_array_equal(rs.load(file)(image), told(image))
            continue
        with pytest.raises(DataError, match="for pictures of the camera 'ampas-nikon-d700'"):
            rs.load(file)(image)
        with pytest.raises(DataError, match="'clean'"):
            rs.load(file).for_kind("clean")
        with pytest.raises(ConfigError, match="not 'clean'"):
            make_entry(file, tracks=["clean"])
        np.testing.assert_array_equal(rs.load(file)(image, force=True), told(image))
