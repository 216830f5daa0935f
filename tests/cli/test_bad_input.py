"""Whatever is wrong with a file: one clear line, a non-zero exit, no output left behind."""

import io
import os
import pickle
import struct
import subprocess
import sys
import zlib

import cv2
import numpy as np
import pytest

import respectra as rs
from respectra.cli import cubes as _cubes  # noqa: F401 - registers the commands
from respectra.cli import reconstruct as _reconstruct  # noqa: F401
from respectra.cli.app import echo, run

GRID = np.arange(400, 701, 10)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds a kilobyte."""
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + body
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", len(body))
        + chunk
        + struct.pack(">I", zlib.crc32(chunk))
        + bytes(1000)
    )


def encoded(suffix: str, values: np.ndarray) -> bytes:
    return cv2.imencode(suffix, values)[1].tobytes()


RGB = np.random.default_rng(0).integers(10, 200, (6, 8, 3), dtype=np.uint8)

PICTURES = {
    "empty.png": (b"", "empty"),
    "truncated.png": (encoded(".png", RGB)[:90], "damaged|truncated|incomplete|cannot"),
    "text.png": (b"this is not a picture" * 9, "not|PNG"),
    "really_a_tiff.jpg": (encoded(".tif", RGB), "TIFF"),
    "huge.png": (png_header(30_000, 30_000), "damaged|pixels"),
    "nothing.png": (png_header(0, 5), "pixel|0|damaged"),
    "grey.png": (encoded(".png", RGB[..., 0]), "grey"),
    "seen_through.png": (encoded(".png", np.dstack([RGB, RGB[..., 0]])), "alpha|transparen"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_that_cannot_be_used(name, tmp_path, capsys):
    content, message = PICTURES[name]
    (tmp_path / name).write_bytes(content)
    refused(["reconstruct", tmp_path / name, "-o", tmp_path / "out.zarr"], message, capsys)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1)])
def test_pictures_of_a_pixel_or_a_line_can_be_used(shape, tmp_path):
    cv2.imwrite(str(tmp_path / "small.png"), np.full((*shape, 3), 90, np.uint8))
    target = tmp_path / "out.npz"
    assert run(["reconstruct", str(tmp_path / "small.png"), "-o", str(target)]) == 0
    assert rs.open_cube(target).shape == (*shape, 31)


def test_sixteen_bits_are_kept(tmp_path):
    values = np.random.default_rng(1).integers(0, 40_000, (4, 5, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), values[..., ::-1])
    image = rs.open_image(tmp_path / "deep.png")
    np.testing.assert_allclose(image, values / 65535, rtol=1e-6)


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


CUBE = np.random.default_rng(2).random((3, 4, 31), np.float32)

CUBES = {
    "empty.mat": (b"", "empty"),
    "pickle.npy": (pickle.dumps({"a": 1}), "pickle|NPY|not"),
    "objects.npy": (
        b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(
            128, b" "
        )
        + pickle.dumps([print]),
        "object",
    ),
    "really_numpy.mat": (npz(cube=CUBE), "ZIP|NPZ|zip"),
    "negative.npz": (npz(cube=CUBE, wavelengths=-GRID), "positive"),
    "twice.npz": (npz(cube=CUBE, wavelengths=np.r_[GRID[:30], 690]), "wavelength"),
    "unknown.npz": (npz(cube=CUBE), "--wavelengths"),
    "truncated.npz": (npz(cube=CUBE, wavelengths=GRID)[:700], "damaged|truncated|not|cannot"),
}


@pytest.mark.parametrize("name", CUBES)
@pytest.mark.parametrize("command", ["convert", "check"])
def test_cubes_that_cannot_be_used(name, command, tmp_path, capsys):
    content, message = CUBES[name]
    (tmp_path / name).write_bytes(content)
    extra = ["-o", tmp_path / "out.zarr"] if command == "convert" else []
    refused([command, tmp_path / name, *extra], message, capsys)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_descending_bands_are_put_in_order(tmp_path):
    (tmp_path / "down.npz").write_bytes(npz(cube=CUBE[..., ::-1], wavelengths=GRID[::-1]))
    np.testing.assert_array_equal(rs.open_cube(tmp_path / "down.npz").values, CUBE)


def test_a_cube_with_nan_fails_the_check_and_names_them(tmp_path, capsys):
    values = CUBE.copy()
    values[0, 0, :5] = np.nan
    rs.save_cube(rs.make_cube(values, GRID), tmp_path / "nan.npz")
    assert run(["check", str(tmp_path / "nan.npz")]) == 1
    assert "NaN" in capsys.readouterr().out


def test_an_output_folder_that_cannot_be_made(tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "p.png"), RGB)
    (tmp_path / "file").touch()
    refused(["reconstruct", tmp_path / "p.png", "-o", tmp_path / "file" / "c.zarr"], "", capsys)


@pytest.mark.posix
def test_a_full_disk_leaves_no_half_cube(tmp_path):
    """A limit on the size of files stands in for the full disk; the process ignores its signal."""
    rs.save_cube(rs.make_cube(np.ones((64, 64, 31)), GRID), tmp_path / "a.npy")
    code = (
        "import resource, signal, sys;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
        "from respectra.cli import main; main()"
    )
    arguments = ["convert", "a.npy", "-o", "b.hdr", "--wavelengths", "400:700:10"]
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert result.stderr.count("error:") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["a.npy"]


def refused(arguments, message, capsys):
    assert run([str(a) for a in arguments]) == 1
    text = capsys.readouterr().err
    errors = [line for line in text.splitlines() if line.startswith("error:")]
    assert len(errors) == 1, text
    assert "Traceback" not in text
    assert any(m.lower() in errors[0].lower() for m in message.split("|")), errors[0]


def test_names_and_places_that_the_system_refuses(tmp_path, capsys):
    rs.save_cube(rs.make_cube(np.ones((3, 4, 31)), GRID), tmp_path / "a.npz")
    (tmp_path / "file").touch()
    for output in (tmp_path / ("n" * 252 + ".mat"), tmp_path / "file" / "x.mat"):
        assert run(["convert", str(tmp_path / "a.npz"), "-o", str(output)]) == 1
        said = capsys.readouterr().err
        # How far it is may be said too, on a slow machine.
        assert sum(line.startswith("error:") for line in said.splitlines()) == 1
        assert "Traceback" not in said


def test_a_name_is_printed_as_it_is(capsys):
    echo("a:car:.png, [bold]b.png")
    assert capsys.readouterr().err == "a:car:.png, [bold]b.png\n"
