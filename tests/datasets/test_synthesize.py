"""Synthetic scenes: seeded, plausible, and consistent with the truth they come with."""

import numpy as np
import pytest

from respectra.cameras import get_track
from respectra.datasets.palette import lights, materials
from respectra.datasets.series import save_scenes
from respectra.datasets.synthesize import SynthesisOptions, synthesize_layers, synthesize_scene
from respectra.errors import ConfigError, DataError, OutputError

SMALL = {"height": 48, "width": 64}


def test_a_scene_is_settled_by_seed_and_index():
    options = SynthesisOptions(**SMALL)
    first = synthesize_scene(3, 5, options)
    np.testing.assert_array_equal(first, synthesize_scene(3, 5, options))
    assert not np.array_equal(first, synthesize_scene(3, 6, options))
    assert not np.array_equal(first, synthesize_scene(4, 5, options))


@pytest.mark.parametrize("index", range(4))
def test_radiance_is_positive_exposed_and_renders(index):
    cube = synthesize_scene(1, index, SynthesisOptions(**SMALL))
    assert cube.shape == (48, 64, 31)
    assert cube.dtype == np.float32
    assert float(cube.min()) > 0
    assert 0.2 < float(cube.max()) <= 1
    image = get_track("clean").render(cube)
    assert float(image.std()) > 0.01


@pytest.mark.parametrize(("height", "width"), [(16, 16), (17, 61), (48, 50)])
def test_any_size(height, width):
    cube = synthesize_scene(1, 0, SynthesisOptions(height=height, width=width))
    assert cube.shape == (height, width, 31)


def test_layers_compose_to_the_radiance_before_the_lens():
    options = SynthesisOptions(**SMALL, lens_blur_px=(1e-3, 1e-3), exposure=(0.3, 0.3))
    layers = synthesize_layers(2, 0, options)
    composed = layers.reflectance * layers.illumination + layers.highlights
    glare = (layers.radiance - composed).where(layers.radiance < 1)
    # What is left is the same small spectrum everywhere.
    spread = float((glare.max(["y", "x"]) - glare.min(["y", "x"])).max())
    assert spread < 1e-6
    assert 0 < float(glare.mean()) < 0.01
    assert layers.reflectance.attrs["quantity"] == "reflectance"
    assert float(layers.reflectance.min()) > 0
    assert float(layers.reflectance.max()) <= 1
    np.testing.assert_allclose(layers.illuminants.mean("wavelength"), 1)


def test_lights_can_be_named():
    layers = synthesize_layers(1, 0, SynthesisOptions(**SMALL, illuminants=("D65", "A")))
    assert set(layers.illuminants["illuminant"].values.tolist()) <= {"D65", "A"}
    with pytest.raises(ConfigError, match="unknown illuminant 'D66'"):
        synthesize_scene(1, 0, SynthesisOptions(**SMALL, illuminants=("D66",)))


def test_shadows_highlights_and_bounces_are_options():
    lit = synthesize_layers(1, 1, SynthesisOptions(**SMALL))
    plain = synthesize_layers(1, 1, SynthesisOptions(**SMALL, highlights=False, shadows=False))
    assert float(lit.highlights.max()) > 0
    assert float(plain.highlights.max()) == 0


def test_scenes_on_another_grid():
    grid = tuple(np.arange(420.0, 681.0, 20.0))
    assert synthesize_scene(1, 0, SynthesisOptions(**SMALL, wavelengths_nm=grid)).shape[2] == 14


def test_photographs_lend_their_structure(tmp_path, rng):
    import cv2

    photo = np.full((90, 120, 3), 40, np.uint8)
    photo[:, 60:] = (30, 60, 220)
    cv2.imwrite(str(tmp_path / "a.png"), photo)
    options = SynthesisOptions(**SMALL, photos=tmp_path, shadows=False, highlights=False)
    cube = synthesize_scene(1, 0, options)
    edge = np.abs(np.diff(cube.mean("wavelength"), axis=1)).mean(axis=0)
    assert edge.max() > 5 * np.median(edge)
    with pytest.raises(DataError, match="there is no folder"):
        synthesize_scene(1, 0, SynthesisOptions(**SMALL, photos=tmp_path / "none"))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "b.jpg").write_bytes(b"no photograph")
    with pytest.raises(DataError, match="not a photograph"):
        synthesize_scene(1, 0, SynthesisOptions(**SMALL, photos=tmp_path / "broken"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"exposure": (0.9, 0.2)}, "the lower one first"),
        ({"wavelengths_nm": (500.0, 400.0)}, "ascend"),
        ({"colour": 1}, "unknown option 'colour'"),
        ({"height": 2}, "height"),
    ],
)
def test_options_are_validated(values, message):
    with pytest.raises(ConfigError, match=message):
        SynthesisOptions(**values)


def test_negative_seed():
    with pytest.raises(ConfigError, match="not negative"):
        synthesize_scene(-1, 0)


def test_lights_without_power_in_a_band_are_left_out_unless_named():
    grid = SynthesisOptions().wavelengths_nm
    assert "LPS" not in lights((), grid).names
    assert lights(("LPS",), grid).names == ("LPS",)


def test_materials_are_reflectances(rng):
    drawn = materials(("pmc", "cqs"), SynthesisOptions().wavelengths_nm).draw(50, rng)
    assert drawn.shape == (50, 31)
    assert drawn.min() > 0
    assert drawn.max() < 1
    with pytest.raises(ConfigError, match="at least one collection"):
        materials((), SynthesisOptions().wavelengths_nm)


def test_scenes_that_vanish_are_not_counted(tmp_path):
    options = SynthesisOptions(height=16, width=16)
    folder = tmp_path / "scenes"

    def deleting(done, total, what):
        if done == 3:
            (folder / "synthetic_00001.npz").unlink()

    with pytest.raises(OutputError, match="holds 3 of 4 scenes"):
        save_scenes(folder, 4, seed=1, options=options, progress=deleting)

    def vanishing(done, total, what):
        if done == 1:
            folder.rename(tmp_path / "gone")

    with pytest.raises(OutputError, match="has vanished"):
        save_scenes(folder, 6, seed=1, options=options, progress=vanishing)
    assert not folder.exists()


def test_a_header_without_its_values_is_made_again(tmp_path):
    options = SynthesisOptions(height=16, width=16)
    files = save_scenes(tmp_path, 2, seed=1, options=options, suffix=".bip")
    whole = files[1].read_bytes()
    files[1].unlink()
    save_scenes(tmp_path, 2, seed=1, options=options, suffix=".bip")
    assert files[1].read_bytes() == whole
