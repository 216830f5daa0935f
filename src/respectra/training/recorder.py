"""What a run writes while it trains: metrics, validation scores, weights and checkpoints."""

from __future__ import annotations

import importlib.util
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import Callback, LightningModule, Trainer

from respectra.datasets.patches import SceneSource
from respectra.files import atomic_path
from respectra.methods import Weights, save_weights
from respectra.progress import Progress
from respectra.training.folder import MetricsFile, RunFolder
from respectra.training.module import TrainingModule
from respectra.training.validation import (
    SELECTED_BY,
    network_predictor,
    tile_and_least,
    validate,
)


class AtomicCheckpoints(TorchCheckpointIO):
    """Checkpoints that are whole or not there, also when the machine stops while one is written."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write beside the old one, then take its place."""
        # Onto a full disk torch would write until it fails in words of its own.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
            file.write(content.getbuffer())
            file.flush()
            os.fsync(file.fileno())


@dataclass
class _State:
    """What has to survive a restart."""

    sums: dict[str, float] = field(default_factory=dict)
    count: int = 0
    best: float = float("inf")
    best_step: int = 0
    best_scores: dict[str, float] = field(default_factory=dict)


class Recorder(Callback):
    """Records, validates, keeps the best weights, and saves checkpoints, in that order.

    All of it happens at the end of a step, and the checkpoint comes last: a run that is killed
    anywhere continues from a checkpoint whose step is already recorded, and drops what was
    recorded after it.

    Args:
        folder: where to write.
        scenes: what to validate on, if anything.
        provenance: facts that go into the weights files.
        validate_every: steps between validations.
        record_every: steps between rows of the metrics.
        checkpoint_every: steps between checkpoints.
        progress: told about every step, in the first process.
    """

    def __init__(
        self,
        folder: RunFolder,
        scenes: SceneSource | None,
        *,
        provenance: Mapping[str, Any],
        validate_every: int,
        record_every: int,
        checkpoint_every: int,
        progress: Progress,
    ) -> None:
        self.folder, self.scenes, self.provenance = folder, scenes, provenance
        self.validate_every, self.record_every = validate_every, record_every
        self.checkpoint_every, self.progress = checkpoint_every, progress
        self.state = _State()
        self._metrics: MetricsFile | None = None
        self._board: Any = None

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint: plain values."""
        return dict(vars(self.state))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.state = _State(**state_dict)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Open the files."""
        assert isinstance(pl_module, TrainingModule)
        if trainer.world_size > 1 and pl_module.device.type == "cpu":
            torch.set_num_threads(max(1, torch.get_num_threads() // trainer.world_size))
        if trainer.is_global_zero:
            names = ("loss", *pl_module.loss.weights, "lr")
            columns = (*names, "validation_mrae", "validation_rmse")
            self._metrics = MetricsFile(self.folder.metrics, columns, step=trainer.global_step)
            self._board = _open_board(self.folder.tensorboard, trainer.global_step)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Do what is due after this step."""
        assert isinstance(pl_module, TrainingModule)
        step, steps, state = trainer.global_step, pl_module.steps, self.state
        latest = {name: float(value) for name, value in pl_module.latest.items()}
        for name, value in latest.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
        state.count += 1
        is_last = step >= steps
        validates = is_last or step % self.validate_every == 0
        if validates or step % self.record_every == 0:
            self._record(trainer, pl_module, step, validates=validates)
        if validates or step % self.checkpoint_every == 0:
            trainer.save_checkpoint(self.folder.checkpoint)
        if trainer.is_global_zero:
            self.progress(step, steps, f"loss {latest['loss']:.5g}, step")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the files."""
        if self._board is not None:
            self._board.close()

    def _record(
        self, trainer: Trainer, module: TrainingModule, step: int, *, validates: bool
    ) -> None:
        state = self.state
        names = list(state.sums)
        means = torch.tensor([state.sums[n] / state.count for n in names], dtype=torch.float64)
        if trainer.world_size > 1:
            means = trainer.strategy.reduce(means.to(module.device), reduce_op="mean").cpu()
        row = dict(zip(names, means.tolist(), strict=True))
        row["lr"] = module.lr
        state.sums, state.count = {}, 0
        if not trainer.is_global_zero:
            return
        if validates:
            scores = self._validate(module)
            row |= {f"validation_{name}": value for name, value in scores.items()}
            self._keep(module, step, scores)
        assert self._metrics is not None
        self._metrics.append(step, row)
        if self._board is not None:
            for name, value in row.items():
                self._board.add_scalar(name, value, step)

    def _validate(self, module: TrainingModule) -> Mapping[str, float]:
        if self.scenes is None:
            return {}
        tile, least = tile_and_least(module.recipe)
        predict = network_predictor(
            module.network, module.contract, tile=tile, device=module.device
        )
        return validate(
            predict,
            self.scenes,
            module.recipe.validation,
            track=module.recipe.track,
            tile=tile,
            least=least,
        )

    def _keep(self, module: TrainingModule, step: int, scores: Mapping[str, float]) -> None:
        """Write the last weights, and the best ones when these are or nothing can tell."""
        weights = self._weights(module, step, scores)
        save_weights(weights, self.folder.last, overwrite=True)
        score = scores.get(SELECTED_BY)
        if score is None or score < self.state.best:
            self.state.best = float("inf") if score is None else score
            self.state.best_step, self.state.best_scores = step, dict(scores)
            save_weights(weights, self.folder.best, overwrite=True)

    def _weights(self, module: TrainingModule, step: int, scores: Mapping[str, float]) -> Weights:
        recipe = module.recipe
        config = recipe.network_config()
        tensors = {
            name: tensor.detach().cpu().contiguous().numpy()
            for name, tensor in module.network.state_dict().items()
        }
        provenance = {**self.provenance, "step": step, "validation": dict(scores)}
        return Weights(recipe.method, config, module.contract, tensors, provenance)


def _open_board(folder: Path, step: int) -> Any:
    """A TensorBoard writer, or None where TensorBoard is not installed."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder), purge_step=step + 1)
