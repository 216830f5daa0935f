"""What a graphics processor does to spectra is what the processor does.

Without one, PyTorch runs the same code here: the backend is told that its answers lie elsewhere.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

import respectra as rs
from respectra.cameras import References, get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.datasets.still_life import still_life
from respectra.errors import DataError
from respectra.inference import Reconstructor, memory, nearest_spectra, tiled
from respectra.inference.backends.network import NetworkBackend
from respectra.inference.on_device import guarantees, nearest
from respectra.inference.reference_tables import FactorTable, axes, features
from respectra.inference.soft_consistency import denoised_values
from respectra.methods import fresh_weights

GRID = np.asarray(CHALLENGE_WAVELENGTHS_NM, np.float64)
CLEAN = get_track("clean")
CAMERA = CLEAN.response_matrix(GRID)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
#: Of a spectrum's largest value.
TOLERANCE = 2e-5


@pytest.fixture
def on_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NetworkBackend, "on_device", property(lambda backend: True))
    monkeypatch.setattr(NetworkBackend, "runs_by_colour", property(lambda backend: False))


def spectra_of(rng: np.random.Generator, count: int) -> np.ndarray:
    centre, width = rng.uniform(380, 720, (count, 1)), rng.uniform(30, 200, (count, 1))
    return np.exp(-(((GRID - centre) / width) ** 2)) * rng.uniform(0.02, 0.9, (count, 1)) + 0.01


def off(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The largest difference of each spectrum, over its largest value."""
    one, other = (a.reshape(-1, a.shape[-1]).astype(float) for a in (one, other))
    return np.abs(one - other).max(axis=1) / np.abs(other).max(axis=1)


@pytest.mark.parametrize("non_negative", [False, True])
def test_spectra_move_to_the_same_place(rng: np.random.Generator, non_negative: bool):
    truth = spectra_of(rng, 3000)
    start = truth * rng.uniform(0.6, 1.5, (3000, 1)) + rng.normal(0, 0.04, truth.shape)
    start = start.astype(np.float32)
    codes = np.floor(truth @ CAMERA * 255)
    low, high = codes / 255, (codes + 1) / 255
    high[:40] = np.inf
    high[40:80] = low[40:80]
    low[80:110] = [0.9, 0.0, 0.9]  # which no spectrum without negative values has
    high[80:110] = [0.904, 0.004, 0.904]
    start[110, 3] = np.nan
    expected, there = start.copy(), torch.from_numpy(start.copy()).to(DEVICE)
    options = {"non_negative": non_negative, "metric_floor": 0.02}
    status = nearest_spectra.move_into(expected, CAMERA, low, high, **options)
    found = nearest.move_into(there, CAMERA, low, high, **options).cpu().numpy()
    assert (found == status).mean() > 0.998
    assert {0, 1, 3} <= set(status)
    assert (2 in status) == non_negative
    same = (found == status) & (status < 2)
    assert np.quantile(off(there.cpu().numpy()[same], expected[same]), 0.999) < TOLERANCE
    np.testing.assert_array_equal(there.cpu().numpy()[110], start[110])


