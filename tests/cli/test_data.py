"""data check, data prepare and data synthesize, as a person at the terminal meets them."""

import json

import numpy as np
import pytest

import respectra as rs
from respectra.cli import data as _  # noqa: F401 - registers the commands
from respectra.cli.app import run
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.store import open_store


@pytest.fixture
def folder(tmp_path, rng):
    root = tmp_path / "scenes"
    root.mkdir()
    for k in range(4):
        values = rng.uniform(0.1, 0.9, (17 + k, 24, 31))
        rs.save_cube(rs.make_cube(values, CHALLENGE_WAVELENGTHS_NM), root / f"s{k}.npz")
    return root


def error_of(capsys):
    text = capsys.readouterr().err
    errors = [line for line in text.splitlines() if line.startswith("error:")]
    assert len(errors) == 1
    assert "Traceback" not in text
    return errors[0]


def test_check_prints_and_exits_by_what_it_finds(folder, capsys):
    assert run(["data", "check", str(folder)]) == 0
    assert "s0: 17 x 24 x 31" in capsys.readouterr().out
    (folder / "bad.npz").write_bytes(b"PK\x03\x04")
    assert run(["data", "check", str(folder), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["layout"] == "cubes"
    assert [scene["ok"] for scene in report["scenes"]] == [False, True, True, True, True]


def test_prepare(folder, tmp_path, capsys):
    store = tmp_path / "store"
    command = ["data", "prepare", str(folder), "-o", str(store), "--dtype", "float16"]
    command += ["--track", "clean", "--track", "real-world", "--set", "odd_sizes=accept"]
    assert run([*command, "--estimate"]) == 0
    assert "GiB in all, about" in capsys.readouterr().err
    assert not store.exists()
    assert run([*command, "--split", "train=0.5,held-out=0.5"]) == 0
    opened = open_store(store)
    assert {name: len(opened[name]) for name in opened.splits} == {"train": 2, "held-out": 2}
    assert set(opened["train"][0].images) == {"clean", "real-world"}
    assert run(command) == 1
    assert "pass --overwrite" in error_of(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "half"], "NAME=SHARE"),
        (["--split", "official"], "unknown official split 'cubes'"),
        (["--set", "odd_size=accept"], "unknown track option"),
        (["--track", "claen"], "did you mean 'clean'"),
        (["--dtype", "float8"], "dtype"),
        (["--layout", "cave"], "no cube laid out as cave"),
    ],
)
def test_prepare_refuses(folder, tmp_path, capsys, arguments, message):
    assert run(["data", "prepare", str(folder), "-o", str(tmp_path / "s"), *arguments]) == 1
    assert message in error_of(capsys)
    assert not (tmp_path / "s").exists()


def test_synthesize_continues_and_does_not_mix_series(tmp_path, capsys):
    command = ["data", "synthesize", "-o", str(tmp_path / "a"), "--seed", "4", "--size", "32x40"]
    assert run([*command, "-n", "1"]) == 0
    first = (tmp_path / "a" / "synthetic_00000.npz").stat().st_mtime_ns
    assert run([*command, "-n", "2", "--layers", str(tmp_path / "layers")]) == 0
    assert run([*command, "-n", "2"]) == 0
    cube = rs.open_cube(tmp_path / "a" / "synthetic_00001.npz")
    assert cube.shape == (32, 40, 31)
    light = rs.open_cube(tmp_path / "layers" / "synthetic_00001_illumination.npz")
    assert light.shape == cube.shape
    assert (tmp_path / "a" / "synthetic_00000.npz").stat().st_mtime_ns >= first
    capsys.readouterr()
    assert run([*command, "-n", "1", "--set", "metamers=0.5"]) == 1
    assert "another seed or other options" in error_of(capsys)
    assert run(["data", "synthesize", "-o", str(tmp_path / "b"), "--size", "32"]) == 1
    assert "ROWSxCOLUMNS" in error_of(capsys)


def test_synthetic_scenes_become_a_store(tmp_path):
    scenes, store = tmp_path / "a", tmp_path / "store"
    make = ["data", "synthesize", "-o", str(scenes), "-n", "3", "--size", "16x16"]
    assert run([*make, "--illuminant", "D65", "--suffix", ".mat"]) == 0
    assert run(["data", "prepare", str(scenes), "-o", str(store), "--split", "train=1"]) == 0
    cube = open_store(store)["train"].open_cube(1)
    np.testing.assert_array_equal(cube, rs.open_cube(scenes / "synthetic_00001.mat"))
