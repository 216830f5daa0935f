"""What is rewritten for speed computes the same function."""

import copy

import numpy as np
import pytest
import torch
from scipy.special import erf
from tests.inference.conftest import tiny_weights
from torch import nn
from torch.nn import functional as F

from respectra.inference.backends.network import NetworkBackend
from respectra.inference.engines import elementwise
from respectra.inference.engines.attention import attend
from respectra.inference.engines.fourier import FourierConv
from respectra.inference.engines.mst_cpu import SpectralCascade
from respectra.inference.engines.rewriting import (
    TOLERANCE,
    StripwiseRespectra,
    deviation,
    rewrite,
)
from respectra.inference.engines.winograd import WinogradConv, fits
from respectra.methods import build_network, get_card, list_methods

#: Networks that are rewritten, narrow but wide enough for it.
REWRITTEN = {
    "awan": {"width": 33, "blocks": 3},
    "fmnet": {"width": 16, "blocks": 1},
    "mst-plus-plus": {"stages": 1},
    "respectra": {"width": 2048, "windows": (3, 7)},  # strips of a few rows
}


def image(height, width, channels=3, n=1):
    return torch.rand(n, channels, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "options"), REWRITTEN.items(), ids=REWRITTEN)
@pytest.mark.parametrize("size", [(37, 61), (33, 18)])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_rewritten_network_gives_the_same(name, options, size, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    network = build_network(name, **options).eval()
    if name == "awan":  # as it begins, its attention is multiplied by zero
        nn.init.normal_(network.non_local.project.weight)
    faster = rewrite(copy.deepcopy(network))
    kinds = (WinogradConv, FourierConv, SpectralCascade, StripwiseRespectra)
    assert any(isinstance(module, kinds) for module in faster.modules())
    assert deviation(network, faster, image(*size, n=2)) <= TOLERANCE


@pytest.mark.parametrize("name", list_methods("network"))
def test_the_engine_agrees_with_the_network_as_written(name):
    weights = tiny_weights(name)
    side = get_card(name).native_tile or 40
    pixels = np.random.default_rng(0).random((side, side, 3), dtype=np.float32)
    plain = NetworkBackend(weights, engine="plain")(pixels)
    fast = NetworkBackend(weights)(pixels)
    np.testing.assert_allclose(fast, plain, rtol=0, atol=2e-5 * np.abs(plain).max())


@pytest.mark.parametrize("options", [{"blocks": 1}, {"dense_blocks": (1, 0, 0, 0)}])
def test_what_a_library_does_as_fast_is_left_to_it(options):
    name = "hscnn-r" if "blocks" in options else "hrnet"
    network = build_network(name, width=32, **options).eval()
    kinds = [type(module) for module in network.modules()]
    assert [type(module) for module in rewrite(network).modules()] == kinds


@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("size", [(5, 9), (24, 33)])
def test_winograd_is_the_convolution_with_what_follows_it(padding, kernel, size):
    torch.manual_seed(1)
    conv = nn.Conv2d(33, 40, kernel, padding=kernel // 2, padding_mode=padding)
    assert fits(conv)
    x, add = image(*size, channels=33, n=2), image(*size, channels=40, n=2)
    slopes = torch.linspace(-0.5, 1.5, 40)
    with torch.inference_mode():
        expected = F.prelu(conv(x) + add, slopes)
        got = WinogradConv(conv, slopes)(x, add)
    torch.testing.assert_close(got, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("pixels", "channels"), [(1, 1), (70, 3), (2100, 2)])
@pytest.mark.parametrize("size", [0.1, 3.0, 40.0])
def test_attention_is_softmax_of_products(pixels, channels, size):
    torch.manual_seed(1)
    query, key, value = torch.randn(3, 2, 1, pixels, channels)
    key = key * size
    with torch.inference_mode():
        got = attend(query, key, value)
    affinity = (query.double() @ key.double().mT).softmax(dim=-1)
    torch.testing.assert_close(got.double(), affinity @ value.double(), rtol=0, atol=3e-5)


def test_other_convolutions_are_left_alone():
    for options in (
        {"stride": 2, "padding": 1},
        {"padding": 0},
        {"padding": 1, "groups": 2},
        {"padding": 1, "padding_mode": "circular"},
        {"padding": 2, "dilation": 2},
    ):
        assert not fits(nn.Conv2d(32, 32, 3, **options))
    assert not fits(nn.Conv2d(3, 64, 3, padding=1))


@pytest.mark.parametrize("kernel", [7, 11])
@pytest.mark.parametrize("size", [(4, 50), (61, 23)])
def test_fourier_is_the_convolution(kernel, size):
    torch.manual_seed(1)
    conv = nn.Conv2d(16, 18, kernel, padding=kernel // 2)
    x = image(*size, channels=16, n=2)
    with torch.inference_mode():
        expected = conv(x)
        # Relative to the largest value: processors sum in different orders.
        atol = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(FourierConv(conv)(x), expected, rtol=0, atol=atol)


def test_gelu_is_exact_to_single_precision():
    x = np.concatenate([np.linspace(-30, 30, 200_001), [0.0, -1e-30]]).astype(np.float32)
    got = x.copy()
    elementwise.gelu(got)
    exact = x.astype(np.float64)
    error = np.abs(got - exact * (1 + erf(exact / 2**0.5)) / 2)
    assert error.max() < 1e-6 * 30
    assert error[np.abs(x) < 2].max() < 1e-6


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_number_of_threads_changes_nothing_and_stays(threads):
    weights = tiny_weights("awan", preset="published", width=33, blocks=1)
    predict = NetworkBackend(weights)
    pixels = np.random.default_rng(0).random((50, 41, 3), dtype=np.float32)
    torch.set_num_threads(1)
    expected = predict(pixels)
    torch.set_num_threads(threads)
    got = predict(pixels)
    assert torch.get_num_threads() == threads
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)
