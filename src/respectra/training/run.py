"""A run: from a recipe and data to weights, in a folder that says all about it."""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.pytorch import LightningDataModule

import respectra
from respectra.cameras import get_track
from respectra.datasets.patches import Patches
from respectra.errors import ConfigError, OutputError
from respectra.files import file_lock, writing_to
from respectra.identity import content_hash
from respectra.methods import Weights, load_weights
from respectra.progress import Progress, as_progress
from respectra.renaming import renamed_arguments
from respectra.training.classical import fit_classical
from respectra.training.data import StepBatches, TrainingData
from respectra.training.folder import RunFolder, model_card
from respectra.training.guards import leave_out_small, require_trainable
from respectra.training.hardware import Estimate, estimate_cost, pick_device
from respectra.training.lightning_trainer import fit, make_trainer, quiet_lightning
from respectra.training.module import TrainingModule
from respectra.training.nodes import Team, find_team
from respectra.training.recipe import AnyRecipe, ClassicalRecipe, Recipe
from respectra.training.recipe_files import differences, load_recipe, save_recipe
from respectra.training.recipe_parts import is_synthetic
from respectra.training.recorder import Recorder
from respectra.training.source import SceneList, TrainingScenes, open_scenes

_HINT = "see to the folder, and resume the run"
Data = Literal["synthetic"] | Sequence[str | os.PathLike[str]] | TrainingScenes


@dataclass(frozen=True)
class RunResult:
    """What a run left.

    Example:
        >>> from pathlib import Path
        >>> RunResult(Path("run"), Path("run/best.safetensors"), {"mrae": 0.05}, 1000).scores
        {'mrae': 0.05}
    """

    folder: Path
    best: Path
    """The weights with the lowest validation MRAE; the last ones when nothing validated."""
    scores: Mapping[str, float]
    """Validation scores of the best weights."""
    step: int
    """Step of the best weights."""


@renamed_arguments(on_progress="progress")
def train(
    recipe: AnyRecipe | str | os.PathLike[str],
    data: Data,
    out: str | os.PathLike[str],
    *,
    resume: bool = False,
    start: str | os.PathLike[str] | None = None,
    device: str = "auto",
    processes: int = 1,
    nodes: int = 1,
    workers: int = 0,
    checkpoint_minutes: float = 5.0,
    on_estimate: Callable[[Estimate], None] | None = None,
    progress: Progress | None = None,
) -> RunResult:
    """Train a network, or fit a classical method, and leave a run folder.

    A run that is killed at any moment and resumed ends, on a CPU with the same number of threads,
    with the same bytes as one that was not.

    Args:
        recipe: a recipe, the name of one, or a YAML file.
        data: a store, folders of cubes, scenes that are open already, or ``synthetic``: scenes
            without end of measured reflectances, seen by random cameras under random lights, for
            networks that can be told of captures. Of a URL, a copy is kept in the cache folder of
            each machine.
        out: the run folder.
        resume: continue the run that is there; start one when there is none. The recipe may have
            another length than before: a run that is finished goes on with more steps, its
            schedule that of the new length.
        start: a weights file to start from, for fine-tuning; fresh weights by default.
        device: ``auto``, ``cpu`` or ``cuda``.
        processes: how many train together, each on its own GPU or its share of the cores. They are
            started anew and import the calling script: call this under
            ``if __name__ == "__main__"``. Those that torchrun or srun started are found by
            themselves: each calls this, and the first one writes.
        nodes: machines that train together, each with so many processes; see
            :func:`respectra.training.nodes.find_team`.
        workers: processes that cut patches.
        checkpoint_minutes: about how long the work since the last checkpoint may get.
        on_estimate: told what the run will cost, before its first step.
        progress: told about every step; with several processes it must be a function of a module.

    Raises:
        ConfigError: the recipe is not that of the run to resume, or cannot be followed here.
        DataError: the data cannot be used, or the loss became infinite or NaN.
        OutputError: the folder holds a run already, another process writes it, or it cannot be
            written.

    Example:
        >>> import numpy as np
        >>> import respectra as rs
        >>> from pathlib import Path
        >>> Path("cubes").mkdir()
        >>> rng = np.random.default_rng(0)
        >>> for name in "abcd":
        ...     cube = rs.make_cube(rng.random((32, 32, 31), np.float32), range(400, 701, 10))
        ...     rs.save_cube(cube, f"cubes/{name}.npz")
        >>> result = rs.training.train("wiener", ["cubes"], "run")
        >>> rs.load(result.best).card.name
        'wiener'
    """
    if not isinstance(recipe, Recipe | ClassicalRecipe):
        recipe = load_recipe(recipe)
    team = find_team(processes, nodes)
    where = pick_device(device)
    folder = RunFolder(out)
    with _held(folder, team, where):
        if team.writes and folder.is_started and not resume:
            raise OutputError(
                f"{folder.root} holds a run already; resume it or choose another folder"
            )
        begun_with = None if start is None else load_weights(start)
        digest = None if start is None else content_hash(start)
        if is_synthetic(data):
            job = _synthetic_job(recipe, begun_with, team=team, workers=workers)
        else:
            scenes = _open(recipe, data)
            if isinstance(recipe, ClassicalRecipe):
                if start is not None:
                    raise ConfigError(
                        f"{recipe.method} is fitted at once; it starts from no weights"
                    )
                facts = _facts(recipe, scenes)
                if team.writes:
                    _begin(folder, recipe, facts)
                    folder.write_fitted(fit_classical(recipe, scenes, provenance=facts))
                return _result(recipe, folder, team)
            job = _job(recipe, scenes, begun_with, team=team, workers=workers)
        facts = {**_facts(recipe, job.scenes, begun_with, digest), **job.facts}
        if team.writes:
            _begin(folder, recipe, facts)
        _run(
            job,
            folder,
            facts,
            device=where,
            team=team,
            checkpoint_minutes=checkpoint_minutes,
            on_estimate=on_estimate,
            progress=as_progress(progress),
        )
        return _result(recipe, folder, team)


