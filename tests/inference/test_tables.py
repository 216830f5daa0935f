"""A table gives what its method gives, as nearly as it says."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from colour.algebra import table_interpolation_tetrahedral
from safetensors import safe_open
from tests.inference.conftest import tiny_weights

import respectra as rs
from respectra.cli import bake as command  # noqa: F401 - registers it
from respectra.cli.app import run
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM
from respectra.errors import ConfigError, DataError, FormatError
from respectra.inference import Reconstructor, find_weights
from respectra.inference.tables import Table, bake
from respectra.methods import Contract, Weights, build_classical, configure, load_weights
from respectra.methods.classical.base import ClassicalMethod

BANDS = 31


def training_pairs():
    rng = np.random.default_rng(5)
    grid = np.linspace(0, 1, BANDS)
    bumps = np.exp(-(((grid - np.linspace(0, 1, 7)[:, None]) / 0.2) ** 2))
    spectra = rng.uniform(0, 1, (400, 7)) ** 2 @ bumps / 3 + 0.01
    response = np.exp(-(((grid[:, None] - np.array([0.8, 0.5, 0.2])) / 0.2) ** 2))
    response /= response.sum(axis=0)
    return spectra @ response, spectra, response


def fitted(name: str, contract: Contract | None = None, **options: object) -> Weights:
    rgb, spectra, response = training_pairs()
    method: ClassicalMethod = build_classical(name, **options)
    method.fit(rgb, spectra, response=response)
    return method.to_weights(contract or Contract(track="a camera of my own"))


@pytest.fixture(scope="module")
def linear():
    return bake(fitted("pseudo-inverse"))


@pytest.fixture(scope="module")
def rays():
    weights = fitted("root-polynomial", order=2)
    return weights, bake(weights, nodes=65)


@pytest.fixture(scope="module")
def cube():
    weights = fitted("polynomial", Contract(track="mine", clip_low=0.0), order=3)
    return weights, bake(weights, nodes=17)


def test_a_linear_method_needs_two_nodes_and_loses_nothing(linear, rng):
    assert (linear.facts.geometry, linear.facts.nodes) == ("rays", 2)
    rgb = rng.random((50, 40, 3), dtype=np.float32)
    expected = Reconstructor(fitted("pseudo-inverse")).predict(rgb)
    np.testing.assert_allclose(linear.apply(rgb), expected, rtol=2e-6, atol=2e-6)


def test_an_affine_method_needs_two_nodes_too():
    table = bake(fitted("pca", centred=True))
    assert (table.facts.geometry, table.facts.nodes) == ("cube", 2)
    assert table.facts.error.anywhere.maximum < 1e-4


@pytest.mark.parametrize("made", ["rays", "cube"])
def test_the_recorded_error_is_what_others_measure(made, request, rng):
    weights, table = request.getfixturevalue(made)
    rgb = (rng.random((20_000, 3)) * 0.01 ** rng.random((20_000, 1))).astype(np.float32)
    expected = Reconstructor(weights).predict(rgb[None])[0]
    size = np.abs(expected)
    floor = 0.01 * size.max(axis=1, keepdims=True)
    relative = np.abs(table.apply(rgb) - expected) / np.maximum(size, floor)
    error = table.facts.error.anywhere
    assert relative.mean() == pytest.approx(error.mean, rel=0.3)
    assert np.quantile(relative, 0.99) == pytest.approx(error.p99, rel=0.4)


def test_interpolation_is_tetrahedral(rng):
    """Against colour-science, on a table of noise with evenly spaced nodes."""
    base = bake(fitted("polynomial", order=2), nodes=5, geometry="cube")
    noise = rng.random((5**3, BANDS), dtype=np.float32)
    facts = base.facts.model_copy(update={"roots": 0})
    table = Table(base.method, base.config, base.contract, facts, noise)
    rgb = rng.random((500, 3), dtype=np.float32)
    result = table.apply(rgb)
    for start in range(0, 30, 3):
        expected = table_interpolation_tetrahedral(
            rgb, noise[:, start : start + 3].reshape(5, 5, 5, 3)
        )
        np.testing.assert_allclose(result[:, start : start + 3], expected, atol=2e-6)


@pytest.mark.parametrize("made", ["rays", "cube"])
def test_at_the_nodes_a_table_is_its_method(made, request):
    from respectra.inference.tables.geometry import node_colours, node_positions

    weights, table = request.getfixturevalue(made)
    facts = table.facts
    colours = node_colours(facts.geometry, node_positions(facts.nodes, facts.roots))
    rgb = colours.astype(np.float32)
    expected = Reconstructor(weights).predict(rgb[None])[0]
    np.testing.assert_allclose(table.apply(rgb), expected, rtol=1e-4, atol=1e-5)


def test_dark_pixels_are_as_exact_as_bright_ones(rays, rng):
    _, table = rays
    rgb = rng.random((300, 3), dtype=np.float32)
    bright = table.apply(rgb)
    scale = np.abs(bright).max(axis=1, keepdims=True)
    dark = table.apply(rgb * np.float32(2**-10)) * 2**10
    np.testing.assert_array_less(np.abs(dark - bright) / scale, 1e-6)
    assert not table.apply(np.zeros((1, 3), np.float32)).any()


@pytest.mark.parametrize("bits", [8, 16])
def test_codes_are_values(rays, cube, rng, bits):
    codes = rng.integers(0, 2**bits, (40, 30, 3), dtype=f"uint{bits}")
    values = (codes / (2**bits - 1)).astype(np.float32)
    for _, table in (rays, cube):
        np.testing.assert_allclose(table.apply(codes), table.apply(values), rtol=1e-4, atol=2e-5)


def test_types_of_the_output(cube, rng):
    _, table = cube
    rgb = rng.random((7, 11, 3), dtype=np.float32)
    spectra = table.apply(rgb)
    np.testing.assert_array_equal(table.apply(rgb, dtype="float16"), spectra.astype(np.float16))
    for dtype in ("uint8", "uint16"):
        codes = table.apply(rgb, dtype=dtype)
        assert codes.dtype == dtype
        unit = table.code_unit(dtype)
        np.testing.assert_allclose(codes * unit, spectra, atol=0.501 * unit)


@pytest.mark.parametrize("bands", [1, 3, 8, 31, 33])
def test_any_number_of_bands_fills_its_buffer_and_no_more(bands, rng):
    contract = Contract(wavelengths_nm=tuple(400.0 + 5 * k for k in range(bands)), track="mine")
    matrix = rng.random((3, bands))
    rgb = rng.random((400, 3))
    method = build_classical("pseudo-inverse").fit(rgb, rgb @ matrix)
    table = bake(method.to_weights(contract))
    size = 100_000 * bands
    guarded = np.full(size + 64, 7.0, np.float32)
    out = guarded[32:-32].reshape(100_000, bands)
    pixels = rng.random((100_000, 3), dtype=np.float32)
    assert table.apply(pixels, out=out, threads=3) is out
    np.testing.assert_allclose(out, pixels @ matrix, rtol=1e-4, atol=1e-5)
    assert (guarded[:32] == 7).all()
    assert (guarded[-32:] == 7).all()


def test_the_contracts_scaling_and_order_become_part_of_the_table(rng):
    scaled = {"scaling": "standardised", "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.1)}
    contract = Contract(channel_order="BGR", track="mine", clip_high=0.4, **scaled)
    weights = fitted("polynomial", contract, order=1, constant=True)
    table = bake(weights)
    rgb = rng.random((6, 5, 3), dtype=np.float32)
    expected = Reconstructor(weights).predict(rgb)
    assert (expected == np.float32(0.4)).any()
    np.testing.assert_allclose(table.apply(rgb), expected, atol=2e-5)
    image = rs.make_image(rgb)
    np.testing.assert_allclose(Reconstructor(table.to_weights())(image), expected, atol=2e-5)


def test_a_file_of_a_table_loads_like_weights(cube, tmp_path, rng):
    weights, table = cube
    table.save(tmp_path / "method.lut")
    image = rs.make_image(rng.random((9, 8, 3)))
    reconstructor = rs.load(tmp_path / "method.lut")
    result = reconstructor(image)
    np.testing.assert_array_equal(result, table.apply(image.values))
    np.testing.assert_array_equal(result["wavelength"], CHALLENGE_WAVELENGTHS_NM)
    assert reconstructor.name == weights.method == "polynomial"
    with safe_open(tmp_path / "method.lut", framework="numpy") as file:
        header = json.loads(file.metadata()["respectra"])
    assert header["baked"]["nodes"] == 17
    assert header["baked"]["error"]["anywhere"]["mean"] > 0


def test_a_network_that_sees_one_pixel_becomes_a_table(monkeypatch, rng):
    from respectra.inference.backends import make_backend
    from respectra.methods import get_network
    from respectra.methods.registry import methods

    entry = get_network("hscnn-r")

    def network(config):
        torch.manual_seed(0)
        return torch.nn.Sequential(
            torch.nn.Conv2d(3, 8, 1), torch.nn.Tanh(), torch.nn.Conv2d(8, BANDS, 1)
        )

    fields = {**entry.__dict__, "halo": lambda config: 0, "network": network}
    flat = type(entry)(**fields)
    monkeypatch.setitem(methods()._loaded, "hscnn-r", flat)
    config = configure("hscnn-r", preset="tiny")
    state = {key: tensor.numpy() for key, tensor in network(config).state_dict().items()}
    weights = Weights("hscnn-r", config, Contract(track="mine"), state)
    table = bake(weights)
    assert table.facts.geometry == "cube"
    rgb = rng.random((30, 20, 3), dtype=np.float32)
    expected = make_backend(weights)(rgb)
    np.testing.assert_allclose(table.apply(rgb), expected, atol=2e-3)


def test_methods_that_look_further_are_refused():
    with pytest.raises(ConfigError, match=r"looks at neighbours up to \d+ pixels away"):
        bake(tiny_weights("hscnn-r"))
    with pytest.raises(ConfigError, match="looks at the whole image"):
        bake(tiny_weights("awan"))
    stretched = fitted("pseudo-inverse", Contract(scaling="min-max"))
    with pytest.raises(ConfigError, match="by its own range"):
        bake(stretched)


def test_what_makes_no_sense_is_refused(cube, linear):
    weights, table = cube
    with pytest.raises(ConfigError, match="2 to 513 nodes"):
        bake(weights, nodes=1)
    with pytest.raises(ConfigError, match="do not grow in proportion to the light"):
        bake(weights, geometry="rays")
    with pytest.raises(ConfigError, match="table of polynomial already"):
        bake(table.to_weights())
    with pytest.raises(DataError, match="holds no negative values"):
        linear.apply(np.zeros((1, 3), np.float32), dtype="uint8")
    for bad in (np.nan, -0.1, 1.1):
        with pytest.raises(DataError, match="knows colours from 0 to 1"):
            table.apply(np.array([[0.5, bad, 0.5]], np.float32))
    with pytest.raises(DataError, match="3 channels"):
        table.apply(np.zeros((3, 4), np.float32))
    with pytest.raises(DataError, match="out is a C-contiguous array"):
        table.apply(np.zeros((4, 3), np.float32), out=np.zeros((4, 30), np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": 9}, "holds float32 spectra of shape"),
        ({"nodes": 10**6}, "header of the table is damaged"),
        ({"geometry": "sphere"}, "header of the table is damaged"),
        ({"surprise": 1}, "header of the table is damaged"),
    ],
)
def test_a_damaged_file_is_refused(cube, tmp_path, change, message):
    good = cube[1].to_weights()
    bad = Weights(
        good.method, good.config, good.contract, good.tensors, {}, {**good.baked, **change}
    )
    with pytest.raises(FormatError, match=message):
        Reconstructor(bad)


def test_values_that_are_not_finite_are_refused(cube):
    good = cube[1].to_weights()
    spectra = good.tensors["spectra"].copy()
    spectra[3, 4] = np.nan
    bad = Weights(good.method, good.config, good.contract, {"spectra": spectra}, {}, good.baked)
    with pytest.raises(FormatError, match="not finite"):
        Reconstructor(bad)


def test_bake_on_the_command_line(tmp_path, capsys):
    target = tmp_path / "method.lut"
    assert run(["bake", "pseudo-inverse", "-o", str(target), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["nodes"] == 2
    assert told["error"]["surfaces"]["maximum"] < 1e-4
    assert load_weights(target).baked["geometry"] == "rays"
    assert run(["bake", "pseudo-inverse", "-o", str(target)]) == 1
    assert "exists already" in capsys.readouterr().err


def test_numba_is_imported_when_a_table_is_used_and_not_before():
    code = (
        "import sys, respectra.inference, respectra.inference.tables; "
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def coded_image():
    """8-bit codes of all kinds: dark, bright, saturated, with channels at 0 and at 255."""
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 256, (60, 50, 3))
    codes[:10] //= 32
    codes[10:20, :, 1] = 0
    codes[20:30] = np.where(codes[20:30] > 128, 255, 0)
    return rs.make_image(codes.astype(np.float32) / np.float32(255), bits=8, track="clean")


@pytest.mark.parametrize(
    ("name", "geometry"), [("root-polynomial", "rays"), ("polynomial", "cube")]
)
def test_a_consistent_table_gives_the_image_back_to_the_bit(name, geometry, coded_image, tmp_path):
    table = bake(find_weights(name), guarantees=["consistent"], nodes=17)
    assert table.facts.geometry == geometry
    table.save(tmp_path / "method.lut")
    plain = rs.load(name)(coded_image)
    cube = rs.load(tmp_path / "method.lut")(coded_image)
    track = rs.get_track("clean")
    np.testing.assert_array_equal(track.render(cube), coded_image)
    assert cube.attrs["guarantees"] == "consistent"
    assert (track.project(plain) - coded_image).max() > 0.5 / 255


def test_a_consistent_table_keeps_its_speed_and_is_not_moved_again(coded_image, monkeypatch):
    weights = bake(find_weights("polynomial"), guarantees=["consistent"], nodes=9).to_weights()
    reconstructor = Reconstructor(weights, guarantees=["consistent"])
    with monkeypatch.context() as patch:
        patch.setattr(type(reconstructor.guarantees), "enforce", None)
        reconstructor(coded_image)
    finer = rs.make_image(0.2 + 0.6 * coded_image.values, bits=16, track="clean")
    cube = reconstructor(finer)
    low, high = rs.get_track("clean").code_bounds(finer)
    seen = rs.get_track("clean").project(cube).values
    assert ((seen > low - 1e-6) & (seen < high + 1e-6)).all()


def test_a_table_without_negative_values(rng):
    table = bake(fitted("polynomial", order=3), guarantees=["non-negative"], nodes=9)
    rgb = rng.random((5000, 3), dtype=np.float32)
    assert bake(fitted("polynomial", order=3), nodes=9).apply(rgb).min() < 0
    assert table.apply(rgb).min() >= 0
    assert table.facts.guarantees == ("non-negative",)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["consistent-exact"], "depends on how many bits"),
        (["smooth"], "spectra between smooth ones"),
        (["exposure-invariant"], "brightest pixel of the image"),
        (["consistent", "non-negative"], "no spectrum without negative values has"),
    ],
)
def test_guarantees_that_do_not_hold_between_nodes_are_refused(names, message):
    with pytest.raises(ConfigError, match=message):
        bake(find_weights("polynomial"), guarantees=names)


def test_a_table_of_a_noisy_camera_cannot_be_consistent():
    with pytest.raises(ConfigError, match="one of neighbourhoods"):
        bake(find_weights("polynomial", track="real-world"), guarantees=["consistent"])


def test_a_table_is_neither_measured_nor_cut(cube, monkeypatch, rng):
    from respectra.inference.backends import base

    monkeypatch.setattr(base, "measure_memory", None)
    image = rs.make_image(rng.random((20, 3000, 3)))
    table = Reconstructor(cube[1].to_weights(), max_memory="8GB")
    assert table.tiled.layout_in_memory(*image.values.shape[:2]).whole
    np.testing.assert_array_equal(table(image), cube[1].apply(image.values))
    with pytest.raises(ConfigError, match=r"too little for polynomial: a tile of 60,000 pixels"):
        Reconstructor(cube[1].to_weights(), max_memory="1MB")(image)


def test_coefficients_go_into_a_buffer_that_fits(cube, rng):
    _, table = cube
    rgb, basis = rng.random((40, 30, 3), dtype=np.float32), table.basis(4)
    buffer = np.full((40, 30, 4), np.nan, np.float32)
    assert table.coefficients(rgb, basis, out=buffer) is buffer
    np.testing.assert_array_equal(buffer, table.coefficients(rgb, basis))
    with pytest.raises(DataError, match="type float32; got float16"):
        table.coefficients(rgb, basis, out=buffer.astype(np.float16))


def test_the_network_that_ships_becomes_the_table_of_its_single_pixels():
    table = bake(find_weights("default"), nodes=65)
    assert table.facts.geometry == "rays"
    assert table.facts.error.surfaces.mean < 0.002
    recover = rs.load("default")
    for colour in ([[[0.4, 0.3, 0.2]]], [[[0.02, 0.05, 0.03]]]):
        alone = recover.predict(np.array(colour, np.float32))
        found = table.apply(np.array(colour, np.float32))
        np.testing.assert_allclose(found, alone, atol=0.02 * alone.max())
