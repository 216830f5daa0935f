"""The stream of batches: batch t depends on the seed and on t alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from respectra.datasets.loading import TensorBatch, to_tensors
from respectra.datasets.patches import Patches
from respectra.errors import ConfigError
from respectra.training.source import image_of


class StepBatch(NamedTuple):
    """Patches of a step; images and cubes are channels last in memory."""

    image: Tensor
    """(n, 3, y, x), R, G, B, linear values in [0, 1]."""
    cube: Tensor
    """(n, band, y, x)."""
    valid: Tensor
    """(n, 1, y, x): which pixels were measured."""
    bounds: Tensor
    """(n, 2): minimum and maximum of the image of the whole scene behind each patch; 0 and 1 where
    nobody asked."""
    scenes: tuple[str, ...]
    """Names of the scenes."""


class StepBatches(Dataset[StepBatch]):
    """The batch of each step; with several processes, this one's share of it.

    The last patches of an epoch and the first of the next may meet in one batch, so that no patch
    is left out.

    Args:
        patches: patches by epoch and number.
        size: patches of a step, over all processes.
        with_bounds: whether the bounds of the scenes' images are wanted.
        rank: number of this process.
        processes: how many share the step.

    Raises:
        ConfigError: the batch cannot be shared equally.
    """

    def __init__(
        self,
        patches: Patches,
        size: int,
        *,
        with_bounds: bool = False,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        if size % processes:
            raise ConfigError(
                f"a batch of {size} patches cannot be shared equally by {processes} processes; "
                "choose another batch"
            )
        self.patches, self.size = patches, size
        self.share = range(rank * size // processes, (rank + 1) * size // processes)
        self._bounds = _bounds_by_scene(patches) if with_bounds else {}

    def __getitem__(self, step: int) -> StepBatch:
        """The batch of an optimiser step, counted from 0."""
        epochs: dict[int, list[int]] = {}
        for position in self.share:
            epoch, number = divmod(step * self.size + position, len(self.patches))
            epochs.setdefault(epoch, []).append(number)
        parts = [to_tensors(self.patches.batch(epoch, n)) for epoch, n in epochs.items()]
        joined = parts[0] if len(parts) == 1 else _join(parts)
        bounds = torch.tensor([self._bounds.get(name, (0.0, 1.0)) for name in joined.scenes])
        return StepBatch(joined.images, joined.cubes, joined.valid, bounds, joined.scenes)


def _bounds_by_scene(patches: Patches) -> dict[str, tuple[float, float]]:
    """Minimum and maximum of each scene's image."""
    bounds = {}
    for number in range(len(patches.source)):
        scene = patches.source[number]
        image = image_of(scene, patches.options.track)
        bounds[scene.name] = float(image.min()), float(image.max())
    return bounds


def _join(parts: list[TensorBatch]) -> TensorBatch:
    """Put batches behind one another; they stay channels last."""
    return TensorBatch(
        torch.cat([part.images for part in parts]),
        torch.cat([part.cubes for part in parts]),
        torch.cat([part.valid for part in parts]),
        tuple(name for part in parts for name in part.scenes),
    )


class _StepsFrom(Sampler[int]):
    """Numbers of steps, without end: the trainer knows when to stop."""

    def __init__(self, first: int) -> None:
        self.first = first

    def __iter__(self) -> Iterator[int]:
        return itertools.count(self.first)


class TrainingData(LightningDataModule):
    """Batches for the trainer, from the step at which it starts or continues.

    Args:
        batches: gives the batch of each step, made of ``rank`` and ``processes``; where several
            processes train, it is sent to each.
        workers: processes that make batches; 0 makes them in the training process.
    """

    def __init__(self, batches: Callable[..., Dataset[Any]], *, workers: int = 0) -> None:
        super().__init__()
        self.batches, self.workers = batches, workers

    def train_dataloader(self) -> DataLoader[Any]:
        """An endless loader."""
        assert self.trainer is not None
        return DataLoader(
            self.batches(rank=self.trainer.global_rank, processes=self.trainer.world_size),
            batch_size=None,
            sampler=_StepsFrom(self.trainer.global_step),
            num_workers=self.workers,
            pin_memory=self.trainer.strategy.root_device.type == "cuda",
            multiprocessing_context="spawn" if self.workers else None,
        )