def test_a_table_gives_the_same_factors(rng: np.random.Generator):
    mix = rng.normal(0, 0.3, (3, 31))

    def posterior(nodes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.sin(nodes @ mix), np.ones(len(nodes))

    white = np.array([0.9, 1.0, 0.8])
    known = rng.uniform(0.1, 1, (40, 3))
    table = FactorTable(white, 31, posterior, axes(features(known, white), 0.06))
    table.pin(known, rng.normal(0, 0.1, (40, 31)), 1e-4)
    rgb = rng.uniform(0, 1.1, (2000, 3)).astype(np.float32)
    rgb[:40], rgb[40:50] = known, 0.0
    spectra = rng.uniform(0.1, 1, (2000, 31)).astype(np.float32)
    there = torch.from_numpy(spectra.copy()).to(DEVICE)
    assert table.multiply(spectra, rgb) == guarantees.multiply(table, there, rgb)
    assert off(there.cpu().numpy(), spectra).max() < TOLERANCE


def test_a_noisy_camera_is_met_in_the_same_way(rng: np.random.Generator):
    track = get_track("real-world")
    camera = track.response_matrix(GRID)
    values = spectra_of(rng, 19 * 23).reshape(19, 23, 31).astype(np.float32)
    image = rs.make_image(np.clip(rng.uniform(0, 1.05, (19, 23, 3)), 0, 1), bits=8)
    seen = (values.reshape(-1, 31).astype(float) @ camera).reshape(image.shape)
    expected = denoised_values(track, image, seen)
    there = torch.from_numpy(values).to(DEVICE).view(-1, 31)
    found = guarantees._denoised_values(track, image, there, camera).cpu().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.fixture(scope="module")
def scene() -> xr.DataArray:
    return still_life(48, 64, seed=3)


def network(**options: object) -> Reconstructor:
    """A network that is a little wrong, so that its spectra have to move."""
    rng = np.random.default_rng(0)
    known = rs.load("respectra").weights
    tensors = {
        name: (values * rng.uniform(0.9, 1.1, values.shape)).astype(values.dtype)
        for name, values in known.tensors.items()
    }
    weights = dataclasses.replace(known, tensors=tensors)
    return Reconstructor(weights, device="cpu", engine="plain", **options)


@pytest.mark.parametrize(
    "names",
    [
        ("consistent",),
        ("consistent-exact", "non-negative"),
        ("smooth", "exposure-invariant"),
        ("consistent", "non-negative", "smooth"),
    ],
)
@pytest.mark.parametrize("tile", [None, 32])
def test_cubes_are_those_of_the_processor(
    names: tuple[str, ...], tile: int | None, scene: xr.DataArray, request: pytest.FixtureRequest
):
    image = CLEAN.render(scene)
    method = network(guarantees=names, tile=tile)
    expected = method(image)
    assert off(expected.values, network(tile=tile)(image).values).max() > 1e-3
    request.getfixturevalue("on_device")
    cube = network(guarantees=names, tile=tile)(image)
    assert cube.attrs == expected.attrs
    far = off(cube.values, expected.values)
    assert np.quantile(far, 0.995) < TOLERANCE
    if "consistent" in names:
        np.testing.assert_array_equal(CLEAN.render(cube).values, image.values)
    if "non-negative" in names:
        assert float(cube.min()) >= 0.0


def test_references_correct_in_the_same_way(scene: xr.DataArray, request: pytest.FixtureRequest):
    image = CLEAN.render(scene)
    rng = np.random.default_rng(0)
    y, x = rng.integers(0, 48, 24), rng.integers(0, 64, 24)
    spots = References(np.stack([y, x], axis=1), scene.values[y, x], GRID)
    method = network(guarantees=("non-negative",)).with_references(image, spots)
    expected = method(image)
    request.getfixturevalue("on_device")
    cube = method(image)
    assert "24 references" in cube.attrs["references"]
    assert cube.attrs == expected.attrs
    assert np.quantile(off(cube.values, expected.values), 0.995) < TOLERANCE


@pytest.mark.usefixtures("on_device")
def test_files_and_lazy_cubes_are_finished_there_too(scene: xr.DataArray, tmp_path: Path):
    image = CLEAN.render(scene)
    method = network(guarantees=("consistent", "non-negative"), tile=16)
    expected = method(image)
    np.save(tmp_path / "in.npy", np.rint(image.values * 255).astype(np.uint8))
    rs.inference.reconstruct_file(method, tmp_path / "in.npy", tmp_path / "out.zarr", kind="clean")
    streamed = rs.open_cube(tmp_path / "out.zarr")
    assert off(streamed.values, expected.values).max() < TOLERANCE
    lazy = rs.reconstruct_lazily(image.chunk({"y": 16, "x": 32, "channel": 3}), method)
    assert off(lazy.values, expected.values).max() < TOLERANCE


def test_blended_tiles_are_mixed_there(rng: np.random.Generator, request: pytest.FixtureRequest):
    weights = fresh_weights("awan", preset="tiny")
    image = rs.make_image(rng.random((150, 140, 3)), bits=32)

    def cube() -> xr.DataArray:
        options = {"device": "cpu", "engine": "plain", "tile": 64}
        return Reconstructor(weights, **options, guarantees=["non-negative"])(image)

    expected = cube()
    assert expected.attrs["tiling"] == "approximate"
    request.getfixturevalue("on_device")
    np.testing.assert_allclose(cube().values, expected.values, atol=1e-5)


def test_what_a_network_gave_is_changed_in_place(request: pytest.FixtureRequest):
    weights = fresh_weights("hscnn-r", preset="tiny")
    assert weights.contract.clip_low is None
    image = rs.make_image(np.random.default_rng(0).random((24, 32, 3)), bits=32)

    def cube() -> xr.DataArray:
        names = ("non-negative", "smooth")
        return Reconstructor(weights, device="cpu", engine="plain", guarantees=names)(image)

    expected = cube()
    request.getfixturevalue("on_device")
    found = cube()
    assert float(found.min()) >= 0.0
    far = np.abs(found.values - expected.values).max(axis=2)
    assert np.quantile(far, 0.99) < TOLERANCE * float(expected.max())


def test_tiles_follow_the_memory_of_the_device_and_of_this_machine(
    monkeypatch: pytest.MonkeyPatch,
):
    method = Reconstructor(fresh_weights("hscnn-r", preset="tiny"), device="cpu", engine="plain")
    there, here = [10**12], 10**12
    for module in (memory, tiled):
        monkeypatch.setattr(module, "resident_bytes", lambda: 10**8)
        monkeypatch.setattr(module, "free_memory", lambda: here)
    monkeypatch.setattr(tiled, "free_device_bytes", lambda device: there[0])
    monkeypatch.setattr(method.backend, "device", "cuda")

    def pixels(limit: str | int) -> int:
        method.tiled.max_memory = limit
        return method.layout(5000, 5000).largest_read

    plenty = pixels("auto")
    assert plenty > 2048**2
    there[0] = 10**9
    small = pixels("auto")
    assert small < plenty / 2
    there[0] = 2 * 10**9
    assert 1.2 * small < pixels("auto") < 4 * small
    there[0] = 10**12
    # What a tile's answer takes here, twice, and its values: 62 and 3 numbers a pixel.
    limited = pixels(10**8 + 260 * 500**2)
    assert 0.5 * 500**2 < limited <= 500**2


@pytest.mark.usefixtures("on_device")
def test_values_that_are_not_finite_are_refused(scene: xr.DataArray):
    method = network(guarantees=("consistent",))
    with torch.no_grad():
        next(method.backend.network.parameters()).fill_(float("nan"))
    with pytest.raises(DataError, match="NaN or infinite values at"):
        method(CLEAN.render(scene))
