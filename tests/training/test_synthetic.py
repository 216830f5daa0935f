"""Training on synthetic scenes: same seed, same bytes; and only what a step is to teach changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from respectra.cameras import get_track
from respectra.errors import ConfigError
from respectra.methods import load_weights
from respectra.methods.shipped import shipped
from respectra.training import Recipe, change_recipe, load_recipe, train
from respectra.training.recipe_parts import SyntheticRecipe, UncertaintyRecipe
from respectra.training.synthetic.module import (
    SyntheticBatches,
    SyntheticModule,
    chosen_buffers,
    quantile_loss,
)

SMALL = SyntheticRecipe(scenes=2, pixels=6, layouts=2, noisy=1.0)


def recipe(**changes: object) -> Recipe:
    found = change_recipe(
        load_recipe("respectra"),
        {
            "options": {"width": 8, "scene": 4, "rank": 4, "windows": (3,)},
            "synthetic.scenes": 2,
            "synthetic.pixels": 6,
            "synthetic.layouts": 2,
            "synthetic.noisy": 0.5,
            "synthetic.uncertainty.every": 3,
            "length.steps": 6,
            **changes,
        },
    )
    assert isinstance(found, Recipe)
    return found


@pytest.fixture(scope="module")
def batches() -> SyntheticBatches:
    """Small scenes of every kind, all with noisy patches."""
    return SyntheticBatches(SMALL, 7)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder."""
    out = tmp_path_factory.mktemp("runs") / "whole"
    train(recipe(), "synthetic", out, device="cpu")
    return out


def test_the_same_seed_gives_the_same_bytes_and_a_run_goes_on(
    finished: Path, tmp_path: Path
) -> None:
    train(recipe(), "synthetic", tmp_path, device="cpu")
    again, first = (folder / "best.safetensors" for folder in (tmp_path, finished))
    assert again.read_bytes() == first.read_bytes()
    train(recipe(**{"length.steps": 7}), "synthetic", tmp_path, device="cpu", resume=True)
    assert load_weights(tmp_path / "last.safetensors").provenance["step"] == 7


def test_weights_of_a_run_are_for_the_clean_track_of_which_nothing_is_said(finished: Path) -> None:
    found = load_weights(finished / "best.safetensors")
    assert found.contract.track == "clean"
    assert found.contract.clip_low == 0.0
    assert not found.tensors["said"].any()
    assert not found.tensors["noise_levels"].any()
    clean = get_track("clean").response_matrix(found.contract.wavelengths_nm)
    np.testing.assert_allclose(found.tensors["camera"], clean, rtol=1e-6)
    assert "earthlib" in found.provenance["spectra"]["reflectances"]


def test_batches_depend_on_the_seed_and_the_step_alone(batches: SyntheticBatches) -> None:
    first, _, again = batches[5], batches[9], batches[5]
    assert all(torch.equal(a.x, b.x) for a, b in zip(first, again, strict=True))
    other = SyntheticBatches(SMALL, 8)[5]
    assert not torch.equal(first[0].x, other[0].x)


def test_pictures_are_what_the_true_response_sees(batches: SyntheticBatches) -> None:
    scenes = batches.sampler.scenes("told")
    seen = torch.einsum("nbyx,bc->ncyx", scenes.truth, scenes.told["camera"])
    excess = seen - scenes.x
    assert excess.min() > -1e-5
    assert excess.max() <= scenes.told["step"] + 1e-5


def test_a_step_teaches_the_spectra_or_the_uncertainty(batches: SyntheticBatches) -> None:
    module = SyntheticModule(recipe(), batches.sampler, steps=6)
    for step, wanted in ((0, False), (2, True)):
        module.zero_grad()
        loss = _at(module, step).training_step(batches[step], 0)
        loss.backward()
        touched = {
            name.startswith("uncertainty_")
            for name, parameter in module.network.named_parameters()
            if parameter.grad is not None and parameter.grad.abs().max() > 0
        }
        assert touched == {wanted}


def _at(module: SyntheticModule, step: int) -> SyntheticModule:
    """The module as if this were the step."""
    kind = type("AtStep", (SyntheticModule,), {"global_step": step})
    module.__class__ = kind
    return module


def test_the_quantile_loss_is_least_where_the_share_lies_below_zero() -> None:
    values = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    grid = torch.linspace(-2, 2, 81)
    best = grid[torch.stack([quantile_loss(values - at, 0.683) for at in grid]).argmin()]
    assert float(best) == pytest.approx(float(values.quantile(0.683)), abs=0.06)


def test_one_in_so_many_steps_is_for_the_uncertainty() -> None:
    assert [step for step in range(7) if UncertaintyRecipe(every=3).at(step)] == [2, 5]
    assert all(UncertaintyRecipe(every=1).at(step) for step in range(3))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("hscnn-r-clean", {"preset": "tiny"}, "pixels without a place"),
        ("wiener", {}, "are for networks"),
        ("respectra-clean", {}, "no epochs"),
        ("respectra", {"loss.camera.weight": 1.0}, "loss.camera needs pictures of one camera"),
    ],
)
def test_what_cannot_learn_from_synthetic_scenes(
    tmp_path: Path, name: str, changes: dict[str, object], message: str
) -> None:
    run = tmp_path / "runs" / "first"
    with pytest.raises(ConfigError, match=message):
        train(change_recipe(load_recipe(name), changes), "synthetic", run, device="cpu")
    assert not run.parent.exists()


def test_a_folder_that_was_there_stays(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        train("respectra-clean", "synthetic", tmp_path, device="cpu")
    assert tmp_path.is_dir()
    assert not list(tmp_path.iterdir())


def test_several_processes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one process"):
        train(recipe(), "synthetic", tmp_path, device="cpu", processes=2)


def test_the_file_that_ships_says_what_its_recipe_states() -> None:
    weights, wanted = load_weights(shipped()), load_recipe("respectra")
    assert isinstance(wanted, Recipe)
    assert weights.provenance["recipe"] == "respectra"
    for name, chosen in chosen_buffers(wanted.synthetic.uncertainty).items():
        np.testing.assert_array_equal(weights.tensors[name], chosen.numpy(), err_msg=name)
