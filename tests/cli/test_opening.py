"""--key, --axes, --quantity and --resample, wherever the command line opens cubes of a folder."""

import importlib
import json

import h5py
import numpy as np
import pytest
import yaml

import respectra as rs
from respectra.cli.app import run
from respectra.datasets.still_life import still_life
from respectra.datasets.store import open_store

for command in ("cubes", "data", "evaluate", "train"):
    importlib.import_module(f"respectra.cli.{command}")

KEY = ["--key", "b/reflectance", "--quantity", "reflectance"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two arrays a file, of which one is half the other."""
    root = tmp_path_factory.mktemp("scenes")
    for k in range(2):
        cube = still_life(24, 28, seed=k)
        with h5py.File(root / f"s{k}.h5", "w") as file:
            file["a/radiance"], file["b/reflectance"] = cube.values, 0.5 * cube.values
            for group in "ab":
                file[f"{group}/wavelength"] = cube["wavelength"].values
    return root


def test_without_a_key_the_folder_is_refused_by_name(folder, tmp_path, capsys):
    assert run(["data", "prepare", str(folder), "-o", str(tmp_path / "s")]) == 1
    assert "holds several arrays" in (error := capsys.readouterr().err)
    assert "--key" in error


def test_a_store_of_the_array_that_was_named(folder, tmp_path, capsys):
    command = ["data", "prepare", str(folder), "-o", str(tmp_path / "s"), *KEY]
    assert run([*command, "--split", "train=1", "--resample", "410:690:20"]) == 0
    store = open_store(tmp_path / "s")
    assert store.index.wavelengths_nm == tuple(np.arange(410.0, 691, 20))
    assert {entry.quantity for entry in store["train"].entries} == {"reflectance"}
    expected = rs.cubes.fit_bands(0.5 * still_life(24, 28, seed=0), np.arange(410, 691, 20))
    np.testing.assert_allclose(store["train"][0].cube, expected.values, atol=1e-6)
    assert run(["data", "check", str(folder), "--track", "clean", *KEY]) == 0
    assert "s0: 24 x 28 x 31" in capsys.readouterr().out
    assert (
        run(["train", "pca", "--data", str(tmp_path / "s"), "-o", str(tmp_path / "r"), *KEY]) == 1
    )
    assert "a store knows its cubes" in capsys.readouterr().err


def test_training_on_the_array_that_was_named(folder, tmp_path, capsys):
    out = tmp_path / "run"
    command = ["train", "pca", "--data", str(folder), "-o", str(out)]
    assert run([*command, *KEY, "--resample", "410:690:20"]) == 0
    recipe = yaml.safe_load((out / "recipe.yaml").read_text())
    assert recipe["data"]["key"] == "b/reflectance"
    assert rs.load(out / "best.safetensors").contract.wavelengths_nm == tuple(
        np.arange(410.0, 691, 20)
    )
    capsys.readouterr()
    assert run([*command, "--resume", "--key", "a/radiance", "--resample", "410:690:20"]) == 1
    assert "another recipe (data.key" in capsys.readouterr().err


def test_scores_of_the_array_that_was_named(folder, tmp_path):
    command = ["evaluate", "pseudo-inverse", "--data", str(folder), "--aux", "none"]
    command += ["--timing-runs", "1", "--resample", "400:700:10"]
    rows = {}
    for name, options in {"a": ["--key", "a/radiance"], "b": KEY}.items():
        assert run([*command, "-o", str(tmp_path / name), *options]) == 0
        protocol = json.loads((tmp_path / name / "protocol.json").read_text())
        assert all(scene["opened"]["key"] == options[1] for scene in protocol["scenes"])
        rows[name] = rs.evaluation.load_results(tmp_path / name)
    assert rows["a"].protocol.fingerprint != rows["b"].protocol.fingerprint
    # Half the values are half the error, but for the rounding to 8 bits.
    mean = {name: rows[name].mean("pseudo-inverse", "clean", "plain", "rmse") for name in rows}
    assert mean["b"].value == pytest.approx(0.5 * mean["a"].value, rel=0.1)


def test_another_light_on_the_array_that_was_named(folder, tmp_path):
    out = tmp_path / "a.nc"
    assert run(["relight", str(folder / "s0.h5"), "-o", str(out), "--light", "E", *KEY]) == 0
    expected = 0.5 * still_life(24, 28, seed=0).values
    ratio = rs.open_cube(out).values / np.maximum(expected, 1e-3)
    assert np.ptp(ratio[expected > 0.05]) == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("option", [["--quantity", "colour"], ["--axes", "x,y"]])
def test_what_is_none_is_said(folder, tmp_path, capsys, option):
    assert run(["train", "pca", "--data", str(folder), "-o", str(tmp_path / "r"), *option]) == 1
    assert option[1] in capsys.readouterr().err
    assert run(["data", "check", str(folder), *option]) == 1
    assert option[1] in capsys.readouterr().err
