"""Each colour once: the same answer as pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import respectra as rs
from respectra.inference import colours as module
from respectra.inference.colours import ByColour, find_colours, in_rows
from respectra.inference.tiled import TiledInference


@pytest.fixture
def photo() -> xr.DataArray:
    """A picture of many pixels and few colours, in 8-bit codes."""
    rng = np.random.default_rng(4)
    palette = rng.integers(0, 256, (900, 3))
    codes = palette[rng.integers(0, len(palette), (280, 310))]
    return rs.make_image(codes.astype(np.float32) / np.float32(255), encoding="srgb", bits=8)


@pytest.fixture
def pixel_by_pixel(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(TiledInference, "_by_colour", lambda self, pixels: False)
    return monkeypatch


def test_colours_are_told_apart_by_their_bits():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.random((500, 3)), [[0.0, 0.5, 1.0], [-0.0, 0.5, 1.0]]])
    pixels = values.astype(np.float32)[rng.integers(0, len(values), (300, 301))]
    found = find_colours(pixels)
    assert found is not None
    assert len(found.values) == len(values)
    np.testing.assert_array_equal(found.values[found.number].reshape(pixels.shape), pixels)
    assert found.counts().sum() == 300 * 301


def test_it_is_not_tried_where_it_gains_nothing():
    rng = np.random.default_rng(0)
    assert find_colours(np.zeros((10, 10, 3), np.float32)) is None
    assert find_colours(rng.random((300, 300, 3)).astype(np.float32)) is None


def test_colours_that_blocks_share_are_found_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_BLOCK", 1 << 15)
    pixels = np.tile(np.linspace(0, 1, 60, dtype=np.float32), (5000, 1))[:, :, None].repeat(3, 2)
    found = find_colours(pixels)
    assert found is not None
    assert len(found.values) == 60
    np.testing.assert_array_equal(found.values[found.number].reshape(pixels.shape), pixels)
    rng = np.random.default_rng(1)
    palette = rng.random((40_000, 3)).astype(np.float32)
    pixels = palette[rng.integers(0, len(palette), (1200, 301))]
    assert find_colours(pixels) is None  # more than every second pixel of a block
    monkeypatch.setattr(module, "_BLOCK", 1 << 17)
    found = find_colours(pixels)
    assert found is not None
    assert len(found.values) == len(np.unique(pixels.reshape(-1, 3), axis=0))
    np.testing.assert_array_equal(found.values[found.number].reshape(pixels.shape), pixels)


def test_colours_in_rows_are_filled_with_the_last():
    rows = in_rows(np.arange(3 * 5000, dtype=np.float32).reshape(5000, 3))
    assert rows.shape == (3, 2048, 3)
    assert (rows.reshape(-1, 3)[5000:] == rows.reshape(-1, 3)[4999]).all()


def test_a_predictor_sees_each_colour_once():
    seen = []

    def predict(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels.shape[0] * pixels.shape[1])
        return pixels[:, :, [0, 1, 2, 0]] * np.float32(2)

    pixels = np.zeros((300, 300, 3), np.float32)
    pixels[::2] = 0.25
    answer = ByColour(predict)(pixels)
    assert seen == [2]
    np.testing.assert_array_equal(answer, pixels[:, :, [0, 1, 2, 0]] * 2)


@pytest.mark.parametrize("method", ["default", "default-classical"])
@pytest.mark.parametrize("tile", ["auto", 128])
def test_the_answer_is_that_of_every_pixel(
    photo: xr.DataArray, pixel_by_pixel: pytest.MonkeyPatch, method: str, tile: int | str
):
    plain = rs.load(method, tile=tile)(photo)
    pixel_by_pixel.undo()
    once = rs.load(method, tile=tile)(photo)
    np.testing.assert_allclose(once, plain, rtol=2e-5, atol=2e-6 * float(plain.max()))


@pytest.mark.parametrize("exact", [False, True])
def test_it_may_be_computed_some_rows_at_a_time(
    photo: xr.DataArray, monkeypatch: pytest.MonkeyPatch, exact: bool
):
    image = photo
    if exact:  # no two pixels have one colour
        values = np.random.default_rng(4).random(photo.shape).astype(np.float32)
        image = rs.make_image(values, encoding="linear", bits=32)
    whole = rs.load()(image)
    monkeypatch.setattr(module, "TOGETHER", 5000)
    some = rs.load()(image)
    np.testing.assert_allclose(some, whole, rtol=2e-5, atol=2e-6 * float(whole.max()))


def test_so_are_guarantees_and_uncertainty(photo: xr.DataArray, pixel_by_pixel: pytest.MonkeyPatch):
    def answers() -> list[xr.DataArray]:
        rec = rs.load(guarantees=["non-negative", "exposure-invariant"])
        return list(rec.with_uncertainty(photo))

    plain = answers()
    pixel_by_pixel.undo()
    for once, each in zip(answers(), plain, strict=True):
        np.testing.assert_allclose(once, each, rtol=5e-5, atol=5e-6 * float(each.max()))


def test_small_pictures_and_large_ones_tell_colours_apart_alike(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(3)
    palette = rng.random((700, 3)).astype(np.float32)
    pixels = palette[rng.integers(0, len(palette), (300, 300))]
    few = find_colours(pixels)
    answer = ByColour(lambda rows: rows.repeat(2, axis=2))(pixels)
    monkeypatch.setattr(module, "_number_few", module._number_many)
    many = find_colours(pixels)
    assert few is not None
    assert many is not None
    np.testing.assert_array_equal(few.values, many.values)
    np.testing.assert_array_equal(few.number, many.number)
    np.testing.assert_array_equal(answer, pixels.repeat(2, axis=2))
    monkeypatch.undo()
    monkeypatch.setattr(module, "_MIX", np.zeros(3, np.uint64))  # every colour has one key
    same = find_colours(pixels)
    assert same is not None
    np.testing.assert_array_equal(same.number, many.number)
    noise = rng.random((300, 300, 3)).astype(np.float32)
    assert find_colours(noise) is None


def test_colours_of_a_picture_in_memory_are_looked_for_once(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
):
    asked: list[tuple[int, ...]] = []

    def counted(pixels: np.ndarray) -> object:
        asked.append(pixels.shape)
        return find_colours(pixels)

    monkeypatch.setattr("respectra.inference.colours.find_colours", counted)
    # More colours than are worth it: means are then taken of all pixels, and spectra too.
    rs.load()(rs.make_image(rng.random((260, 260, 3), np.float32)))
    assert asked == [(260, 260, 3)]
