"""Build the wheel and the source archive, install each elsewhere, and try them there.

    make release-check                     # everything
    python scripts/check_release.py --write docs/licences.md

Each archive is installed into an environment of its own outside the checkout: first without extras,
where the demo and a smoke test run, then with all of them. Metadata and size are checked, and the
licences of every dependency are listed; none of a default installation may be the GPL.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: What the package brings of others, with the texts of their licences.
NOTICE = ROOT / "NOTICE.md"
#: Bytes of an archive.
LARGEST = 15 * 2**20
#: GPL and AGPL by their names and numbers; the LGPL is not among them.
_REFUSED = re.compile(r"(?<![A-Za-z])A?GPL|(?<!Lesser )General Public License", re.IGNORECASE)
#: What works in a default installation. A page, a recipe, weights and a template come along.
_SMOKE = """
import numpy as np, respectra as rs
from pathlib import Path
assert "site-packages" in rs.__file__, rs.__file__
image = rs.make_image(np.linspace(0.1, 0.9, 12 * 16 * 3, dtype=np.float32).reshape(12, 16, 3))
for name in ("default", "default-classical"):
    cube = rs.load(name)(image)
    assert cube.shape == (12, 16, 31) and np.isfinite(cube).all(), name
rs.save_cube(cube, "cube.zarr", overwrite=True)
assert rs.open_cube("cube.zarr").shape == cube.shape
again = rs.get_track("clean").render(cube)
assert again.shape == image.shape
assert rs.relight(rs.to_reflectance(cube, "D65"), "A").shape == cube.shape
from respectra.training import load_recipe
for method in rs.list_methods():
    rs.get_card(method)
load_recipe("awan-clean")
import importlib.metadata
package = Path(rs.__file__).parent
for part in (
    "colour/data/cie.npz",
    "cameras/data/rawtoaces_cameras.csv",
    "cameras/data/rendering.safetensors",
    "evaluation/data/published_table_1.csv",
    "evaluation/templates/report.html",
    "methods/counts.json",
    "methods/shipped/single-colours.safetensors",
    "viewer/static/index.html",
    "viewer/static/example.jpg",
    "viewer/static/vendor/uPlot.iife.min.js",
    "viewer/static/vendor/uPlot.LICENSE.txt",
):
    assert (package / part).is_file(), part
assert list((package / "evaluation").rglob("*.css")), "the style of the report"
texts = [str(file) for file in importlib.metadata.files("respectra") if "licenses" in str(file)]
for name in ("LICENSE", "NOTICE.md", "rawtoaces_LICENSE.txt", "uPlot.LICENSE.txt"):
    assert any(text.endswith(name) for text in texts), name
spectra = rs.recover_colours(np.array([[200, 80, 30]], np.uint8))
assert spectra.shape == (1, 31)
print("respectra", rs.__version__, "from", rs.__file__)
"""
#: What the extras add: a page that answers, an ONNX file.
_SMOKE_EXTRAS = """
import subprocess, sys, urllib.request
server = subprocess.Popen(
    [sys.executable, "-m", "respectra", "serve", "--port", "0"], stderr=subprocess.PIPE, text=True
)
try:
    for line in server.stderr:
        if "http://" in line:
            url = "http://" + line.split("http://")[1].split()[0]
            break
    else:
        raise SystemExit("the page did not start")
    page = urllib.request.urlopen(url, timeout=60).read().decode()
    assert "<html" in page.lower()
finally:
    server.terminate()
    server.wait()
import av, dask, onnx, pi_heif, rawpy, skimage, tensorboard
print("the extras are there, and the page answers")
"""


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a command outside of this checkout's Python path and give what it printed."""
    left_out = ("PYTHONPATH", "RESPECTRA_DATA", "VIRTUAL_ENV")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, text=True, capture_output=True, env=environment
    )
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def try_archive(archive: Path, place: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Install an archive into a new environment and use it there.

    Returns:
        The licences of what a default installation brings, and of what all extras add.
    """
    name = "sdist" if archive.suffix == ".gz" else "wheel"
    folder = place / name
    folder.mkdir()
    run(sys.executable, "-m", "venv", folder / "env")
    scripts = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    python, respectra = scripts / "python", scripts / "respectra"
    install = (python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt")
    run(*install, archive, cwd=folder)
    print(run(python, "-c", _SMOKE, cwd=folder).strip(), flush=True)
    run(respectra, "demo", "--output", folder / "demo", cwd=folder)
    print(f"{archive.name}: demo and smoke test passed", flush=True)
    default = licences(python)
    run(*install, f"{archive}[all]", cwd=folder)
    print(run(python, "-c", _SMOKE + _SMOKE_EXTRAS, cwd=folder).strip(), flush=True)
    print(f"{archive.name}: passed with all extras", flush=True)
    everything = licences(python)
    return default, {key: everything[key] for key in everything.keys() - default.keys()}


def licences(python: Path) -> dict[str, str]:
    """Licence by package of the environment of an interpreter."""
    command = ("-m", "piplicenses", "--python", python, "--format", "json", "--from", "mixed")
    found = json.loads(run(sys.executable, *command))
    return {
        entry["Name"]: " ".join(entry["License"].split())
        for entry in found
        if entry["Name"].lower() not in ("respectra", "pip", "setuptools")
    }


def refuse_gpl(found: dict[str, str]) -> None:
    """Stop where a default installation brings a GPL licence along."""
    for package, licence in found.items():
        if _REFUSED.search(licence):
            sys.exit(f"{package} is under {licence[:200]}")
    print(f"{len(found)} packages in a default installation, none under the GPL")


def page(default: dict[str, str], more: dict[str, str]) -> str:
    """The licences as a page of the documentation."""
    brought = NOTICE.read_text("utf-8").partition("\n")[2].partition("\n## ")[0].strip()
    lines = [
        "# Licences",
        "",
        "## In the package",
        "",
        *brought.splitlines(),
        "",
        "Texts and copyright lines of all these are installed with the package, in `NOTICE.md`.",
        "",
        "## Installed beside it",
        "",
        "`pip install respectra` brings the packages of the first table along, none of them under",
        "the GPL; the extras bring those of the second one. Written by `make release-check` on",
        f"{datetime.now(UTC):%Y-%m-%d}, Python "
        f"{sys.version_info.major}.{sys.version_info.minor}, {sys.platform}.",
    ]
    for title, table in (("By default", default), ("With the extra `all`", more)):
        lines += ["", f"### {title}", "", "| package | licence |", "|---|---|"]
        for name in sorted(table, key=str.lower):
            text = table[name].replace("|", "/")
            lines.append(f"| {name} | {text if len(text) <= 80 else text[:77] + '...'} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Build and try both archives."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path, help="Also write the licences there, as a page.")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run(sys.executable, "-m", "build", "--outdir", place / "dist", ROOT)
        archives = sorted((place / "dist").iterdir())
        print(run(sys.executable, "-m", "twine", "check", "--strict", *archives).strip())
        for archive in archives:
            size = archive.stat().st_size
            print(f"{archive.name}: {size / 2**20:.1f} MiB", flush=True)
            if size > LARGEST:
                sys.exit(f"{archive.name} is larger than {LARGEST / 2**20:.0f} MiB")
        for archive in archives:
            default, more = try_archive(archive, place)
            refuse_gpl(default)
    if chosen.write:
        chosen.write.write_text(page(default, more), "utf-8")


if __name__ == "__main__":
    main()
