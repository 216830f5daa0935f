"""One file gives the same values through every door: in memory, as files, piece by piece."""

import numpy as np
import pytest
import tifffile
from PIL import Image
from tests.cameras.dng_file import BLACK, WHITE, write_dng
from tests.cameras.heic_file import heic

import respectra as rs
from respectra.cameras import PictureOptions
from respectra.cameras.pictures import profiles
from respectra.cli import reconstruct as _  # noqa: F401 - registers the command
from respectra.cli.app import run
from respectra.colour import rgb_space
from respectra.inference import reconstruct_files

RNG = np.random.default_rng(8)
PIXELS = np.kron(RNG.integers(10, 250, (6, 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
DEEP = PIXELS.astype(np.uint16) * 257
P3 = profiles.write_profile("P3", rgb_space("display-p3").to_xyz_d50, 2.2)


def by_pillow(array=PIXELS, **options):
    return lambda path: Image.fromarray(array).save(path, **options)


def by_tifffile(array, **options):
    return lambda path: tifffile.imwrite(
        path, array, photometric="rgb", rowsperstrip=7, compression="zlib", **options
    )


def palette(path):
    Image.fromarray(PIXELS // 128 * 255).quantize(8).save(path)


def of_a_camera(path):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model 1", 6
    Image.fromarray(PIXELS).save(path, exif=exif, quality=95)


def raw(path):
    shares = np.kron(RNG.uniform(0.05, 0.9, (6, 8)), np.ones((8, 8)))
    write_dng(path, np.rint(BLACK + shares * (WHITE - BLACK)))


TRANSPARENT = np.concatenate([PIXELS, PIXELS[..., :1] // 2 + 100], axis=2)
FILES = {
    "jpeg": ("a.jpg", by_pillow(quality=95), {}),
    "jpeg of a camera": ("a.jpg", of_a_camera, {}),
    "png": ("a.png", by_pillow(), {}),
    "png, palette": ("a.png", palette, {}),
    "png, 16 bits": ("a.png", lambda path: write_png(path, DEEP), {}),
    "png, Display P3": ("a.png", by_pillow(icc_profile=P3), {}),
    "png, transparent": ("a.png", by_pillow(TRANSPARENT), {"alpha": "white"}),
    "png, grey": ("a.png", by_pillow(PIXELS[..., 0].copy()), {"grey": "repeat"}),
    "webp": ("a.webp", by_pillow(lossless=True), {}),
    "avif": ("a.avif", by_pillow(quality=90), {}),
    "tiff": ("a.tif", by_tifffile(PIXELS), {}),
    "tiff, palette": ("a.tif", palette, {}),
    "tiff, 16 bits, Display P3": ("a.tif", by_tifffile(DEEP, iccprofile=P3), {}),
    "tiff, floating point": ("a.tif", by_tifffile((PIXELS / 255).astype(np.float32)), {}),
    "heic": ("a.heic", lambda path: path.write_bytes(heic()), {}),
    "raw": ("a.dng", raw, {}),
}
METHOD = "pseudo-inverse"
LIBRARIES = {"heic": "pi_heif", "raw": "rawpy"}


def write_png(path, codes):
    import cv2

    cv2.imwrite(str(path), codes[..., ::-1])


@pytest.mark.parametrize("name", FILES)
def test_values_do_not_depend_on_the_way_in(tmp_path, name):
    if name in LIBRARIES:
        pytest.importorskip(LIBRARIES[name], reason="the extra is not installed")
    file, write, reading = FILES[name]
    write(tmp_path / file)
    image = rs.open_image(tmp_path / file, encoding="srgb", **reading)
    expected = rs.load(METHOD)(image)
    reconstruct_files(
        tmp_path / file, tmp_path / "a.npz", METHOD, picture_options=PictureOptions(**reading)
    )
    command = ["reconstruct", str(tmp_path / file), "-o", str(tmp_path / "b.npz")]
    command += ["--method", METHOD, "--max-memory", "8GB", "--tile", "16"]
    assert run([*command, *(part for k, v in reading.items() for part in (f"--{k}", v))]) == 0
    for cube in (rs.open_cube(tmp_path / "a.npz"), rs.open_cube(tmp_path / "b.npz")):
        assert cube.shape[:2] == image.shape[:2]
        np.testing.assert_array_equal(cube.values, expected.values)
