"""Pictures of every kind through the one reader: colour, orientation, opacity, bombs."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from respectra.cameras import open_image, open_picture, to_track_values
from respectra.cameras.pictures import profiles
from respectra.colour import decode_srgb, rgb_space
from respectra.errors import ConfigError, DataError, FormatError, RespectraWarning

RGB = np.random.default_rng(3).integers(0, 256, (8, 6, 3)).astype(np.uint8)
LINEAR_P3 = profiles.write_profile("P3, gamma 1", rgb_space("display-p3").to_xyz_d50, 1.0)
ADOBE = profiles.write_profile("Adobe", rgb_space("adobe-rgb").to_xyz_d50, 563 / 256)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def photograph(path, **options):
    return open_image(path, encoding="srgb", **options)


def saved(path, array=RGB, mode=None, **options):
    Image.fromarray(array, mode).save(path, **options)
    return path


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif", ".avif", ".jpg"])
def test_every_format_gives_its_codes(tmp_path, suffix):
    smooth = np.broadcast_to(np.array([200, 90, 30], np.uint8), (16, 16, 3))
    lossless = {".webp": {"lossless": True}, ".avif": {"quality": 100, "subsampling": "4:4:4"}}
    path = saved(tmp_path / f"a{suffix}", np.array(smooth), **lossless.get(suffix, {}))
    image = photograph(path)
    off = np.abs(np.rint(image.values * 255) - smooth).max()
    assert off <= (2 if suffix in (".jpg", ".avif") else 0)
    assert image.attrs["profile"] == "none: read as sRGB"


@pytest.mark.parametrize("suffix", [".png", ".webp", ".jpg", ".tif"])
def test_orientation_in_every_format(tmp_path, suffix):
    exif = Image.Exif()
    exif[274] = 6
    tall = np.zeros((16, 32, 3), np.uint8)
    tall[:, :16] = 255
    path = saved(tmp_path / f"a{suffix}", tall, exif=exif)
    assert open_image(path).shape == (16, 32, 3)
    upright = photograph(path)
    assert upright.shape == (32, 16, 3)
    assert upright.values[2, 8].min() > 0.9
    picture = open_picture(path, "srgb")
    assert (picture.height, picture.width) == (32, 16)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".webp"])
def test_srgb_profiles_keep_the_codes(tmp_path, suffix):
    image = photograph(saved(tmp_path / f"a{suffix}", icc_profile=SRGB))
    assert image.attrs["encoding"] == "srgb"
    assert image.attrs["bits"] == 8
    assert "embedded" in image.attrs["profile"]


def test_wide_gamut_colours_are_kept(tmp_path):
    codes = np.array([[[0, 255, 0], [255, 255, 255], [10, 20, 30]]], np.uint8)
    path = saved(tmp_path / "a.png", codes, icc_profile=LINEAR_P3)
    image = photograph(path)
    assert image.attrs["space"] == "display-p3"
    assert image.attrs["encoding"] == "linear"
    np.testing.assert_allclose(image.values, codes / 255, atol=1e-6)
    clean = to_track_values(image, "srgb")
    green, white = clean.values[0, 0], clean.values[0, 1]
    as_srgb = to_track_values(photograph(path, profile="ignore"), "srgb").values
    np.testing.assert_allclose(white, as_srgb[0, 1], rtol=2e-3)  # white is white
    assert green[1] > as_srgb[0, 0][1] * 0.9
    assert green[0] < as_srgb[0, 0][0]  # a green that sRGB has not


@pytest.mark.parametrize("name", ["display-p3", "adobe-rgb", "prophoto", "rec2020"])
def test_a_colour_is_the_same_in_every_space(tmp_path, name):
    """Tristimulus values are what the profile says they are, to the rounding of 16-bit codes."""
    srgb = np.array([0.2, 0.5, 0.7])
    space = rgb_space(name)
    values = np.linalg.solve(space.to_xyz_d65, rgb_space("srgb").to_xyz_d65 @ srgb)
    profile = profiles.write_profile(name, space.to_xyz_d50, 2.0)
    codes = np.rint(np.sqrt(values) * 65535).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", np.tile(codes, (2, 2, 1)), photometric="rgb", iccprofile=profile
    )
    image = photograph(tmp_path / "a.tif")
    assert image.attrs["space"] == name
    xyz = rgb_space(name).to_xyz_d65 @ image.values[0, 0]
    np.testing.assert_allclose(xyz, rgb_space("srgb").to_xyz_d65 @ srgb, rtol=1e-3)


def test_agrees_with_littlecms(tmp_path):
    profile = ImageCms.ImageCmsProfile(io.BytesIO(ADOBE))
    srgb = ImageCms.createProfile("sRGB")
    soft = (RGB // 4 + 90).astype(np.uint8)  # within sRGB
    theirs = np.asarray(
        ImageCms.profileToProfile(
            Image.fromarray(soft), profile, srgb, ImageCms.Intent.RELATIVE_COLORIMETRIC
        )
    )
    image = photograph(saved(tmp_path / "a.png", soft, icc_profile=ADOBE))
    to_srgb = np.linalg.solve(rgb_space("srgb").to_xyz_d65, rgb_space("adobe-rgb").to_xyz_d65)
    ours = image.values @ to_srgb.T
    np.testing.assert_allclose(ours, decode_srgb(theirs / 255), atol=0.01)


def test_unknown_primaries_go_into_a_space_that_holds_them(tmp_path):
    camera = rgb_space("prophoto").to_xyz_d50 @ np.array(
        [[0.9, 0.1, 0], [0.05, 0.9, 0.05], [0, 0.1, 0.9]]
    )
    profile = profiles.write_profile("a camera's own", camera, 1.0)
    image = photograph(saved(tmp_path / "a.png", icc_profile=profile))
    assert image.attrs["space"] == "prophoto"
    back = np.linalg.solve(camera, rgb_space("prophoto").to_xyz_d50 @ image.values[2, 3])
    np.testing.assert_allclose(back, RGB[2, 3] / 255, atol=2e-3)


def test_a_grey_profile(tmp_path):
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(1.8 * 256))
    grey = _one_curve_profile(curve)
    path = saved(tmp_path / "a.png", RGB[..., 0], icc_profile=grey)
    with pytest.raises(DataError, match="--grey repeat"):
        photograph(path)
    image = photograph(path, grey="repeat")
    assert image.attrs["space"] == "srgb"
    np.testing.assert_allclose(image.values[..., 2], (RGB[..., 0] / 255) ** 1.8, atol=5e-4)


def _one_curve_profile(curve):
    parts = {b"kTRC": curve, b"wtpt": profiles._xyz(profiles.D50)}
    table, body, start = b"", b"", 132 + 24
    for key, part in parts.items():
        table += key + struct.pack(">II", start + len(body), len(part))
        body += part + bytes(-len(part) % 4)
    header = bytearray(profiles.write_profile("x", rgb_space("srgb").to_xyz_d50, 1.0)[:128])
    header[:4] = struct.pack(">I", start + len(body))
    header[16:20] = b"GRAY"
    return bytes(header) + struct.pack(">I", 2) + table + body


def test_cmyk_needs_a_profile(tmp_path):
    path = saved(tmp_path / "a.jpg", np.zeros((8, 8, 4), np.uint8), "CMYK")
    with pytest.raises(DataError, match="ink has no colour without a profile"):
        photograph(path)
    with pytest.raises(DataError, match="ink has no colour without a profile"):
        photograph(path, profile="ignore")


def test_linear_values_are_left_alone(tmp_path):
    path = saved(tmp_path / "a.png", icc_profile=ADOBE)
    image = open_image(path)
    np.testing.assert_array_equal(np.rint(image.values * 255), RGB)
    assert image.attrs["profile"].startswith("not applied")


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (ADOBE[:200], "damaged"),
        (b"no profile at all" * 20, "damaged"),
        (ADOBE.replace(b"mntr", b"link"), "class|damaged"),
        (ADOBE.replace(b"RGB XYZ ", b"CMYKXYZ "), "for CMYK and the picture is RGB|damaged"),
    ],
    ids=["short", "text", "link", "cmyk"],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_bad_profiles_are_refused_and_can_be_passed_over(tmp_path, profile, message, suffix):
    path = saved(tmp_path / f"a{suffix}", icc_profile=profile)
    with pytest.raises(FormatError, match=message) as caught:
        photograph(path)
    assert "--profile ignore" in str(caught.value)
    assert str(path) in str(caught.value)
    assert photograph(path, profile="ignore").attrs["profile"].startswith("ignored")


def test_a_profile_that_unpacks_without_end(tmp_path):
    def part(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    plain = saved(tmp_path / "a.png").read_bytes()
    bomb = part(b"iCCP", b"bomb\0\0" + zlib.compress(bytes(2**25), 9))
    (tmp_path / "a.png").write_bytes(plain[:33] + bomb + plain[33:])
    with pytest.raises(FormatError, match="made to exhaust memory"):
        photograph(tmp_path / "a.png")


def test_a_profile_file(tmp_path):
    (tmp_path / "p3.icc").write_bytes(LINEAR_P3)
    image = photograph(saved(tmp_path / "a.png"), profile=str(tmp_path / "p3.icc"))
    assert image.attrs["space"] == "display-p3"
    assert image.attrs["profile"] == "P3, gamma 1, of p3.icc"
    with pytest.raises(FormatError, match=r"there is no file .*none"):
        photograph(tmp_path / "a.png", profile=str(tmp_path / "none.icc"))


def test_adobe_rgb_by_exif(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0xA001: 0xFFFF, 0xA005: {1: "R03"}})
    exif[271], exif[272] = "NIKON ", "NIKON D810\0"
    image = photograph(saved(tmp_path / "a.jpg", exif=exif), tone="none")
    assert image.attrs["camera_make"] == "NIKON"
    assert image.attrs["camera_model"] == "NIKON D810"
    assert image.attrs["space"] == "adobe-rgb"


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_opacity(tmp_path, suffix):
    opacity = np.full((8, 6, 1), 255, np.uint8)
    opacity[:4] = 51
    path = saved(tmp_path / f"a{suffix}", np.concatenate([RGB, opacity], 2), lossless=True)
    with pytest.raises(DataError, match="--alpha"):
        photograph(path)
    below = RGB[:4] / 255
    for wish, expected in (("white", 0.8 + 0.2 * below), ("black", 0.2 * below), ("drop", below)):
        image = photograph(path, alpha=wish)
        np.testing.assert_allclose(image.values[:4], expected, atol=0.5 / 255 + 1e-6)
        np.testing.assert_array_equal(np.rint(image.values[4:] * 255), RGB[4:])
    with pytest.raises(ConfigError, match="alpha"):
        photograph(path, alpha="pink")


def test_palettes(tmp_path):
    flat = Image.fromarray(RGB // 128 * 255).quantize(8)
    flat.save(tmp_path / "a.png")
    expected = np.asarray(flat.convert("RGB"))
    np.testing.assert_array_equal(np.rint(photograph(tmp_path / "a.png").values * 255), expected)
    flat.save(tmp_path / "a.tif")
    np.testing.assert_allclose(
        photograph(tmp_path / "a.tif").values, expected / 255, atol=1.5 / 255
    )


def test_the_picture_beside_its_preview(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(RGB[::2, ::2], photometric="rgb", subfiletype=1, metadata=None)
        tiff.write(RGB, photometric="rgb", metadata=None)
    np.testing.assert_array_equal(np.rint(photograph(tmp_path / "a.tif").values * 255), RGB)
    picture = open_picture(tmp_path / "a.tif", "clean")
    np.testing.assert_array_equal(np.rint(picture.read(slice(0, 8), slice(0, 6)) * 255), RGB)


@pytest.mark.parametrize("door", [open_image, lambda path: open_picture(path, "srgb")])
def test_two_pictures_are_refused_through_every_door(tmp_path, door):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tiff:
        tiff.write(RGB, photometric="rgb", metadata=None)
        tiff.write(RGB[:4], photometric="rgb", metadata=None)
    with pytest.raises(FormatError, match="2 pages"):
        door(tmp_path / "a.tif")


@pytest.mark.parametrize("profile", [None, LINEAR_P3, ADOBE])
@pytest.mark.parametrize("deep", [False, True])
def test_rows_give_what_the_whole_gives(tmp_path, profile, deep):
    array = np.random.default_rng(0).integers(0, 256, (40, 30, 4)).astype(np.uint8)
    codes = array.astype(np.uint16) * 257 if deep else array
    path = tmp_path / "a.tif"
    options = {"iccprofile": profile} if profile else {}
    tifffile.imwrite(
        path, codes, photometric="rgb", extrasamples=[2], rowsperstrip=7, compression="zlib",
        **options,
    )  # fmt: skip
    whole = to_track_values(photograph(path, alpha="white"), "srgb").values
    picture = open_picture(path, "srgb", alpha="white")
    assert picture.by_rows
    part = picture.read(slice(11, 29), slice(3, 20))
    np.testing.assert_array_equal(part, whole[11:29, 3:20])


def test_webp_is_judged_before_it_is_opened(tmp_path):
    packed = (16383) | (16383 << 14)
    body = b"WEBPVP8L" + struct.pack("<I", 6) + b"\x2f" + struct.pack("<I", packed) + b"\0"
    (tmp_path / "a.webp").write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    with pytest.raises(FormatError, match="would grow"):
        photograph(tmp_path / "a.webp")


def test_png_bomb(tmp_path):
    width = height = 15000

    def part(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"\0" * 999))
    (tmp_path / "a.png").write_bytes(data + part(b"IEND", b""))
    with pytest.raises(FormatError, match="would grow"):
        open_image(tmp_path / "a.png")


def test_tiff_of_countless_tiles(tmp_path):
    across = 400  # tiles, all of which lie at one place
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((16, 16 * 600, 3), np.uint8),
        photometric="rgb",
        tile=(16, 16),
        compression="zlib",
    )
    data = (tmp_path / "a.tif").read_bytes()
    rows = data.index(struct.pack("<HHI", 257, 4, 1))
    data = data[: rows + 8] + struct.pack("<I", 16 * across) + data[rows + 12 :]
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(FormatError):
        open_image(tmp_path / "a.tif")


def test_several_frames_are_no_picture(tmp_path):
    frames = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(FormatError, match="2 pictures"):
        photograph(tmp_path / "a.webp")


def test_nan_is_refused(tmp_path):
    values = np.full((4, 5, 3), 0.5, np.float32)
    values[1, 1, 1] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb")
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(DataError, match="nan"):
        open_image(tmp_path / "a.tif")
    for name in ("a.tif", "a.npy"):
        with pytest.raises(DataError, match="nan"):
            open_picture(tmp_path / name, "clean").read(slice(0, 4), slice(0, 5))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "grbg", "gbrg"])
def test_a_mosaic_in_a_png(tmp_path, pattern):
    colour = np.array([0.3, 0.6, 0.15])
    channel = np.array(["rgb".index(letter) for letter in pattern]).reshape(2, 2)
    codes = np.rint(512 + np.tile(colour[channel], (8, 10)) * (4095 - 512)).astype(np.uint16)
    Image.fromarray(codes).save(tmp_path / "a.png")
    levels = {"black_level": 512, "white_level": 4095}
    for way in ("edge-aware", "bilinear", "half"):
        image = open_image(tmp_path / "a.png", mosaic=pattern, demosaic=way, **levels)
        assert image.shape == ((8, 10, 3) if way == "half" else (16, 20, 3))
        np.testing.assert_allclose(image.values, np.broadcast_to(colour, image.shape), atol=3e-4)
        assert image.attrs["mosaic"] == pattern
        assert image.attrs["encoding"] == "linear"
    picture = open_picture(tmp_path / "a.png", "camera", mosaic=pattern, **levels,
                           convert=lambda image: image)  # fmt: skip
    np.testing.assert_allclose(picture.read(slice(2, 6), slice(0, 20))[..., 1], 0.6, atol=3e-4)


def test_what_is_no_mosaic(tmp_path):
    path = saved(tmp_path / "a.png")
    with pytest.raises(DataError, match="a mosaic is a grey picture"):
        open_image(path, mosaic="rggb")
    with pytest.raises(ConfigError, match="mosaic"):
        open_image(path, mosaic="rgbw")
    with pytest.raises(ConfigError, match="--mosaic"):
        open_image(path, black_level=64)
    grey = saved(tmp_path / "g.png", RGB[..., 0])
    with pytest.raises(ConfigError, match="below the white level"):
        open_image(grey, mosaic="rggb", black_level=300)


def with_part(path, name, content):
    """A PNG with one more part before its pixels."""
    data = saved(path).read_bytes()
    part = struct.pack(">I", len(content)) + name + content
    part += struct.pack(">I", zlib.crc32(name + content))
    at = data.index(b"IDAT") - 4
    path.write_bytes(data[:at] + part + data[at:])
    return path


@pytest.mark.parametrize(
    ("coded", "space"),
    [((1, 13, 0, 1), None), ((12, 13, 0, 1), "display-p3"), ((9, 1, 0, 1), "rec2020")],
)
def test_colour_that_a_png_states_by_numbers(tmp_path, coded, space):
    image = photograph(with_part(tmp_path / "a.png", b"cICP", bytes(coded)))
    assert image.attrs.get("space") == space


@pytest.mark.parametrize("curve", [8, 16, 18])
def test_high_dynamic_range_is_refused_in_png_and_avif(tmp_path, curve):
    with pytest.raises(FormatError, match=f"the PNG is of high dynamic.*curve {curve}"):
        photograph(with_part(tmp_path / "a.png", b"cICP", bytes((9, curve, 0, 1))))
    data = bytearray(saved(tmp_path / "a.avif").read_bytes())
    at = data.index(b"colrnclx") + 8
    data[at : at + 4] = struct.pack(">HH", 9, curve)
    (tmp_path / "a.avif").write_bytes(data)
    with pytest.raises(FormatError, match="the AVIF is of high dynamic range"):
        photograph(tmp_path / "a.avif")


def test_a_gamma_that_is_not_applied_is_said(tmp_path):
    path = with_part(tmp_path / "a.png", b"gAMA", struct.pack(">I", 100_000))
    with pytest.warns(RespectraWarning, match="states the gamma 1, which is not applied"):
        photograph(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        photograph(with_part(tmp_path / "b.png", b"gAMA", struct.pack(">I", 45_455)))
        open_image(path, encoding="linear")
