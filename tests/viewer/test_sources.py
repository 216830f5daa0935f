"""Pictures recovered rectangle by rectangle against pictures recovered at once."""

import numpy as np
import pytest

import respectra as rs
from respectra.cameras import input_encoding, make_image, to_track_values
from respectra.progress import unseen
from respectra.viewer.scene import StoredScene
from respectra.viewer.scene_writer import write_scene
from respectra.viewer.sources import CodeSource, PixelSource, WholeSource, picture_source


def picture(rng, kind, bits=8, height=40, width=56):
    top = 2**bits - 1
    codes = rng.integers(0, int(0.7 * top), (height // 4, width // 4, 3))
    values = np.kron(codes, np.ones((4, 4, 1))).astype(np.float32) / np.float32(top)
    track = "unknown" if kind == "srgb" else kind
    return make_image(values, encoding=input_encoding(kind), bits=bits, track=track)


@pytest.mark.parametrize("name", ["default-classical", "respectra"])
@pytest.mark.parametrize("guarantees", [(), ("consistent",), ("exposure-invariant", "smooth")])
@pytest.mark.parametrize(("kind", "bits"), [("srgb", 8), ("clean", 8), ("clean", 16)])
def test_pixels_have_the_spectra_of_the_whole_picture(rng, tmp_path, name, kind, bits, guarantees):
    image, method = picture(rng, kind, bits), rs.load(name, guarantees=guarantees)
    source = picture_source(image, kind, method, tmp_path)
    assert isinstance(source, CodeSource if bits == 8 else PixelSource)
    expected = method(to_track_values(image, kind)).values
    near = {"atol": 2e-5, "rtol": 2e-5}
    block = source.block(slice(8, 12), slice(3, 40))
    np.testing.assert_allclose(block.spectra, expected[8:12, 3:40].reshape(-1, 31), **near)
    if bits == 8:
        again = source.block_of(source.colours(slice(8, 12), slice(3, 40)).ravel())
        np.testing.assert_allclose(again.spectra, block.spectra, **near)
        for plane, values in again.pictures.items():
            np.testing.assert_array_equal(values, block.pictures[plane])


@pytest.mark.parametrize("guarantees", [(), ("consistent", "exposure-invariant")])
def test_methods_that_look_around_are_asked_about_the_whole_picture(rng, tmp_path, guarantees):
    image, method = picture(rng, "real-world"), rs.load(track="real-world", guarantees=guarantees)
    source = picture_source(image, "real-world", method, tmp_path)
    assert isinstance(source, WholeSource)
    block = source.block(slice(16, 40), slice(0, 20))
    expected = method(image).values[16:, :20].reshape(-1, 31)
    np.testing.assert_allclose(block.spectra, expected, atol=1e-5)


def test_what_a_method_says_of_its_own_errors_is_kept_for_each_pixel(rng, tmp_path):
    image, method = picture(rng, "clean"), rs.load("respectra")
    source = picture_source(image, "clean", method, tmp_path)
    write_scene(source, tmp_path, unseen)
    cube, deviation = method.with_uncertainty(image)
    scene = StoredScene(tmp_path)
    np.testing.assert_allclose(
        scene.spectra(slice(None), slice(None)), cube.values, atol=1e-3 * cube.values.max()
    )
    plane = scene.plane("deviation").read(0, slice(None), slice(None)).astype(np.float64)
    basis = np.array(scene.manifest.deviation_basis)
    shown = np.einsum("kyx,kb->yxb", plane[: len(basis)], basis)
    np.testing.assert_allclose(shown, deviation.values, atol=0.05 * deviation.values.max())