@contextlib.contextmanager
def _held(folder: RunFolder, team: Team, device: torch.device) -> Iterator[None]:
    """Within this block no other run writes to the folder, and processes know of one another."""
    with contextlib.ExitStack() as stack:
        if team.writes:
            stack.enter_context(folder.removed_if_empty())
            stack.enter_context(file_lock(folder.root, inside=True))
        stack.enter_context(writing_to(folder.root, _HINT))
        stack.enter_context(team.joined(device))
        yield


@dataclass(frozen=True)
class _Job:
    """What a run of a network does."""

    module: TrainingModule
    data: LightningDataModule
    scenes: TrainingScenes
    estimate: Callable[[torch.device], Estimate]
    """What it will cost on a device."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Of its data, besides the scenes."""


def _open(recipe: AnyRecipe, data: Data) -> TrainingScenes:
    if isinstance(data, TrainingScenes):
        return data
    return open_scenes(
        data,
        recipe.data,
        track=get_track(recipe.track),
        contract=recipe.contract(),
        seed=recipe.seed,
    )


def _job(
    recipe: Recipe,
    scenes: TrainingScenes,
    begun_with: Weights | None,
    *,
    team: Team,
    workers: int,
) -> _Job:
    """Training on patches of cubes."""
    patches = Patches(scenes.train, recipe.patches.options(recipe.track), seed=recipe.seed)
    scenes = leave_out_small(scenes, patches, recipe)
    steps = recipe.length.in_steps(len(patches) / recipe.batch)
    module = TrainingModule(recipe, steps=steps, start=begun_with)
    require_trainable(module, patches, processes=team.size)
    with_bounds = not recipe.contract().keeps_exposure
    batches = functools.partial(StepBatches, patches, recipe.batch, with_bounds=with_bounds)
    data = TrainingData(batches, workers=workers)

    def estimate(device: torch.device) -> Estimate:
        return estimate_cost(
            module, patches, batch=recipe.batch, processes=team.size, device=device
        )

    return _Job(module, data, scenes, estimate)


def _synthetic_job(
    recipe: AnyRecipe, begun_with: Weights | None, *, team: Team, workers: int
) -> _Job:
    """Training on synthetic scenes, which are made as they are needed.

    Raises:
        ConfigError: the method cannot learn from them, or the length is in epochs.
    """
    from respectra.training.synthetic.module import (
        SyntheticBatches,
        SyntheticModule,
        require_synthetic,
        spectra_facts,
        synthetic_cost,
    )

    recipe = require_synthetic(recipe, processes=team.size)
    batches = SyntheticBatches(recipe.synthetic, recipe.seed)
    steps = recipe.length.in_steps(0.0)
    module = SyntheticModule(recipe, batches.sampler, steps=steps, start=begun_with)
    data = TrainingData(lambda **_: batches, workers=workers)
    measured = TrainingScenes(SceneList((), module.contract.wavelengths_nm), None, {})

    def estimate(device: torch.device) -> Estimate:
        return synthetic_cost(module, batches[0], device)

    return _Job(module, data, measured, estimate, {"spectra": spectra_facts(recipe.synthetic)})


