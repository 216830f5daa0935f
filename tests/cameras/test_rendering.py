import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from respectra.cameras import open_image, open_picture
from respectra.cameras.correction import FLOOR, NODES
from respectra.cameras.pictures import profiles
from respectra.cameras.pictures.tone import Rendering
from respectra.colour import decode_srgb, encode_srgb, rgb_space
from respectra.errors import ConfigError

RNG = np.random.default_rng(5)
#: Reflectances of greys and colours, linear sRGB.
SCENE = np.exp(RNG.uniform(np.log(0.03), np.log(0.9), (64, 1))) * RNG.uniform(0.5, 1, (64, 3))
UNDO = Rendering().undo


def developed(light, power=1.35, black=0.0):
    """As a camera may develop it, linear: a shoulder, blacks that are deep, more colour."""
    halfway = 0.5**power
    shown = (1 + halfway) * light**power / (light**power + halfway)
    shown = (shown - black) / (1 - black)
    grey = shown.mean(axis=1, keepdims=True)
    return np.clip(grey + 1.15 * (shown - grey), 0, 1)


def in_rec2020(values):
    matrix = np.linalg.solve(rgb_space("rec2020").to_xyz_d65, rgb_space("srgb").to_xyz_d65)
    return values @ matrix.T


@pytest.mark.parametrize(("power", "black"), [(1.35, 0.0), (1.2, 0.01), (1.5, 0.0)])
def test_it_is_nearer_to_the_light_than_the_picture(power, black):
    shown = developed(SCENE, power, black)
    truth = in_rec2020(SCENE)

    def off(found):
        ratio = np.log(found + 0.01) - np.log(truth + 0.01)
        return np.abs(ratio - np.median(ratio)).mean()

    assert off(UNDO(shown, "srgb")) < 0.9 * off(in_rec2020(shown))


def test_more_light_is_more_light_and_grey_stays_near_grey():
    grey = np.repeat(np.linspace(0, 1, 101)[:, None], 3, axis=1)
    undone = UNDO(grey, "srgb")
    assert (np.diff(undone.mean(axis=1)) > 0).all()
    assert undone.min() > 0
    assert 0.85 < undone.max() <= 1
    assert np.abs(undone / undone.mean(axis=1, keepdims=True) - 1).max() < 0.15


def test_between_the_nodes_of_the_table_it_is_what_the_network_gives():
    """At the nodes exactly, and in the middle of cells nearly."""
    from respectra.cameras.pictures.tone import SHIPPED, _table

    table = _table(SHIPPED)
    axis = np.exp(np.linspace(np.log(FLOOR), np.log1p(FLOOR), NODES)) - FLOOR
    nodes = RNG.integers(1, NODES - 1, (40, 3))
    light = UNDO(axis[nodes], "rec2020")
    table = table.reshape(3, NODES, NODES, NODES)[:, *nodes.T].T
    wanted = np.minimum((axis[nodes] + FLOOR) * np.exp(table), 1)
    np.testing.assert_allclose(light, wanted, rtol=1e-3)


def test_a_pixel_alone_has_the_same_answer():
    shown = developed(SCENE).astype(np.float32)
    np.testing.assert_array_equal(UNDO(shown, "srgb")[7:8], UNDO(shown[7:8], "srgb"))


def test_spaces_differ_and_unknown_ones_are_refused():
    shown = developed(SCENE)
    assert np.abs(UNDO(shown, "srgb") - UNDO(shown, "display-p3")).max() > 0.01
    with pytest.raises(ConfigError, match="space"):
        UNDO(shown, "rgb-of-mine")


def photograph(path, profile=None):
    codes = np.rint(encode_srgb(developed(SCENE)) * 255).astype(np.uint8).reshape(8, 8, 3)
    Image.fromarray(codes).save(path, icc_profile=profile)
    return codes


def test_whole_and_by_rows_are_the_same(tmp_path):
    codes = photograph(tmp_path / "a.png")
    whole = open_image(tmp_path / "a.png", encoding="srgb", tone="generic")
    picture = open_picture(tmp_path / "a.png", "srgb", convert=lambda image: image, tone="generic")
    np.testing.assert_array_equal(picture.read(slice(3, 7), slice(0, 8)), whole.values[3:7])
    assert picture.attrs["space"] == whole.attrs["space"] == "rec2020"
    np.testing.assert_allclose(whole.values, UNDO(decode_srgb(codes / 255), "srgb"), rtol=1e-4)


def test_the_profile_comes_first(tmp_path):
    """A picture in Display P3 is read as such; the same codes in sRGB are other colours."""
    data = profiles.write_profile("P3, gamma 2.2", rgb_space("display-p3").to_xyz_d50, 2.2)
    assert ImageCms.ImageCmsProfile(io.BytesIO(data))
    codes = photograph(tmp_path / "wide.png", data)
    wide = open_image(tmp_path / "wide.png", encoding="srgb", tone="generic")
    light = (codes / 255.0) ** 2.2
    np.testing.assert_allclose(wide.values, UNDO(light, "display-p3"), rtol=0.01, atol=1e-3)


def test_grey_pictures_too(tmp_path):
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(tmp_path / "g.png")
    image = open_image(tmp_path / "g.png", encoding="srgb", tone="generic", grey="repeat")
    assert image.shape == (16, 16, 3)
    assert (np.diff(image.values.mean(axis=2).ravel()) > 0).all()
