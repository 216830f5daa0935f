"""The promises of the package as a whole."""

import itertools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from PIL import Image

import respectra

ROOT = Path(__file__).parents[1]


def run(code: str) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    return result.stdout.strip()


def test_importing_the_package_loads_no_heavy_library():
    heavy = run(
        "import sys, respectra;"
        "print([m for m in ('torch', 'numpy', 'xarray', 'colour', 'cv2') if m in sys.modules])"
    )
    assert heavy == "[]"


def test_the_version_is_written_once():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    place = Path(__file__).parents[1] / project["tool"]["hatch"]["version"]["path"]
    assert f'__version__ = "{respectra.__version__}"' in place.read_text("utf-8")


def test_the_citation_and_the_changelog_are_of_this_version():
    root = Path(__file__).parents[1]
    assert f"\nversion: {respectra.__version__}\n" in (root / "CITATION.cff").read_text("utf-8")
    assert f"\n## [{respectra.__version__}] - " in (root / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.parametrize("name", [*respectra._NAMES, *respectra._ROOMS])
def test_every_public_name_resolves(name):
    assert getattr(respectra, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'opn_cube'"):
        respectra.opn_cube  # noqa: B018


def test_the_package_is_the_command():
    command = [sys.executable, "-m", "respectra", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600)
    assert result.stdout.strip() == respectra.__version__


def test_a_reconstruction_loads_what_it_needs_and_no_more(tmp_path):
    picture = np.random.default_rng(0).integers(20, 200, (260, 256, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")  # enough pixels to look for colours
    arguments = "reconstruct", str(tmp_path / "photo.png"), "-o", str(tmp_path / "cube.zarr")
    loaded = run(
        f"import sys; sys.argv = ['respectra', *{arguments!r}]\n"
        "from respectra.cli import main\n"
        "try: main()\n"
        "except SystemExit as ended: assert not ended.code, ended.code\n"
        "names = 'dask.array scipy lightning numba matplotlib onnxruntime colour h5py sklearn '\n"
        "names += 'respectra.cli.train respectra.cli.evaluate'\n"
        "print([name for name in names.split() if name in sys.modules])"
    )
    assert loaded.splitlines()[-1] == "[]"


def _lower_bounds():
    """Name of each library of pyproject.toml -> the lowest version that it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *itertools.chain(*project["optional-dependencies"].values()),
    ]
    found = {}
    for text in wanted:
        requirement = Requirement(text)
        bounds = [Version(s.version) for s in requirement.specifier if s.operator == ">="]
        if requirement.name != "respectra":
            assert bounds, f"{text} has no lower bound"
            found[requirement.name.lower()] = max(bounds)
    return found


def test_no_version_is_allowed_that_is_known_to_be_unsafe():
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    stated = dict(re.findall(r"^\| ([\w-]+) \| ([\d.]+) \|", text, re.MULTILINE))
    assert len(stated) >= 7
    bounds = _lower_bounds()
    for name, version in stated.items():
        assert bounds[name] >= Version(version), f"{name} below {version} is not safe"


def test_what_the_tests_run_with_is_allowed():
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text("utf-8").split()
        if "==" in line
    )
    pinned = {name.lower(): version for name, version in pinned.items()}
    for name, bound in _lower_bounds().items():
        if name in pinned:
            assert Version(pinned[name]) >= bound
    assert len(pinned.keys() & _lower_bounds().keys()) > 30
