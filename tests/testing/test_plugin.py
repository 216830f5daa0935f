"""A package from elsewhere: installed without an index, it works like what is ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import respectra as rs
from respectra.datasets.still_life import still_life

pytestmark = pytest.mark.slow

_EXAMPLE = Path(__file__).parents[2] / "examples" / "plugin"
_SHELL = "import sys; from respectra.cli import main; main()"


def _install(source: Path, target: Path) -> Path:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--no-build-isolation", "--target", str(target), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example package in a folder of its own."""
    pytest.importorskip("setuptools")
    root = tmp_path_factory.mktemp("plugin")
    shutil.copytree(_EXAMPLE, root / "source")  # building leaves files there
    return _install(root / "source", root / "site")


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of each that cannot be loaded, or is not what it should be."""
    pytest.importorskip("setuptools")
    root = tmp_path_factory.mktemp("broken")
    groups = {
        "methods": ("ruin", "ruin:missing"),
        "formats": ("ruin-format", "ruin:NOTHING"),
        "tracks": ("ruin-track", "no_such_module:TRACK"),
        "responses": ("ruin-camera", "ruin:camera"),
        "metrics": ("ruin_metric", "ruin:crash.metric"),
        "tests": ("ruin-test", "ruin:NOTHING"),
    }
    text = '[project]\nname = "ruin"\nversion = "0.3"\n[tool.setuptools]\npy-modules = ["ruin"]\n'
    for group, (name, value) in groups.items():
        text += f'[project.entry-points."respectra.{group}"]\n{name} = "{value}"\n'
    source = root / "source"
    source.mkdir()
    (source / "pyproject.toml").write_text(text)
    (source / "ruin.py").write_text("NOTHING = 3\ndef camera():\n    raise OSError('no table')\n")
    return _install(source, root / "site")


def _run(*arguments: object, path: tuple[Path, ...], code: str = _SHELL) -> tuple[str, str]:
    """Standard output and error of a command with further packages on its path."""
    places = os.pathsep.join([os.environ["PYTHONPATH"], *map(str, path)])
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_what_a_package_adds_is_listed_with_its_origin(installed: Path) -> None:
    found = json.loads(_run("plugins", "--json", path=(installed,))[0])
    assert {entry["package"] for entry in found} == {"respectra-example 1.2.0"}
    assert all(entry["problem"] is None for entry in found)
    assert {entry["name"] for entry in found} == {
        *("small-net", "ratios", "plain-cube", "rounded"),
        *("example-camera", "largest_error", "mirrored"),
    }
    methods = json.loads(_run("methods", "--json", path=(installed,))[0])
    packages = {entry["name"]: entry["package"] for entry in methods}
    assert packages["small-net"] == packages["ratios"] == "respectra-example 1.2.0"
    assert packages["awan"] == f"respectra {rs.__version__}"
    cameras = json.loads(_run("cameras", "--json", path=(installed,))[0])
    for kind, name in (("tracks", "rounded"), ("responses", "example-camera")):
        origins = {entry["name"]: entry["package"] for entry in cameras[kind]}
        assert origins.pop(name) == "respectra-example 1.2.0"
        assert set(origins.values()) == {f"respectra {rs.__version__}"}


def test_a_network_is_trained_tiled_exported_and_scored(installed: Path, tmp_path: Path) -> None:
    for k in range(3):
        rs.save_cube(still_life(40, 44, seed=k), tmp_path / "cubes" / f"scene{k}.npz")
    recipe = installed / "respectra_example" / "small-net-clean.yaml"
    run = tmp_path / "run"
    _run(
        *("train", recipe, "--data", tmp_path / "cubes", "-o", run, "--preset", "tiny"),
        *("--steps", 2, "--set", "batch=2", "--set", "patches.size=16", "--device", "cpu"),
        path=(installed,),
    )
    weights = run / "best.safetensors"
    _run(
        "export",
        weights,
        "-o",
        tmp_path / "net.onnx",
        "--height=32",
        "--width=32",
        path=(installed,),
    )
    assert (tmp_path / "net.onnx").stat().st_size > 1000
    code = """if True:
        import sys
        import numpy as np
        import respectra as rs
        weights, folder = sys.argv[1:]
        cube = rs.open_cube(folder + "/cubes/scene0.npz")
        image = rs.get_track("clean").render(cube)
        whole = rs.load(weights, tile=None)(image)
        tiles = rs.load(weights, tile=16)(image)
        assert np.abs(whole.values - tiles.values).max() <= 1e-5 * np.abs(whole.values).max()
        rs.save_cube(whole, folder + "/a.plaincube")
        again = rs.open_cube(folder + "/a.plaincube")
        assert again.identical(whole), (again.attrs, whole.attrs)
        track = rs.get_track("rounded")
        picture = track.render(cube)
        assert picture.attrs["track"] == "rounded"
        exact = np.clip(track.project(cube).values, 0, 1)
        assert np.abs(picture.values - exact).max() <= 0.51 / 255
        assert "values" in picture.attrs["recipe"]["response"]
    """
    _run(weights, tmp_path, path=(installed,), code=code)
    out, _ = _run(
        *("evaluate", f"net={weights}", "ratios", "pca", "--data", tmp_path / "cubes"),
        *("-o", tmp_path / "report", "--aux", "mirrored", "--metrics", "largest_error"),
        *("--timing-runs", 0, "--floor", 0.01, "--json"),
        path=(installed,),
    )
    means = {(m["method"], m["test"]): m for m in json.loads(out)["means"]}
    for name in ("net", "ratios", "pca"):
        assert means[name, "plain"]["largest_error"] > 0
    assert means["ratios", "mirrored"]["mrae"] == pytest.approx(means["ratios", "plain"]["mrae"])
    assert np.isfinite(means["net", "mirrored"]["mrae"])


def test_the_package_passes_our_tests(installed: Path) -> None:
    code = """if True:
        from respectra import testing
        assert testing.check_network("small-net", slow=False)["tiny_is_small"] == "passed"
        testing.check_classical("ratios")
        testing.check_format("plain-cube")
        testing.check_track("rounded")
        testing.check_metric("largest_error")
        testing.check_test("mirrored")
    """
    _run(path=(installed,), code=code)


def test_a_broken_package_is_named_and_stops_nothing(
    installed: Path, broken: Path, tmp_path: Path
) -> None:
    both = (installed, broken)
    out, err = _run("methods", path=both)
    names = [line.split("\t")[0] for line in out.splitlines()]
    assert "small-net" in names
    assert "awan" in names
    assert "ruin" not in names
    warnings = [line for line in err.splitlines() if "warning:" in line]
    (line,) = (line for line in warnings if "ruin" in line)
    assert "the method 'ruin' of ruin 0.3 cannot be loaded (AttributeError" in line
    out, err = _run("cameras", path=both)
    assert "rounded" in out
    assert err.count("'ruin-track' of ruin 0.3 cannot be loaded") == 1
    assert err.count("'ruin-camera' of ruin 0.3 cannot be loaded (OSError: no table)") == 1
    found = json.loads(_run("plugins", "--json", path=both)[0])
    problems = {
        entry["name"]: entry["problem"] for entry in found if entry["package"] == "ruin 0.3"
    }
    assert len(problems) == 6
    assert "expected a respectra.cubes.formats.CubeFormat, got 3" in problems["ruin-format"]
    assert all("cannot be loaded" in problem for problem in problems.values())
    code = """if True:
        import sys, warnings
        import respectra as rs
        from respectra.datasets.still_life import still_life
        from respectra.evaluation.metrics import score
        from respectra.evaluation.auxiliary import select_tests
        warnings.simplefilter("ignore")
        cube = still_life(16, 16, seed=0)
        rs.save_cube(cube, sys.argv[1] + "/a.plaincube")
        assert score(rs.open_cube(sys.argv[1] + "/a.plaincube"), cube)["rmse"] == 0
        assert "mirrored" in [test.name for test in select_tests("all")]
        assert rs.load("pca")(rs.get_track("clean").render(cube)).sizes["wavelength"] == 31
        try:
            rs.save_cube(cube, sys.argv[1] + "/a", format="ruin-format")
        except rs.RespectraError as error:
            assert "'ruin-format' of ruin 0.3 cannot be loaded" in str(error)
        else:
            raise AssertionError("a broken format was used")
    """
    _run(tmp_path, path=both, code=code)
