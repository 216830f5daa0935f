"""Respectra's network is told how a picture was taken, and keeps its promises whatever it is."""

import pytest
import torch

import respectra as rs
from respectra.errors import ConfigError
from respectra.methods import Contract, get_network, load_weights, save_weights
from respectra.methods.settings import for_track, tell
from respectra.methods.weights_files import fresh_weights

SMALL = {"preset": "any-camera", "width": 20, "layers": 1, "scene": 6, "windows": (3, 5)}


@pytest.fixture
def net():
    torch.manual_seed(4)
    network = rs.build_network("respectra", **SMALL).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


@pytest.fixture
def camera():
    return torch.rand(31, 3, generator=torch.Generator().manual_seed(5)) / 15


@pytest.fixture
def x():
    return 0.05 + 0.6 * torch.rand(2, 3, 12, 10, generator=torch.Generator().manual_seed(1))


def seen(net, x):
    with torch.inference_mode():
        return torch.einsum("nbyx,bc->ncyx", net(x), net.camera)


@pytest.mark.parametrize("light", ["told", "white", "unknown"])
def test_the_told_response_sees_what_was_seen(net, x, camera, light):
    net.set_capture(camera, light=light, camera_known=light != "white")
    torch.testing.assert_close(seen(net, x), x, rtol=1e-3, atol=1e-4)


def test_codes_of_the_told_response_are_kept(net, camera):
    codes = torch.randint(0, 256, (1, 3, 16, 16), generator=torch.Generator().manual_seed(7))
    net.set_capture(camera, step=1 / 255, light="told")
    assert torch.equal(torch.floor(seen(net, codes / 255) * 255), codes.float())


def test_what_is_said_changes_the_answer(net, x, camera):
    answers = []
    for said in ({}, {"light": "told"}, {"light": "white"}, {"camera_known": False}):
        net.set_capture(camera, **said)
        with torch.inference_mode():
            answers.append(net(x))
    for other in answers[1:]:
        assert not torch.allclose(answers[0], other, rtol=1e-3)


def test_mixing_the_channels_changes_nothing_but_rounding(net, x, camera):
    """All that a response with exact values tells is the space that its channels span."""
    mix = torch.tensor([[1.0, 0.2, 0.0], [0.1, 0.9, 0.3], [0.0, 0.1, 1.2]])
    net.set_capture(camera, light="told")
    with torch.inference_mode():
        plain = net(x)
        net.set_capture(camera @ mix, light="told")
        mixed = net(torch.einsum("ncyx,cd->ndyx", x, mix))
    torch.testing.assert_close(mixed, plain, rtol=2e-3, atol=2e-4)


@pytest.mark.parametrize("told", ["noise", "exposed_noise"])
def test_noise_scales_with_the_light(net, x, told):
    answers = []
    for k in (1.0, 2.0):
        # Dark noise and what one electron gives grow with the light; where both are in units of
        # the picture's own mean, they do so untold.
        grown = k if told == "noise" else 1.0
        net.set_capture(step=0.004 * k, **{told: (0.02 * grown, 0.001 * grown)})
        with torch.inference_mode():
            answers.append(net(k * x) / k)
    torch.testing.assert_close(*answers, rtol=1e-3, atol=1e-4)


def test_surroundings_count_once_noise_is_told(net):
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(3))
    shuffled = image.flatten(2).flip(-1).roll(7, -1)
    for noise, alike in (((0.0, 0.0), True), ((0.05, 0.0), False)):
        net.set_capture(noise=noise)
        with torch.inference_mode():
            plain = net(image).flatten(2).flip(-1).roll(7, -1)
            other = net(shuffled.view_as(image)).flatten(2)
        assert torch.allclose(plain, other, rtol=1e-3, atol=1e-4) is alike


def test_told_noise_smooths(net):
    torch.manual_seed(0)
    flat = 0.3 + 0.02 * torch.randn(1, 3, 24, 24)
    net.set_capture(noise=(0.02, 0.0))
    with torch.inference_mode():
        assert net.middle(flat).std() < 0.8 * flat.std()


