"""Networks that came after the 2022 toolbox: reference vectors, layouts, counts and quirks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from tests.methods.golden import (
    assert_layout,
    checkpoint_shapes,
    golden_entry,
    golden_tensors,
    load_golden,
    param_shapes,
    sorted_shapes,
)
from torch import Tensor, nn

from respectra.cameras import get_track
from respectra.errors import ConfigError, DataError, MissingExtraError
from respectra.methods import (
    Contract,
    build_network,
    configure,
    get_card,
    get_network,
    import_official,
    load_official,
    recognise_checkpoint,
)
from respectra.methods.measure import count_gmac, count_parameters, get_facts
from respectra.methods.networks import cesst, gmsr
from respectra.methods.networks.hprn import grid_labels

#: method, reduced vector, keys of the published size (its vector is KEYS_full), parameters,
#: GMAC of 256 x 256. SSRNet's step costs 0.43 less than written with 31 x 31 matrices; CESST costs
#: 2.33 less without the mixing that the authors' code throws away.
PEERS = [
    ("cesst", "cesst_d8", "cesst", 1_540_968, 101.41),
    ("drcr-net", "drcr_w16_b2", "drcr", 9_478_482, 586.42),
    ("gmsr", "gmsr_stored", "gmsr", 44_980, 2.14),
    ("hprn", "hprn_w16_b2", "hprn", 14_892_975, 975.34),
    ("hsrnet", "hsrnet_h6", "hsrnet", 769_662, 48.04),
    ("ltrn", "ltrn_16x24", "ltrn", 669_502, 52.82),
    ("msfn", "msfn_d8_s1", "msfn", 2_480_934, 33.47),
    ("repcpsi", "repcpsi_w8_b2", "repcpsi", 2_077_831, 135.82),
    ("ssrnet", "ssrnet_w5", "ssrnet", 387_779, 25.37),
    ("ssthyper", "ssthyper_d8_s2", "ssthyper", 1_393_881, 18.52),
]
IDS = [row[0] for row in PEERS]


def answer(method: str, state: dict[str, Tensor], vector: str, image: Tensor) -> Tensor:
    """The network's answer with what the authors' call was given beside the image."""
    net: Any = load_official(method, state)
    given = golden_tensors(vector)
    with torch.no_grad():
        if "input_response" in given:
            net.set_camera(given["input_response"].mT)
        more = [given["input_labels"]] if "input_labels" in given else []
        return torch.as_tensor(net(image, *more))


def assert_vector(method: str, vector: str, keys: str | None = None) -> None:
    state, image, expected = load_golden(vector, checkpoint_shapes(keys) if keys else None)
    tolerance = golden_entry(vector)["suggested_atol_float32"]
    step = golden_entry(vector).get("output_subsampled_every", 1)
    got = answer(method, state, vector, image)[..., ::step, ::step]
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance)


def moved(method: str, **options: Any) -> Any:
    """The tiny network with no parameter at its initial value."""
    torch.manual_seed(0)
    net = build_network(method, preset="tiny", **options).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net


@pytest.mark.parametrize("row", PEERS, ids=IDS)
def test_output_of_the_authors(row: tuple[Any, ...]) -> None:
    assert_vector(row[0], row[1])
    assert_vector(row[0], f"{row[2]}_full", row[2])


@pytest.mark.parametrize("row", PEERS, ids=IDS)
def test_layout_and_cost(row: tuple[Any, ...]) -> None:
    method, reduced, keys, parameters, gmac = row
    published = checkpoint_shapes(keys)
    wanted = {
        key: shape
        for key, shape in published.items()
        if not any(part in key for part in ("attn_mask", "relative_position_index"))
    }
    layout = get_network(method).official
    assert layout is not None
    config = configure(method)
    with torch.device("meta"):
        net = get_network(method).network(config)
    assert sorted_shapes(net) == param_shapes(f"{keys}_later_peer")
    held = {k: tuple(t.shape) for k, t in net.state_dict().items() if k not in layout.absent}
    assert {layout.key(k, config): shape for k, shape in held.items()} == wanted
    told = layout.configure({k: torch.empty(s, device="meta") for k, s in wanted.items()})
    assert told == config
    assert recognise_checkpoint(load_golden(reduced)[0]) == [method]
    assert count_parameters(method) == parameters
    assert count_gmac(method, frame=(256, 256)) == pytest.approx(gmac, abs=0.015)


#: Those whose answer to a pixel depends on all the others; LTRN looks at its own tiles.
WHOLE = [name for name in IDS if get_facts(name).radius is None and name != "ltrn"]


@pytest.mark.parametrize("method", WHOLE)
def test_what_is_cut_approximately_sees_the_whole_image(method: str) -> None:
    net = moved(method).double()
    image = torch.rand(1, 3, 48, 48, dtype=torch.float64)
    other = image.clone()
    other[..., :8, :8] = 1 - other[..., :8, :8]
    with torch.no_grad():
        change = (net(image) - net(other)).abs()[..., -4:, :].amax()
    assert change > 1e-9
    assert get_card(method).tiling.value == "approximate"


# --- SSTHyper, MSFN ---------------------------------------------------------------------------


def test_weights_of_sparse_attention_add_up_over_the_map_and_not_over_its_rows() -> None:
    attention: Any = moved("ssthyper").stages[0].bottleneck.attention
    scores = torch.randn(2, 4, 8, 8)
    weights = attention._sparse(scores)
    gains = torch.stack(list(attention.shares)).sum()
    torch.testing.assert_close(weights.sum(dim=(2, 3)), gains.expand(2, 4))
    kept = (weights != 0).flatten(2).sum(dim=-1)
    assert bool((kept == 8 * 8 * 4 // 5).all())


def test_masks_of_msfn_that_its_files_hold_are_left_out() -> None:
    state, image, expected = load_golden("msfn_d8_s1")
    state["body.0.Spatial_Block_0.blocks.0.1.attn_mask"] = torch.zeros(256, 64, 64)
    state["body.0.Spatial_Block_0.blocks.0.0.attn.relative_position_index"] = torch.zeros(64, 64)
    net = load_official("msfn", state)
    with torch.no_grad():
        torch.testing.assert_close(net(image), expected, rtol=0, atol=8.4e-6)


# --- GMSR-Net ---------------------------------------------------------------------------------


def test_images_of_a_batch_influence_each_other_in_gmsr_as_released() -> None:
    state, vectors = load_golden("gmsr_stored")[0], golden_tensors("gmsr_stored")
    images, expected = vectors["aux/input_batch2"], vectors["aux/output_batch2"]
    net = load_official("gmsr", state)
    apart = build_network("gmsr", stretch_over="each image").eval()
    apart.load_state_dict(net.state_dict())
    with torch.no_grad():
        together, alone = net(images), torch.cat([net(images[:1]), net(images[1:])])
        torch.testing.assert_close(together, expected, rtol=0, atol=3.1e-6)
        assert (together - alone).abs().max() > 0.01
        torch.testing.assert_close(apart(images), alone)


@pytest.mark.parametrize("pixels", [1, 5, 8, 700])
def test_a_scan_in_runs_is_the_recurrence(pixels: int) -> None:
    generator = torch.Generator().manual_seed(pixels)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    delta, u = draw(2, 4, 3, pixels), draw(2, 4, 3, pixels) - 0.5
    entering, leaving = draw(2, 4, 5, pixels) - 0.5, draw(2, 4, 5, pixels) - 0.5
    decay = -draw(4, 3, 5)
    got = gmsr.scan(delta, decay, entering, leaving, u)
    state = torch.zeros(2, 4, 3, 5, dtype=torch.float64)
    for i in range(pixels):
        step = delta[..., i].unsqueeze(-1)
        added = step * u[..., i].unsqueeze(-1) * entering[..., i].unsqueeze(2)
        state = torch.exp(step * decay) * state + added
        wanted = (state * leaving[..., i].unsqueeze(2)).sum(dim=-1)
        torch.testing.assert_close(got[..., i], wanted, rtol=1e-10, atol=1e-12)


def test_a_picture_of_one_colour_has_spectra_in_gmsr() -> None:
    net = build_network("gmsr").eval()
    with torch.no_grad():
        assert net(torch.full((2, 3, 9, 7), 0.4)).isfinite().all()


# --- SSRNet -----------------------------------------------------------------------------------


def test_ssrnet_is_told_its_camera() -> None:
    state = load_golden("ssrnet_w5")[0]
    net: Any = load_official("ssrnet", state)
    image = torch.rand(1, 3, 12, 10)
    with torch.no_grad():
        before = net(image)
        net.set_camera(net.camera.roll(4, dims=0))
        assert (net(image) - before).abs().max() > 1e-3
        # With a small penalty it says what the camera saw.
        net.penalty.fill_(1e-7)
        seen = torch.einsum("nbyx,bc->ncyx", net(image), net.camera)
    torch.testing.assert_close(seen, image, rtol=0, atol=1e-3)


def test_the_step_of_ssrnet_is_the_authors_equation() -> None:
    net: Any = moved("ssrnet", stages=1).double()
    net.set_camera(torch.rand(31, 3, dtype=torch.float64) / 15)
    image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        net.penalty.fill_(0.03)
        got = net(image)
        response, mean = net.camera.mT, net.priors[0](image)
        pull = torch.einsum("cb,ncyx->nbyx", response, image) + 2 * 0.03 * mean
        system = response.mT @ response + 2 * 0.03 * torch.eye(31, dtype=torch.float64)
        wanted = torch.einsum("ab,nbyx->nayx", torch.linalg.inv(system), pull)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-9)


def test_imported_weights_of_ssrnet_get_the_camera_of_the_track(tmp_path: Path) -> None:
    state = load_golden("ssrnet_full", checkpoint_shapes("ssrnet"))[0]
    save_file(state, tmp_path / "ssrnet.safetensors")
    weights = import_official("ssrnet", tmp_path / "ssrnet.safetensors")
    camera = get_track("clean").response_matrix(weights.contract.wavelengths_nm)
    torch.testing.assert_close(
        torch.from_numpy(weights.tensors["camera"]), torch.tensor(camera, dtype=torch.float32)
    )
    assert (weights.contract.clip_low, weights.contract.clip_high) == (0, 1)


# --- DRCR-Net, RepCPSI, HSRNet ----------------------------------------------------------------


def test_convolutions_of_a_quarter_of_the_resolution_have_no_function_in_drcr_net() -> None:
    net = moved("drcr-net")
    image = torch.rand(1, 3, 12, 16)
    with torch.no_grad():
        before = net(image)
        for name, parameter in net.named_parameters():
            if ".unused_quarter." in name:
                parameter.fill_(torch.nan)
        assert torch.equal(net(image), before)


def test_images_are_divided_by_their_maximum_for_drcr_net() -> None:
    layout = get_network("drcr-net").official
    assert layout is not None
    contract = Contract(track="exposed", **layout.contract["exposed"])
    assert not contract.keeps_exposure
    pixels = torch.rand(5, 6, 3).numpy() * 0.5 + 0.2
    prepared = contract.prepare(pixels)
    assert prepared == pytest.approx(pixels / pixels.max())
    assert contract.prepare(pixels, bounds=(0.2, 0.8)) == pytest.approx(pixels / 0.8)
    with pytest.raises(DataError, match="every value of this one is 0"):
        contract.prepare(0 * pixels)


def test_merged_branches_of_repcpsi_give_the_same() -> None:
    state, image, expected = load_golden("repcpsi_w8_b2")
    net: Any = load_official("repcpsi", state)
    merged = net.merge()
    assert not any(type(module).__name__ == "Branches" for module in merged.modules())
    with torch.no_grad():
        torch.testing.assert_close(merged(image), expected, rtol=0, atol=6.5e-6)
    layout = get_network("repcpsi").official
    assert layout is not None
    vectors = golden_tensors("repcpsi_w8_b2")
    ours = {layout.key(k, merged.config): tensor for k, tensor in merged.state_dict().items()}
    theirs = {k.removeprefix("aux/merged/"): t for k, t in vectors.items() if "/merged/" in k}
    assert theirs.keys() == {key for key in ours if "combine_conv" in key}
    for key, tensor in theirs.items():
        torch.testing.assert_close(ours[key], tensor, rtol=0, atol=1e-6)
    assert torch.equal(merged.merge()(image), merged(image))
    assert_layout("repcpsi", "merged", "repcpsi_merged_later_peer", "repcpsi_merged")
    assert count_gmac("repcpsi", preset="merged", frame=(256, 256)) == pytest.approx(62.0, abs=0.01)


def test_bands_of_hsrnet_come_in_groups() -> None:
    groups = build_network("hsrnet", blocks=1, hidden=1).groups
    assert isinstance(groups, nn.ModuleDict)
    assert [group[0].conv.out_channels for group in groups.values()] == [6, 10, 15]  # type: ignore[index]


# --- HPRN -------------------------------------------------------------------------------------


def test_regions_of_the_vectors_are_a_grid() -> None:
    given = golden_tensors("hprn_w16_b2")["input_labels"][0]
    for count, labels in zip((8, 12, 16, 20), given, strict=True):
        assert torch.equal(grid_labels(count, *labels.shape).float(), labels)


def test_regions_are_superpixels_where_none_are_given() -> None:
    pytest.importorskip("skimage")
    net = moved("hprn", labels="slic")
    image = torch.zeros(2, 3, 32, 32)
    image[0, :, :, 16:] = 0.8
    labels = net.label(image)
    assert labels.shape == (2, 4, 32, 32)
    for scale in labels[0]:
        # No superpixel crosses the edge in the picture.
        assert not set(scale[:, :16].unique().tolist()) & set(scale[:, 16:].unique().tolist())
    with torch.no_grad():
        assert torch.equal(net(image), net(image, labels))


def test_the_order_within_a_region_is_that_of_the_picture() -> None:
    net = moved("hprn")
    image, labels = torch.rand(1, 3, 16, 16), torch.ones(1, 4, 16, 16)
    with torch.no_grad():
        whole = net(image, labels)
        assert torch.equal(net(image, 7 * labels), whole)
        halves = labels.clone()
        halves[..., 8:, :] = 2
        # Sorted already: the same windows.
        assert torch.equal(net(image, halves), whole)
        halves[..., :, 8:] = 3
        assert not torch.allclose(net(image, halves), whole)


def test_superpixels_that_cannot_be_had_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    net, image = moved("hprn", labels="slic"), torch.rand(1, 3, 12, 12)
    with pytest.raises(DataError, match="labels is 'grid'"):
        torch.export.export(net, (image,), strict=False)
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(MissingExtraError, match=r"respectra\[superpixels\]"):
        net(image)


# --- CESST, LTRN ------------------------------------------------------------------------------


def test_heights_at_which_the_code_of_cesst_fails_are_extended_by_a_window() -> None:
    net = moved("cesst")
    with torch.no_grad():
        for height, width in ((56, 24), (24, 56), (17, 18)):
            cube = net(torch.rand(1, 3, height, width))
            assert cube.shape == (1, 31, height, width)
            assert cube.isfinite().all()


def test_windows_of_cesst_that_are_strided_hold_pixels_a_stride_apart() -> None:
    torch.manual_seed(0)
    for strided in (False, True):
        attention = cesst.WindowAttention(2, 1, 7, strided=strided).double()
        image = torch.rand(1, 2, 20, 20, dtype=torch.float64)
        other = image.clone()
        other[..., 0, 0] += 1
        with torch.no_grad():
            changed = (attention(image) - attention(other)).abs().sum(dim=1)[0] > 1e-9
        # 21 x 21 with the padding, a stride of 3, resized to 20 x 20: places mix with neighbours.
        assert bool(changed[0, 0])
        assert bool(changed[17, 17]) is strided
        assert bool(changed[12, 0]) is strided


def test_large_pictures_are_the_mean_of_tiles_in_ltrn() -> None:
    net = moved("ltrn", far_tile="once")
    image = torch.rand(1, 3, 24, 16)
    with torch.no_grad():
        first, last = (net.tile(image[..., y : y + 16, :]).clamp(0, 1) for y in (0, 8))
        got = net(image)
        torch.testing.assert_close(got[..., :8, :], first[..., :8, :])
        torch.testing.assert_close(got[..., 8:16, :], (first[..., 8:, :] + last[..., :8, :]) / 2)
        # A picture of one tile is not limited to [0, 1].
        assert torch.equal(net(image[..., :16, :]), net.tile(image[..., :16, :]))


def test_the_last_tile_counts_twice_where_it_is_on_the_grid_in_ltrn() -> None:
    net = moved("ltrn")
    assert net._starts(24, 16) == [0, 8, 8]
    assert net._starts(27, 16) == [0, 8, 11]
    assert moved("ltrn", far_tile="once")._starts(24, 16) == [0, 8]


def test_tiles_of_ltrn_fit_its_heads() -> None:
    with pytest.raises(ConfigError, match="4 heads must divide"):
        configure("ltrn", tile_height=12, tile_width=12, overlap=4)
    with pytest.raises(ConfigError, match="overlap of 64 is not less"):
        configure("ltrn", overlap=64)
