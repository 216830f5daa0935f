"""A reconstructor honours its contract and its card."""

import numpy as np
import pytest
import torch

import respectra as rs
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.synthesize import SynthesisOptions, synthesize_scene
from respectra.errors import ConfigError, DataError, FormatError
from respectra.inference import Reconstructor
from respectra.methods import Contract, Weights, fresh_weights, save_weights


def network_weights(name, **contract):
    torch.manual_seed(1)
    return fresh_weights(name, preset="tiny", contract=Contract(**contract))


@pytest.fixture
def image(rng):
    return rs.make_image(rng.random((37, 50, 3)))


def test_a_classical_method_works_by_name(image):
    cube = rs.load("pseudo-inverse")(image)
    assert cube.shape == (37, 50, 31)
    assert cube.attrs["method"] == "pseudo-inverse"
    np.testing.assert_array_equal(cube["wavelength"], CHALLENGE_WAVELENGTHS_NM)


def test_a_weights_file_works_by_path(image, tmp_path):
    weights = network_weights("hscnn-r")
    save_weights(weights, tmp_path / "w.safetensors")
    expected = Reconstructor(weights)(image)
    np.testing.assert_array_equal(rs.load(tmp_path / "w.safetensors")(image), expected)


def test_the_network_sees_what_the_contract_says(image):
    """B, G, R and stretched to the image's own range, then clipped."""
    weights = network_weights("hscnn-r", channel_order="BGR", scaling="min-max", clip_low=0.0)
    network = rs.build_network("hscnn-r", preset="tiny").eval()
    network.load_state_dict({k: torch.from_numpy(v) for k, v in weights.tensors.items()})
    x = image.values
    x = ((x - x.min()) / (x.max() - x.min()))[..., ::-1].transpose(2, 0, 1)
    with torch.inference_mode():
        expected = network(torch.from_numpy(x.copy())[None])[0].clamp(min=0).permute(1, 2, 0)
    result = Reconstructor(weights)(image).values
    np.testing.assert_allclose(result, expected.numpy(), atol=3e-5, rtol=0)


@pytest.mark.parametrize("side", [8, 13, 32])
def test_tiles_do_not_change_the_answer(image, side):
    weights = network_weights("hscnn-r")
    whole = Reconstructor(weights, tile=None)(image)
    tiled = Reconstructor(weights, tile=side)(image)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * float(abs(whole).max()))


def test_native_tiles_are_padded_with_zeros_and_cropped():
    """LWRDANet is defined on 64 x 64 tiles: its answer in one does not depend on the others."""
    rng = np.random.default_rng(3)
    values = rng.random((70, 80, 3))
    rec = Reconstructor(network_weights("lwrdanet"))
    cube = rec(rs.make_image(values))
    alone = np.zeros((64, 64, 3))
    alone[:6, :16] = values[64:, 64:]
    corner = rec(rs.make_image(alone))
    np.testing.assert_allclose(cube.values[64:, 64:], corner.values[:6, :16], atol=1e-5)


def test_an_unknown_name_suggests_near_ones():
    with pytest.raises(ConfigError, match="did you mean 'root-polynomial'"):
        rs.load("root-polynomal")


def test_a_network_without_weights_says_where_to_get_them():
    with pytest.raises(ConfigError, match="import-weights awan"):
        rs.load("awan")


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    with pytest.raises(FormatError, match="there is no weights file"):
        rs.load(tmp_path / "none.safetensors")


def test_tensors_that_do_not_fit_are_refused():
    good = network_weights("hscnn-r")
    tensors = dict(good.tensors)
    tensors.pop(next(iter(tensors)))
    bad = Weights(good.method, good.config, good.contract, tensors)
    with pytest.raises(FormatError, match="do not fit hscnn-r"):
        Reconstructor(bad)


def test_something_else_than_an_image_is_refused():
    rec = Reconstructor(network_weights("hscnn-r"))
    with pytest.raises(DataError, match=r"label an array with respectra\.make_image"):
        rec(np.zeros((4, 4, 3)))


def test_a_tile_of_nothing_is_refused():
    with pytest.raises(ConfigError, match="at least 1 pixel"):
        Reconstructor(network_weights("hscnn-r"), tile=0)


def test_the_default_renders_to_the_codes_of_the_picture():
    track = rs.get_track("clean")
    picture = track.render(synthesize_scene(3, 0, SynthesisOptions(height=64, width=80)))
    recover = rs.load()
    assert np.array_equal(track.render(recover(picture)).values, picture.values)
    # Values of more bits are known better, and exact ones are met exactly.
    exact = picture.assign_attrs(bits=32)
    seen = track.project(recover(exact)).values
    np.testing.assert_allclose(seen, exact.values, atol=2e-5)


def test_a_network_says_how_sure_it_is():
    track = rs.get_track("clean")
    truth = synthesize_scene(4, 1, SynthesisOptions(height=64, width=64))
    picture = track.render(truth)
    cube, deviation = rs.load().with_uncertainty(picture)
    assert deviation.shape == cube.shape
    assert float(deviation.min()) > 0
    # Errors are of the size that was expected, and larger where larger ones were.
    error = np.abs((cube - truth).values)
    assert 0.3 < error.mean() / (deviation.values.mean() * np.sqrt(2 / np.pi)) < 3
    sure = deviation.values < np.median(deviation.values)
    assert error[sure].mean() < 0.6 * error[~sure].mean()
    tiled = rs.load(tile=24).with_uncertainty(picture)[1]
    np.testing.assert_allclose(tiled, deviation, rtol=1e-3, atol=1e-6)
    with pytest.raises(ConfigError, match="self-ensemble"):
        rs.load("default-classical").with_uncertainty(picture)


def test_coefficients_of_a_network_do_not_depend_on_tiles():
    picture = rs.get_track("clean").render(
        synthesize_scene(5, 0, SynthesisOptions(height=48, width=64))
    )
    whole, tiled = rs.load().low_rank(picture), rs.load(tile=24).low_rank(picture)
    np.testing.assert_allclose(tiled.coefficients, whole.coefficients, rtol=1e-3, atol=1e-5)
    cube = rs.load()(picture)
    np.testing.assert_allclose(whole.to_cube().values, cube.values, rtol=1e-3, atol=1e-5)


def test_it_says_what_it_is():
    rec = rs.load(guarantees=["consistent"])
    assert repr(rec).startswith("<Reconstructor respectra, ")
    of = "reflectance of photographs, radiance of images of the track clean"
    assert f"31 bands from 400 to 700 nm; {of}; guarantees: consistent>" in repr(rec)
    bound = rec.with_capture(rs.Capture(camera=rs.list_cameras()[-1], light="A"))
    assert f"a capture by {rs.list_cameras()[-1]}" in repr(bound)
    assert "&lt;Reconstructor" in rec._repr_html_()


def test_a_device_without_room_says_what_to_do(image, monkeypatch):
    rec = Reconstructor(network_weights("hscnn-r"))

    def full(batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(rec.backend, "_run", full)
    with pytest.raises(ConfigError, match=r"37 x 50 pixels by hscnn-r; take smaller tiles"):
        rec(image)


def test_a_single_guarantee_may_stand_alone(image):
    assert rs.load("wiener", guarantees="smooth").guarantees.names == {"smooth"}
