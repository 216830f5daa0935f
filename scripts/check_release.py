"""Build the wheel and the source archive, install each elsewhere, and try them there.

    make release-check

Each is installed into an environment of its own outside the checkout, without extras; the demo and
a picture are run there. Metadata, size and the licences of a default installation are checked.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Bytes of the wheel.
LARGEST = 15 * 2**20
#: Licences that the default installation must not bring along. LGPL is not among them.
_REFUSED = ("GPL", "AGPL")
_SMOKE = """
import numpy as np, respectra as rs
rec = rs.load()
cube = rec(rs.make_image(np.full((12, 16, 3), 0.3)))
assert cube.shape == (12, 16, 31) and np.isfinite(cube).all()
assert rs.load("default-classical")(rs.make_image(np.full((4, 4, 3), 0.3))).shape == (4, 4, 31)
from respectra.training import list_recipes
assert "awan-clean" in list_recipes()
import importlib.resources as resources
assert (resources.files("respectra.viewer") / "static" / "index.html").is_file()
print("respectra", rs.__version__, "from", rs.__file__)
"""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command and give what it printed."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def try_archive(archive: Path, place: Path) -> None:
    """Install an archive into a new environment, and use it there."""
    environment = place / f"env-{archive.suffix.strip('.')}"
    run(sys.executable, "-m", "venv", environment)
    python = environment / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    run(python, "-m", "pip", "install", "-q", "-c", constraints, "torch", "hatchling")
    run(python, "-m", "pip", "install", "-q", "-c", constraints, archive)
    print(run(python, "-c", _SMOKE, cwd=place).strip())
    run(python, "-m", "respectra", "demo", "--output", place / f"demo{archive.suffix}", cwd=place)
    print(f"{archive.name}: demo and smoke test passed")
    check_licences(python)


def check_licences(python: Path) -> None:
    """Refuse a default installation that brings a GPL licence along."""
    command = ("-m", "piplicenses", "--python", python, "--format", "json", "--from", "mixed")
    found = json.loads(run(sys.executable, *command))
    for package in found:
        words = package["License"].replace("-", " ").replace("v", " ").replace(";", " ").split()
        if any(word in _REFUSED for word in words):
            sys.exit(f"{package['Name']} is under {package['License']}")
    print(f"{len(found)} packages, none under the GPL")


def main() -> None:
    """Build and try both archives."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(sys.executable, "-m", "build", "--outdir", place / "dist", ROOT)
        archives = sorted((place / "dist").iterdir())
        print(run(sys.executable, "-m", "twine", "check", "--strict", *archives).strip())
        for archive in archives:
            size = archive.stat().st_size
            print(f"{archive.name}: {size / 2**20:.1f} MiB")
            if size > LARGEST:
                sys.exit(f"{archive.name} is larger than {LARGEST / 2**20:.0f} MiB")
            try_archive(archive, place)


if __name__ == "__main__":
    main()
