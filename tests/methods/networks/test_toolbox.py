"""The eleven networks of the 2022 toolbox: reference vectors, layouts, counts and their quirks.

HRNet, AWAN, HSCNN+ and MST++ have tests of their own; here they are imported like the others.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.methods.golden import (
    assert_golden,
    assert_layout,
    checkpoint_shapes,
    golden_tensors,
    load_golden,
)

from respectra.errors import FormatError
from respectra.methods import (
    build_network,
    get_network,
    import_official,
    load_official,
    recognise_checkpoint,
)
from respectra.methods.measure import count_gmac, count_parameters, get_facts

#: method, reduced vector, vector of the published size, checkpoint keys, parameter shapes,
#: parameters, GMAC of 256 x 256.
NETWORKS = [
    ("edsr", "edsr_w12_b3", "edsr_full", "edsr", "edsr_mstpp_toolbox", 2_419_999, 158.32),
    ("hdnet", "hdnet_w8_b3", "hdnet_full", "hdnet", "hdnet_mstpp_toolbox", 2_659_243, 173.79),
    ("hinet", "hinet_w5", "hinet_full", "hinet", "hinet_mstpp_toolbox", 5_223_688, 31.29),
    ("mirnet", "mirnet_w8", "mirnet_full", "mirnet", "mirnet_mstpp_toolbox", 3_749_356, 27.51),
    ("mprnet", "mprnet_w6", "mprnet_full", "mprnet", "mprnet_mstpp_toolbox", 3_619_003, 101.38),
    ("mst", "mst_d8", "mst_l_full", "mst_l", "mst_l_mstpp_toolbox", 2_450_978, 31.66),
    (
        "restormer",
        "restormer_d8",
        "restormer_full",
        "restormer",
        "restormer_mstpp_toolbox",
        15_108_705,
        93.77,
    ),
]


@pytest.mark.parametrize(("method", "reduced"), [row[:2] for row in NETWORKS])
def test_output_of_the_authors(method: str, reduced: str) -> None:
    assert_golden(method, reduced)


@pytest.mark.parametrize(("method", "_", "full", "keys"), [row[:4] for row in NETWORKS])
def test_output_of_the_authors_at_published_size(method: str, _: str, full: str, keys: str) -> None:
    assert_golden(method, full, checkpoint_shapes(keys))


@pytest.mark.parametrize("row", NETWORKS, ids=[row[0] for row in NETWORKS])
def test_layout_and_cost(row: tuple[Any, ...]) -> None:
    method, _, _, keys, shapes, parameters, gmac = row
    assert_layout(method, "published", shapes, keys)
    assert count_parameters(method) == parameters
    assert count_gmac(method, frame=(256, 256)) == pytest.approx(gmac, abs=0.015)


@pytest.mark.parametrize(
    ("method", "vector"),
    [
        *(row[:2] for row in NETWORKS),
        ("mst-plus-plus", "mst_plus_plus_d8_s2"),
        ("hscnn-plus", "hscnn_plus_q_b3"),
        ("hrnet", "hrnet_toolbox_w4"),
    ],
)
def test_files_of_the_toolbox_tell_what_they_are(method: str, vector: str, tmp_path: Path) -> None:
    state, image, expected = load_golden(vector)
    assert recognise_checkpoint(state) == [method]
    wrapped = {f"module.{key}": value for key, value in state.items()}
    content = {"epoch": 3, "iter": 3000, "state_dict": wrapped, "optimizer": {"state": {}}}
    torch.save(content, tmp_path / "net.pth")
    net = load_official(method, content)
    with torch.no_grad():
        torch.testing.assert_close(net(image), expected, rtol=0, atol=5e-5)
    if expected.shape[1] == 31:
        with pytest.warns(match="exposure"):
            weights = import_official(None, tmp_path / "net.pth")
        assert (weights.method, weights.contract.track) == (method, "exposed")
        assert (weights.contract.clip_low, weights.contract.clip_high) == (0, 1)


def test_a_mask_of_the_first_image_gates_all_of_a_batch() -> None:
    state = load_golden("mst_d8")[0]
    tensors = golden_tensors("mst_d8")
    images, expected = tensors["aux/input_batch2"], tensors["aux/output_batch2"]
    net = load_official("mst", state)
    with torch.no_grad():
        together, second = net(images), net(images[1:])
    torch.testing.assert_close(together, expected, rtol=0, atol=6.5e-6)
    assert (together[1:] - second).abs().max() > 0.4
    method = get_network("mst")
    each = method.network(method.config(width=8, bands=8, blocks=(1, 2, 1), mask_of="each image"))
    each.load_state_dict(net.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(each(images)[1:], second)


@pytest.mark.parametrize(("method", "vector"), [("mprnet", "mprnet_w6"), ("mirnet", "mirnet_w8")])
def test_one_slope_serves_the_whole_network(method: str, vector: str) -> None:
    state = load_golden(vector)[0]
    slopes = [key for key in state if key.endswith(".body.1.weight") and state[key].numel() == 1]
    state[slopes[-1]] = state[slopes[-1]] + 0.1
    with pytest.raises(FormatError, match=r"one in m\w+, but their values differ: "):
        load_official(method, state)


def test_mprnet_depends_on_where_it_is_cut() -> None:
    torch.manual_seed(0)
    cut = build_network("mprnet", preset="tiny").eval()
    whole = build_network("mprnet", preset="tiny", cut="never").eval()
    whole.load_state_dict(cut.state_dict())
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert (cut(image) - whole(image)).abs().max() > 1e-4
        # Where both halves and both sides are alike, cutting changes the border alone.
        flat = torch.full((1, 3, 96, 96), 0.5)
        difference = (cut(flat) - whole(flat)).abs().amax(dim=(0, 1))
    assert difference[4:20, 4:20].max() < 0.2 * difference.max()


def test_modules_without_function_change_nothing() -> None:
    torch.manual_seed(0)
    net = build_network("mirnet", preset="tiny").eval()
    image = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        before = net(image)
        for name, parameter in net.named_parameters():
            if ".unused." in name:
                parameter.fill_(torch.nan)
        assert torch.equal(net(image), before)


def test_half_of_the_channels_have_the_statistics_of_their_image() -> None:
    torch.manual_seed(0)
    norm = build_network("hinet", preset="tiny").stage1.encoders[0].norm
    x = 3 + 2 * torch.randn(2, 2, 20, 30)
    expected = torch.nn.functional.instance_norm(x, weight=norm.weight, bias=norm.bias)
    torch.testing.assert_close(norm(x), expected)
    flat = norm(torch.full((1, 2, 8, 8), 0.3))
    torch.testing.assert_close(flat, torch.zeros(1, 2, 8, 8), rtol=0, atol=1e-4)


def test_radius_of_what_sees_a_bounded_neighbourhood() -> None:
    assert get_facts("edsr").radius == 67
    # Given their statistics, these do too.
    assert get_facts("mirnet").radius == 128
    assert get_facts("hinet").radius == 135


def test_restormer_of_another_expansion_is_read_off_the_shapes() -> None:
    method = get_network("restormer")
    assert method.official is not None
    config = method.config(width=8, blocks=(1, 1, 1, 1), refinement=2, expansion=1.5)
    net = method.network(config)
    state = {method.official.key(name, config): t for name, t in net.state_dict().items()}
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(load_official("restormer", state)(image), net.eval()(image))
