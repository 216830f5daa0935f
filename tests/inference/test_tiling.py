"""However a picture is cut up, the answer is the same, or the cube says that it is not."""

import itertools

import numpy as np
import pytest
import torch
from tests.inference.conftest import tiny_weights

import respectra as rs
from respectra.errors import ConfigError
from respectra.inference import Reconstructor
from respectra.inference.memory import Budget, MemoryUse
from respectra.inference.networks import build
from respectra.inference.tiling import SMALLEST_VIEW, plan, run
from respectra.methods import Tiling, get_card, list_methods
from respectra.methods.networks.blocks import GlobalMean

EXACT = [
    name
    for name in list_methods("network")
    if get_card(name).tiling in (Tiling.EXACT, Tiling.STATISTICS)
]
APPROXIMATE = [n for n in list_methods("network") if get_card(n).tiling is Tiling.APPROXIMATE]
#: Neither side is a multiple of anything.
HEIGHT, WIDTH = 173, 149


@pytest.fixture(scope="module")
def image():
    """Darker towards one corner, so that means over tiles differ from those of the whole."""
    rng = np.random.default_rng(4)
    shade = np.linspace(0.1, 1, HEIGHT)[:, None, None] * np.linspace(0.2, 1, WIDTH)[:, None]
    return rs.make_image(rng.random((HEIGHT, WIDTH, 3)) * shade)


@pytest.mark.parametrize("name", EXACT)
def test_tiles_give_what_the_whole_image_gives(name, image):
    weights = tiny_weights(name)
    whole = Reconstructor(weights, tile=None)(image)
    tiled = Reconstructor(weights, tile=61)(image)
    assert "tiling" not in tiled.attrs
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * float(abs(whole).max()))


@pytest.mark.parametrize("name", [n for n in EXACT if get_card(n).tiling is Tiling.STATISTICS])
def test_means_are_those_of_the_whole_image(name, image):
    rec = Reconstructor(tiny_weights(name), tile=61)
    taken = rec.compute_global_means(
        lambda y, x: image.values[y, x], rec.layout(HEIGHT, WIDTH), bounds=(0.0, 1.0)
    )
    network, expected = build(tiny_weights(name)), []
    for module in network.modules():
        if isinstance(module, GlobalMean):
            module.register_forward_hook(lambda _, x, __: expected.append(x[0].mean(dim=(2, 3))))
    with torch.inference_mode():
        network(torch.from_numpy(image.values.transpose(2, 0, 1))[None])
    assert len(taken) == len(expected) > 0
    for mean, reference in zip(taken, expected, strict=True):
        scale = float(reference.abs().max())
        np.testing.assert_allclose(mean.flatten(), reference.flatten(), atol=1e-5 * scale)


@pytest.mark.parametrize("name", APPROXIMATE)
def test_blended_tiles_say_so_and_have_no_seams(name, image):
    weights = tiny_weights(name)
    whole = Reconstructor(weights, tile=None)(image)
    tiled = Reconstructor(weights, tile=64)(image)
    assert "tiling" not in whole.attrs
    assert tiled.attrs["tiling"] == "approximate"
    assert np.isfinite(tiled).all()
    assert abs(tiled - whole).mean() < 0.5 * abs(whole).mean()


def test_blending_copies_of_one_function_is_that_function(image):
    """The weights of the tiles sum to one everywhere."""
    card = get_card("mst-plus-plus")
    layout = plan(HEIGHT, WIDTH, card, halo=None, side=40)
    assert not layout.whole
    seen = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    covered = np.zeros((HEIGHT, WIDTH), int)
    for region, piece in run(lambda x: x, lambda y, x: image.values[y, x], layout):
        seen[region] = piece
        covered[region] += 1
    assert (covered == 1).all()
    np.testing.assert_allclose(seen, image.values, atol=1e-6)


def test_a_stretch_to_the_range_of_the_image_uses_the_whole_image(image):
    weights = tiny_weights("hscnn-r", scaling="min-max")
    whole = Reconstructor(weights, tile=None)(image)
    tiled = Reconstructor(weights, tile=52)(image)
    np.testing.assert_allclose(tiled, whole, rtol=0, atol=1e-5 * float(abs(whole).max()))


@pytest.mark.parametrize("name", ["hscnn-r", "hrnet", "staffs-cvl", "awan", "mst-plus-plus"])
def test_a_plan_takes_the_memory_it_may_and_no_more(name):
    card, use = get_card(name), MemoryUse(fixed=1e8, per_pixel=5000)
    halo = None if card.tiling is Tiling.APPROXIMATE else 64
    for limit in (0.9e9, 2e9, 8e9):
        budget = Budget(int(limit), held=3e8, use=use)
        layout = plan(5000, 7000, card, halo=halo, budget=budget)
        assert 0.5 * (limit - 4e8) < use.per_pixel * layout.largest_read <= limit - 4e8
        assert all(side % card.size_multiple == 0 for side in layout.sides)
        sizes = [
            (tile.read[0].stop - tile.read[0].start) * (tile.read[1].stop - tile.read[1].start)
            for tile in layout.tiles()
        ]
        assert max(sizes) == layout.largest_read


def test_pieces_begin_on_a_grid_and_cover_the_picture_once():
    for name, side in itertools.product(["hscnn-r", "hrnet", "mst-plus-plus", "lwrdanet"], [9, 70]):
        card = get_card(name)
        layout = plan(200, 331, card, halo=20, side=side)
        covered = np.zeros((200, 331), int)
        for tile in layout.tiles():
            covered[tile.keep] += 1
            for span, step in zip(tile.keep, layout.sides, strict=True):
                assert span.start % step == 0
        assert (covered == 1).all()


def test_too_little_memory_for_a_tile_says_how_much_would_do():
    card = get_card("rpan")
    use = MemoryUse(fixed=5e7, per_pixel=4000)
    with pytest.raises(ConfigError, match=r"200\.0 MB|0\.20 GB") as caught:
        plan(1000, 1000, card, halo=70, budget=Budget(int(2e8), held=1.9e8, use=use))
    needed = 1.9e8 + use.of(160 * 160)
    assert f"{needed / 1e9:.2f} GB" in str(caught.value)
    plan(1000, 1000, card, halo=70, budget=Budget(int(needed + 1), held=1.9e8, use=use))


def test_blended_tiles_are_not_chosen_smaller_than_makes_sense():
    use = MemoryUse(fixed=0, per_pixel=1e4)
    with pytest.raises(ConfigError, match="too little for awan"):
        plan(999, 999, get_card("awan"), halo=None, budget=Budget(int(1e8), 0, use))
    layout = plan(999, 999, get_card("awan"), halo=None, budget=Budget(int(5e8), 0, use))
    assert min(layout.sides) + layout.overlap >= SMALLEST_VIEW
