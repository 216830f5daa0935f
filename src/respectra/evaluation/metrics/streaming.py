"""MRAE and RMSE as torchmetrics: accumulated over batches and over processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torchmetrics import Metric

from respectra.evaluation.metrics.absolute import rmse
from respectra.evaluation.metrics.relative import OnZero, mrae


class _MeanOverImages(Metric):
    """Sum of the scores of images and their number; both are summed over processes."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False

    if TYPE_CHECKING:
        total: torch.Tensor
        images: torch.Tensor

    def __init__(self, band_axis: int) -> None:
        super().__init__()
        self.band_axis = band_axis
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, estimate: torch.Tensor, truth: torch.Tensor) -> None:
        """Add the images of a batch; torchmetrics' order: the estimate first."""
        scores = self._scores(estimate, truth).reshape(-1)
        self.total = self.total + scores.sum()
        self.images = self.images + scores.numel()

    def compute(self) -> torch.Tensor:
        """Mean over all images seen."""
        return self.total / self.images

    def _scores(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class MeanRelativeAbsoluteError(_MeanOverImages):
    """MRAE of each image, mean over all images of all processes; options as `mrae`."""

    def __init__(
        self, floor: float = 0.0, *, on_zero: OnZero = "raise", band_axis: int = -3
    ) -> None:
        super().__init__(band_axis)
        self.floor = floor
        self.on_zero: OnZero = on_zero

    def _scores(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = mrae(
            truth,
            estimate,
            self.floor,
            on_zero=self.on_zero,
            band_axis=self.band_axis,
            reduction="none",
        )
        return scores


class RootMeanSquareError(_MeanOverImages):
    """RMSE of each image, mean over all images of all processes; options as `rmse`."""

    def __init__(self, *, band_axis: int = -3) -> None:
        super().__init__(band_axis)

    def _scores(self, estimate: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = rmse(truth, estimate, band_axis=self.band_axis, reduction="none")
        return scores
