"""MRAE and RMSE as torchmetrics: accumulated over batches and over processes."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torchmetrics import Metric

from respectra.errors import ConfigError
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

    def __init__(self, score: Callable[..., torch.Tensor], **options: Any) -> None:
        super().__init__()
        self._scores = functools.partial(score, **options, reduction="none")
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("images", torch.tensor(0), dist_reduce_fx="sum")

    def update(
        self,
        *former: torch.Tensor,
        truth: torch.Tensor | None = None,
        estimate: torch.Tensor | None = None,
    ) -> None:
        """Add the images of a batch, by name: ``update(truth=..., estimate=...)``.

        Other metrics of torchmetrics take the estimate first and ours the truth, so that neither
        order would be safe without names. Until the next version (estimate, truth) is still taken.

        Raises:
            ConfigError: one of the two is missing.
        """
        if former:
            message = "give a batch by name: truth=..., estimate=..."
            warnings.warn(message, DeprecationWarning, stacklevel=3)
            estimate, truth = former if len(former) == 2 else (None, None)
        if truth is None or estimate is None:
            raise ConfigError("a batch is given by name: truth=..., estimate=...")
        scores = self._scores(truth, estimate).reshape(-1)
        self.total = self.total + scores.sum()
        self.images = self.images + scores.numel()

    def compute(self) -> torch.Tensor:
        """Mean over all images seen."""
        return self.total / self.images


class MeanRelativeAbsoluteError(_MeanOverImages):
    """MRAE of each image, mean over all images of all processes; options as `mrae`."""

    def __init__(
        self, floor: float = 0.0, *, on_zero: OnZero = "raise", band_axis: int = -3
    ) -> None:
        super().__init__(mrae, floor=floor, on_zero=on_zero, band_axis=band_axis)


class RootMeanSquareError(_MeanOverImages):
    """RMSE of each image, mean over all images of all processes; options as `rmse`."""

    def __init__(self, *, band_axis: int = -3) -> None:
        super().__init__(rmse, band_axis=band_axis)