def _result(recipe: AnyRecipe, folder: RunFolder, team: Team) -> RunResult:
    team.wait()
    if not team.writes and not folder.best.is_file():  # of a node that is ahead of the first
        return RunResult(folder.root, folder.best, scores={}, step=0)
    best = load_weights(folder.best)
    if team.writes:
        folder.write_card(model_card(recipe, best))
    return RunResult(
        folder.root,
        folder.best,
        scores=dict(best.provenance["validation"]),
        step=int(best.provenance.get("step", 0)),
    )


def _facts(
    recipe: AnyRecipe,
    scenes: TrainingScenes,
    begun_with: Weights | None = None,
    digest: str | None = None,
) -> dict[str, Any]:
    """What decides a run, besides its recipe, and goes into the weights."""
    facts: dict[str, Any] = {
        "recipe": recipe.name,
        "seed": recipe.seed,
        "scenes": scenes.names(),
        "skipped": dict(scenes.skipped),
        "sha256": dict(scenes.hashes),
        "validation_sha256": scenes.validation_hashes,
        "versions": _versions(),
    }
    if begun_with is not None:
        facts["started_from"] = {
            "method": begun_with.method,
            "sha256": digest,
            "provenance": dict(begun_with.provenance),
        }
    return facts


def _begin(folder: RunFolder, recipe: AnyRecipe, facts: Mapping[str, Any]) -> None:
    """Freeze what decides the run, or see that it is what it was when the run began."""
    if not folder.is_started:
        folder.recipe.unlink(missing_ok=True)  # left by a kill between the two files
        save_recipe(recipe, folder.recipe)
        folder.write_facts(facts)
        return
    changed = differences(load_recipe(folder.recipe), recipe)
    if changed and all(name.startswith("length") for name in changed):
        save_recipe(recipe, folder.recipe, overwrite=True)
        changed = []
    if changed:
        raise ConfigError(
            f"the run in {folder.root} was begun with another recipe ({', '.join(changed)}); "
            "resume it with the same, or start a new run in another folder"
        )
    old = folder.read_facts()
    if old.get("started_from") != facts.get("started_from"):
        raise ConfigError(
            f"the run in {folder.root} was begun with other weights; resume it with the same "
            "--from, or start a new run in another folder"
        )
    # The places of files may have changed, not what is in them.
    if sorted(old.get("sha256", {}).values()) != sorted(facts["sha256"].values()) or (
        old.get("scenes") != facts["scenes"]
    ):
        raise ConfigError(
            f"the run in {folder.root} was begun with other data; resume it with the same files, "
            "or start a new run in another folder"
        )


def _run(
    job: _Job,
    folder: RunFolder,
    facts: Mapping[str, Any],
    *,
    device: torch.device,
    team: Team,
    checkpoint_minutes: float,
    on_estimate: Callable[[Estimate], None] | None,
    progress: Progress,
) -> None:
    module = job.module
    recipe, steps = module.recipe, module.steps
    done = team.agree(folder.steps_done)
    if done >= steps:
        return
    with quiet_lightning():
        cost = job.estimate(device)
        if on_estimate is not None and team.writes:
            on_estimate(cost)
        validate_every = recipe.validation.every or max(1, steps // 20)
        seconds = max(cost.seconds_per_step, 1e-6)
        recorder = Recorder(
            folder,
            job.scenes.validation,
            provenance=facts,
            validate_every=validate_every,
            record_every=min(100, max(1, steps // 200)),
            checkpoint_every=max(1, round(min(60 * checkpoint_minutes / seconds, steps))),
            progress=progress,
        )
        trainer = make_trainer(recipe, team, device, steps, recorder, folder.root)
        checkpoint = folder.checkpoint if done else None
        fit(trainer, module, job.data, checkpoint)


def _versions() -> dict[str, str]:
    return {
        "respectra": respectra.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lightning": lightning.__version__,
        "numpy": np.__version__,
    }
