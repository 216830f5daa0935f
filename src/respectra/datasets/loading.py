"""Patches as PyTorch tensors: the data set, its batches, and the loader. Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset

from respectra.datasets.patches import Batch, Patches
from respectra.errors import ConfigError

#: Which patch: its epoch, and its number in the epoch.
PatchKey = tuple[int, int]


class TensorBatch(NamedTuple):
    """Patches as tensors. Images and cubes are channels-last in memory, as networks run fastest."""

    images: torch.Tensor
    """(n, 3, y, x), float32."""
    cubes: torch.Tensor
    """(n, band, y, x), float32."""
    valid: torch.Tensor
    """(n, 1, y, x), bool."""
    scenes: tuple[str, ...]


def to_tensors(batch: Batch) -> TensorBatch:
    """The same numbers as tensors; nothing is copied."""
    return TensorBatch(
        torch.from_numpy(batch.images).permute(0, 3, 1, 2),
        torch.from_numpy(batch.cubes).permute(0, 3, 1, 2),
        torch.from_numpy(batch.valid)[:, None],
        batch.scenes,
    )


class PatchDataset(Dataset[TensorBatch]):
    """Patches by (epoch, number); a whole batch is cut at once, so that collating costs nothing."""

    def __init__(self, patches: Patches) -> None:
        self.patches = patches

    def __len__(self) -> int:
        return len(self.patches)

    def __getitem__(self, key: PatchKey) -> TensorBatch:
        return self.__getitems__([key])

    def __getitems__(self, keys: Sequence[PatchKey]) -> TensorBatch:
        """A batch of one epoch's patches."""
        epochs = {epoch for epoch, _ in keys}
        if len(epochs) != 1:
            raise ConfigError(f"a batch holds patches of one epoch; got those of {sorted(epochs)}")
        return to_tensors(self.patches.batch(epochs.pop(), [number for _, number in keys]))


def patch_batches(
    length: int,
    batch_size: int,
    *,
    epoch: int = 0,
    start: int = 0,
    rank: int = 0,
    processes: int = 1,
) -> list[list[PatchKey]]:
    """The batches of an epoch of so many patches, those of one process; see :func:`patch_loader`.

    Batch b of the epoch holds patches b·B to (b+1)·B − 1, of all processes together; each takes an
    equal share of every batch, so that several see what one would. A remainder smaller than a batch
    is left out.
    """
    if batch_size < 1 or processes < 1 or batch_size % processes or not 0 <= rank < processes:
        raise ConfigError(
            "a batch is divided among the processes without remainder; got batch_size="
            f"{batch_size}, processes={processes}, rank={rank}"
        )
    batches = length // batch_size
    if batches < 1 or not 0 <= start <= batches or epoch < 0:
        raise ConfigError(
            f"{length} patches make {batches} batches of {batch_size}; got start={start}, "
            f"epoch={epoch}: choose a smaller batch, or more patches per scene"
        )
    share = batch_size // processes
    firsts = [batch * batch_size + rank * share for batch in range(start, batches)]
    return [[(epoch, first + k) for k in range(share)] for first in firsts]


def patch_loader(
    patches: Patches,
    batch_size: int,
    *,
    epoch: int = 0,
    start: int = 0,
    rank: int = 0,
    processes: int = 1,
    workers: int = 0,
    pin_memory: bool = False,
) -> DataLoader[TensorBatch]:
    """A loader of one epoch's batches, (n, 3, y, x) and (n, band, y, x).

    The same batches come whatever the number of workers.

    Args:
        patches: where from; see :class:`respectra.datasets.Patches`.
        batch_size: patches of a batch.
        epoch: from 0; each has an order and changes of its own.
        start: the batch to begin with, where training goes on.
        rank: of this process among ``processes`` that share the epoch.
        processes: how many there are.
        workers: processes that cut patches ahead; 0 cuts them here.
        pin_memory: as for torch's ``DataLoader``.

    Raises:
        ConfigError: a number is out of its range, or no batch fits into an epoch.

    Example:
        >>> import respectra as rs
        >>> from respectra.datasets.still_life import still_life
        >>> rs.save_cube(still_life(16, 16), "cubes/a.npz")
        >>> plan = rs.datasets.plan_store({"train": rs.open_collection("cubes")})
        >>> rs.datasets.prepare_store(plan, "store")
        >>> scenes = rs.datasets.open_store("store")["train"]
        >>> options = rs.datasets.PatchOptions(size=8, per_scene=4)
        >>> loader = rs.datasets.patch_loader(rs.datasets.Patches(scenes, options, seed=1), 2)
        >>> [tuple(images.shape) for images, *_ in loader]
        [(2, 3, 8, 8), (2, 3, 8, 8)]
    """
    batches = patch_batches(
        len(patches), batch_size, epoch=epoch, start=start, rank=rank, processes=processes
    )
    return DataLoader(
        PatchDataset(patches),
        batch_sampler=batches,
        collate_fn=_as_it_is,
        num_workers=workers,
        pin_memory=pin_memory,
    )


def _as_it_is(batch: Any) -> Any:
    return batch