def test_no_more_is_taken_off_than_noise_may_be(net, x):
    net.set_capture(noise=(0.01, 0.0))
    with torch.inference_mode():
        assert (net.middle(x) - x).abs().max() <= 0.0125 + 1e-6


def test_weights_of_the_first_version_know_cameras_and_steps_alone(camera):
    first = rs.build_network("respectra", preset="tiny").eval()
    first.set_capture(camera, step=1 / 255)
    torch.testing.assert_close(first.camera, camera)
    for said in ({"light": "told"}, {"camera_known": False}, {"noise": (0.1, 0.0)}):
        with pytest.raises(ConfigError, match="first version"):
            first.set_capture(camera, **said)
    without = rs.build_network("respectra", **{**SMALL, "windows": (), "denoiser": 0})
    with pytest.raises(ConfigError, match="without their denoiser"):
        without.set_capture(noise=(0.1, 0.0))
    with pytest.raises(ConfigError, match="denoiser needs windows"):
        rs.build_network("respectra", **{**SMALL, "windows": ()})


def test_a_setting_travels_with_the_weights(tmp_path, x):
    torch.manual_seed(2)
    weights = fresh_weights("respectra", **SMALL)
    halo = get_network("respectra").halo
    assert halo(weights.config) == 0
    noisy = for_track(weights, "real-world")
    assert halo(noisy.config) == 2
    assert noisy.contract.track == "real-world"
    assert noisy.contract.response.name == "ntire2020-example-d40"
    save_weights(noisy, tmp_path / "w.safetensors")
    again = rs.load(tmp_path / "w.safetensors").backend.network
    assert again.denoises
    told = rs.build_network("respectra", **SMALL).eval()
    told.load_state_dict({k: torch.tensor(t) for k, t in weights.tensors.items()})
    told.set_capture(again.camera, noise=(0.006, 0.0), exposed_noise=(0.02, 0.0002))
    with torch.inference_mode():
        torch.testing.assert_close(again(x), told(x), rtol=1e-4, atol=1e-5)
    clean = tell(load_weights(tmp_path / "w.safetensors"), light="told")
    assert halo(clean.config) == 0


def test_settings_refuse_what_cannot_be_told():
    with pytest.raises(ConfigError, match="'clean'"):
        for_track(fresh_weights("respectra", **SMALL), "cleen")
    other = fresh_weights("hscnn-plus", preset="tiny", contract=Contract())
    with pytest.raises(ConfigError, match="cannot be told"):
        tell(other, light="told")


@torch.inference_mode()
def test_cells_and_contrast_add_to_the_uncertainty_as_variances_do(net):
    image = torch.full((1, 3, 12, 24), 0.2)
    image[..., 12:] = 0.5
    net.set_capture(step=0.01, noise=(0.002, 0.0))
    learned = net.uncertainty(image)
    net.cell_share.fill_(0.5)
    with_cells = net.uncertainty(image)
    torch.testing.assert_close(with_cells, torch.sqrt(learned**2 + 0.005**2))
    net.contrast_share.fill_(1.0)
    added = (net.uncertainty(image) ** 2 - with_cells**2)[0, :, 6]
    assert added[:, 9:15].min() > 1e-4  # half a window from the edge
    torch.testing.assert_close(added[:, :8], torch.zeros(31, 8), atol=1e-6, rtol=0)


@torch.inference_mode()
def test_a_share_of_the_answer_adds_to_the_uncertainty_where_no_noise_is_told(net, x):
    net.set_capture(step=0.01)
    learned, answer = net.uncertainty(x), net(x).clamp_min(0.0)
    net.answer_share.fill_(0.1)
    torch.testing.assert_close(net.uncertainty(x), torch.hypot(learned, 0.1 * answer))
    net.set_capture(noise=(0.01, 0.0))
    noisy = net.uncertainty(x)
    net.answer_share.fill_(0.0)
    torch.testing.assert_close(net.uncertainty(x), noisy)


def test_files_without_shares_add_nothing(net):
    net.cell_share.fill_(0.5)
    net.answer_share.fill_(0.5)
    state = {k: v for k, v in net.state_dict().items() if not k.endswith("_share")}
    net.load_state_dict(state)
    assert float(net.cell_share) == float(net.answer_share) == float(net.contrast_share) == 0.0
