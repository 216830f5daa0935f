"""Ensembles of one method over symmetries, and of several methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from tests.inference.clips import write_clip

import respectra as rs
from respectra.cli import reconstruct  # noqa: F401 - registers the command
from respectra.cli.app import run
from respectra.datasets.patches import SYMMETRIES, turn, turn_back
from respectra.errors import ConfigError
from respectra.inference import (
    ModelEnsemble,
    Reconstructor,
    SelfEnsemble,
    reconstruct_file,
    reconstruct_video,
)
from respectra.inference.averages import mean_of, moments
from respectra.methods import Contract, Weights, configure, fresh_weights, save_weights


@pytest.fixture(scope="module")
def weights() -> Weights:
    """A small network, which sees edges and so has a sense of direction."""
    torch.manual_seed(1)
    config = configure("hscnn-r", preset="tiny", width=8, blocks=1)
    network = rs.build_network("hscnn-r", preset="tiny", width=8, blocks=1)
    tensors = {name: t.numpy() for name, t in network.state_dict().items()}
    return Weights("hscnn-r", config, Contract(), tensors)


@pytest.fixture
def image(rng: np.random.Generator) -> xr.DataArray:
    return rs.make_image(rng.uniform(0.05, 0.9, (14, 9, 3)), track="clean", bits=32)


@pytest.mark.parametrize(
    ("name", "count"), [("none", 1), ("horizontal", 2), ("vertical", 2), ("flips", 4), ("all", 8)]
)
def test_symmetries_of_a_set_differ_and_are_undone(name: str, count: int) -> None:
    array = np.arange(4 * 6).reshape(4, 6)
    turned = [turn(array, s) for s in SYMMETRIES[name]]
    assert len({(t.shape, t.tobytes()) for t in turned}) == count
    for symmetry, t in zip(SYMMETRIES[name], turned, strict=True):
        np.testing.assert_array_equal(turn_back(t, symmetry), array)


def test_the_mean_over_all_symmetries_is_symmetric(weights: Weights, image: xr.DataArray) -> None:
    plain, ensemble = Reconstructor(weights), SelfEnsemble(weights, symmetries="all")
    for symmetry in SYMMETRIES["all"]:
        other = (
            image.copy(data=turn(image.values, symmetry))
            if symmetry < 4
            else (rs.make_image(turn(image.values, symmetry), track="clean", bits=32))
        )
        expected = turn(ensemble(image).values, symmetry)
        np.testing.assert_allclose(ensemble(other).values, expected, atol=1e-6)
    assert np.abs(plain(image).values - ensemble(image).values).max() > 1e-4


def test_it_is_the_mean_of_what_the_plain_method_says(
    weights: Weights, image: xr.DataArray
) -> None:
    plain = Reconstructor(weights)
    answers = [plain.predict(image.values), plain.predict(image.values[:, ::-1])[:, ::-1]]
    cube, deviation = SelfEnsemble(weights, symmetries="horizontal").with_uncertainty(image)
    np.testing.assert_allclose(cube.values, np.mean(answers, axis=0), atol=1e-6)
    np.testing.assert_allclose(deviation.values, np.std(answers, axis=0), atol=1e-6)
    np.testing.assert_allclose(
        SelfEnsemble(weights, symmetries="horizontal")(image).values, cube.values, atol=1e-6
    )


def test_tiles_do_not_change_it(weights: Weights, image: xr.DataArray) -> None:
    whole = SelfEnsemble(weights, symmetries="all")(image)
    tiles = SelfEnsemble(weights, symmetries="all", tile=5)(image)
    np.testing.assert_allclose(tiles.values, whole.values, atol=1e-5)


def test_loading_makes_one(weights: Weights, tmp_path: object, image: xr.DataArray) -> None:
    path = f"{tmp_path}/weights.safetensors"
    save_weights(weights, path)
    rec = rs.load(path, self_ensemble="flips")
    assert rec.self_ensemble == "flips"
    assert rs.load(path).self_ensemble == "none"
    assert rec.signature() != rs.load(path).signature()
    with pytest.raises(ConfigError, match=r"unknown self-ensemble 'flip'.*flips"):
        rs.load(path, self_ensemble="flip")


def test_a_pixelwise_method_agrees_with_itself(
    image: xr.DataArray, members: list[Reconstructor]
) -> None:
    rec = SelfEnsemble(members[2].weights, symmetries="all")
    cube, deviation = rec.with_uncertainty(image)
    np.testing.assert_allclose(cube.values, members[2](image).values, atol=1e-6)
    assert float(np.abs(deviation.values).max()) < 1e-6


def test_guarantees_hold_for_the_mean(weights: Weights, image: xr.DataArray) -> None:
    rec = SelfEnsemble(weights, symmetries="flips", guarantees=["consistent"])
    track = rs.get_track("clean")
    seen = track.project(rec(image)).values
    np.testing.assert_allclose(seen, image.values, atol=1e-5)
    np.testing.assert_allclose(
        track.project(rec.with_uncertainty(image)[0]).values, image.values, atol=1e-5
    )


@pytest.fixture(scope="module")
def members() -> list[Reconstructor]:
    return [rs.load(name) for name in ("pseudo-inverse", "wiener", "root-polynomial")]


def test_mean_weighted_mean_and_median(image: xr.DataArray, members: list[Reconstructor]) -> None:
    answers = np.stack([member(image).values for member in members])
    weights = [2.0, 1.0, 1.0]
    for ensemble, expected in (
        (ModelEnsemble(members), answers.mean(axis=0)),
        (
            ModelEnsemble(members, combine="weighted", weights=weights),
            np.average(answers, axis=0, weights=weights),
        ),
        (ModelEnsemble(members, combine="median"), np.median(answers, axis=0)),
    ):
        cube, _ = ensemble.with_uncertainty(image)
        np.testing.assert_allclose(ensemble(image).values, expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(cube.values, expected, rtol=1e-5, atol=1e-6)
    assert cube.attrs["ensemble"] == "median"


def test_the_spread_is_the_members_deviation(
    image: xr.DataArray, members: list[Reconstructor]
) -> None:
    answers = np.stack([member(image).values for member in members])
    _, deviation = ModelEnsemble(members).with_uncertainty(image)
    np.testing.assert_allclose(deviation.values, answers.std(axis=0), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"combine": "average"}, "unknown way to combine"),
        ({"combine": "weighted"}, "weights belong to"),
        ({"weights": [1.0, 1.0, 1.0]}, "weights belong to"),
        ({"combine": "weighted", "weights": [1.0, 1.0]}, "3 positive numbers"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    options: dict[str, object], message: str, members: list[Reconstructor]
) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelEnsemble(members, **options)


def test_members_must_speak_of_the_same(weights: Weights) -> None:
    other = Reconstructor(
        Weights(weights.method, weights.config, Contract(track="real-world"), weights.tensors)
    )
    with pytest.raises(ConfigError, match="share their track"):
        ModelEnsemble([Reconstructor(weights), other])
    with pytest.raises(ConfigError, match="at least one"):
        ModelEnsemble([])
    told = rs.load("pca").with_capture(rs.Capture(camera="ampas-nikon-d700", light="A"))
    with pytest.raises(ConfigError, match="for pictures of the camera 'ampas-nikon-d700', wiener"):
        ModelEnsemble([told, rs.load("wiener")])


def test_what_references_taught_of_each_member_is_said(
    members: list[Reconstructor], tmp_path: Path, rng: np.random.Generator
) -> None:
    grid = range(400, 701, 10)
    greys = np.repeat(rng.uniform(0.2, 0.8, (12, 14, 1)), 31, axis=2)
    image = rs.get_track("clean").render(rs.make_cube(greys, grid))
    rs.save_image(image, tmp_path / "p_clean.png")
    references = rs.References([(0, 0), (1, 0)], greys[:2, 0], grid)
    ensemble = ModelEnsemble(members).mapped(lambda m: m.with_references(image, references))
    reconstruct_file(ensemble, tmp_path / "p_clean.png", tmp_path / "cube.zarr", kind="clean")
    for cube in (ensemble(image), rs.open_cube(tmp_path / "cube.zarr")):
        for member in members:
            assert f"{member.name}: 2 references" in cube.attrs["references"]


def test_moments_are_numpys(rng: np.random.Generator) -> None:
    answers = rng.normal(size=(5, 3, 4, 2)).astype(np.float32)
    weights = [1.0, 2.0, 3.0, 4.0, 5.0]
    mean, deviation = moments(iter(answers), weights)
    expected = np.average(answers, axis=0, weights=weights)
    np.testing.assert_allclose(mean, expected, atol=1e-6)
    np.testing.assert_allclose(mean_of(iter(answers), weights), expected, atol=1e-6)
    variance = np.average((answers - expected) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(deviation, np.sqrt(variance), atol=1e-6)


@pytest.fixture(scope="module")
def pair(weights: Weights) -> list[Reconstructor]:
    """Methods with different halos, scales and engines."""
    return [Reconstructor(weights, tile=16), rs.load("wiener"), rs.load("default", tile=16)]


def test_a_file_is_reconstructed_piece_by_piece(
    pair: list[Reconstructor], tmp_path: Path, rng: np.random.Generator
) -> None:
    codes = rng.integers(5, 250, (40, 52, 3), dtype=np.uint8)
    np.save(tmp_path / "p.npy", codes)
    picture = rs.make_image(codes / np.float32(255), track="clean", bits=8)
    for options in ({}, {"combine": "weighted", "weights": [1, 2, 3]}, {"combine": "median"}):
        ensemble = ModelEnsemble(pair, **options)
        target = tmp_path / f"{len(options)}{options.get('combine')}.zarr"
        done = reconstruct_file(ensemble, tmp_path / "p.npy", target, kind="clean")
        assert done.layout.count > 4
        cube = rs.open_cube(target)
        np.testing.assert_allclose(cube, ensemble(picture), rtol=0, atol=2e-5)
        assert cube.attrs["ensemble"] == ensemble.combine
        assert cube.attrs["method"] == ensemble.name


def test_a_run_that_stopped_goes_on(
    pair: list[Reconstructor], tmp_path: Path, rng: np.random.Generator
) -> None:
    np.save(tmp_path / "p.npy", rng.integers(5, 250, (40, 52, 3), dtype=np.uint8))
    ensemble = ModelEnsemble(pair)

    def stop(done: int, total: int, what: str) -> None:
        if done == 3:
            raise KeyboardInterrupt

    source, target = tmp_path / "p.npy", tmp_path / "cube.zarr"
    with pytest.raises(KeyboardInterrupt):
        reconstruct_file(ensemble, source, target, kind="clean", progress=stop)
    assert reconstruct_file(ensemble, source, target, kind="clean").resumed == 3
    whole = tmp_path / "whole.zarr"
    reconstruct_file(ensemble, source, whole, kind="clean")
    np.testing.assert_array_equal(rs.open_cube(target), rs.open_cube(whole))


def test_photographs_get_each_members_capture(
    members: list[Reconstructor], tmp_path: Path, rng: np.random.Generator
) -> None:
    photo = rs.make_image(rng.integers(5, 250, (12, 14, 3)) / 255, encoding="srgb", bits=8)
    rs.save_image(photo, tmp_path / "photo.png")
    ensemble = ModelEnsemble(members)
    expected = ensemble(rs.open_image(tmp_path / "photo.png", encoding="srgb"))
    assert expected.attrs["quantity"] == "reflectance"
    reconstruct_file(ensemble, tmp_path / "photo.png", tmp_path / "cube.zarr")
    cube = rs.open_cube(tmp_path / "cube.zarr")
    np.testing.assert_allclose(cube, expected, rtol=0, atol=1e-5)
    assert cube.attrs["quantity"] == "reflectance"
    (outcome,) = rs.reconstruct_files(tmp_path / "photo.png", tmp_path / "one.npz", ensemble)
    assert outcome.status == "done"
    np.testing.assert_allclose(rs.open_cube(tmp_path / "one.npz"), expected, rtol=0, atol=1e-5)


def test_a_folder_and_the_command_line_take_several_weights(
    members: list[Reconstructor], tmp_path: Path, rng: np.random.Generator
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        picture = rs.make_image(rng.integers(5, 250, (9, 8, 3)) / 255, encoding="srgb", bits=8)
        rs.save_image(picture, folder / f"{name}.png")
    arguments = ["reconstruct", str(folder), "--format", "npz", "-o", str(tmp_path / "out")]
    for number, member in enumerate(members[:2]):
        save_weights(member.weights, tmp_path / f"{number}.safetensors")
        arguments += ["--weights", str(tmp_path / f"{number}.safetensors")]
    assert run(arguments) == 0
    expected = ModelEnsemble(members[:2])(rs.open_image(folder / "b.png", encoding="srgb"))
    cube = rs.open_cube(tmp_path / "out" / "b.npz")
    np.testing.assert_allclose(cube, expected, rtol=0, atol=1e-6)
    again = rs.reconstruct_files(
        folder, tmp_path / "out", [tmp_path / "0.safetensors", tmp_path / "1.safetensors"],
        suffix="npz", max_memory="auto",
    )  # fmt: skip
    assert [outcome.status for outcome in again] == ["skipped", "skipped"]


def test_clips(members: list[Reconstructor], tmp_path: Path, rng: np.random.Generator) -> None:
    frames = rng.integers(0, 255, (2, 16, 16, 3), dtype=np.uint8)
    clip = write_clip(tmp_path / "c.mkv", frames)
    ensemble = ModelEnsemble(members)
    reconstruct_video(ensemble, clip, tmp_path / "c.zarr")
    photo = rs.make_image(frames[1] / np.float32(255), encoding="srgb", bits=8)
    with xr.open_zarr(tmp_path / "c.zarr", consolidated=False) as stored:
        np.testing.assert_allclose(stored.cube[1], ensemble(photo), rtol=0, atol=1e-5)
    with pytest.raises(ConfigError, match="share no basis"):
        reconstruct_video(ensemble, clip, tmp_path / "low.zarr", low_rank=True)


def test_what_cannot_share_tiles_says_so(
    members: list[Reconstructor], tmp_path: Path, rng: np.random.Generator
) -> None:
    np.save(tmp_path / "p.npy", rng.integers(5, 250, (40, 52, 3), dtype=np.uint8))
    ensemble = ModelEnsemble([members[0], Reconstructor(fresh_weights("lwrdanet", preset="tiny"))])
    with pytest.raises(ConfigError, match="tiles of lwrdanet cannot be those of other methods"):
        reconstruct_file(ensemble, tmp_path / "p.npy", tmp_path / "c.zarr", kind="clean")
    assert ensemble.signature() != ModelEnsemble(members[:1]).signature()
