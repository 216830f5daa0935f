"""What Lightning is told: how many processes, which device, and to be quiet."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy

from respectra.errors import RespectraError
from respectra.training.hardware import pick_precision
from respectra.training.module import TrainingModule
from respectra.training.nodes import Team
from respectra.training.recipe import Recipe
from respectra.training.recorder import AtomicCheckpoints, Recorder


def make_trainer(
    recipe: Recipe,
    team: Team,
    device: torch.device,
    steps: int,
    recorder: Recorder,
    root: Path,
) -> Trainer:
    """A trainer of so many steps that writes what the recorder writes, and nothing else."""
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else "cpu",
        devices=team.here,
        num_nodes=team.nodes,
        strategy=_strategy(team, device),
        precision=pick_precision(recipe.precision, device),
        max_steps=steps,
        gradient_clip_val=recipe.clip_gradient,
        callbacks=[recorder],
        plugins=[AtomicCheckpoints(), *([team.environment] if team.environment else [])],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        sync_batchnorm=team.size > 1 and device.type == "cuda",
        default_root_dir=root,
        num_sanity_val_steps=0,
    )


def fit(
    trainer: Trainer, module: TrainingModule, data: LightningDataModule, checkpoint: Path | None
) -> None:
    """Train; what goes wrong in another process, or an interruption, becomes an error of ours."""
    from torch.multiprocessing.spawn import ProcessRaisedException

    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except ProcessRaisedException as error:
        last = str(error).strip().splitlines()[-1]
        if "respectra.errors." in last:
            raise RespectraError(last.split(": ", 1)[-1]) from None
        raise
    except SystemExit:  # Lightning ends the process when it is interrupted
        raise KeyboardInterrupt from None


def _strategy(team: Team, device: torch.device) -> Strategy | str:
    if team.size == 1:
        return "auto"
    backend = "nccl" if device.type == "cuda" else "gloo"
    if team.environment is not None:
        return DDPStrategy(process_group_backend=backend)
    return _QuietDDP(start_method="spawn", process_group_backend=backend)


class _QuietDDP(DDPStrategy):
    """Several processes, none of which announces itself."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Called first of all in a new process."""
        self.__dict__.update(state)
        warnings.filterwarnings("ignore", module="lightning")
        for logger in _lightning_loggers():
            logger.setLevel(logging.ERROR)


def _lightning_loggers() -> list[logging.Logger]:
    return [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Keep Lightning's announcements and hints off the terminal; errors still show."""
    loggers = _lightning_loggers()
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
