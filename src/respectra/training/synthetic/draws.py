"""Random numbers for scenes and captures."""

from __future__ import annotations

import torch
from torch import Tensor


class Randomness:
    """Random numbers of one generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.g = generator

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform random numbers."""
        return low + (high - low) * torch.rand(*shape, generator=self.g)

    def number(self, low: float = 0.0, high: float = 1.0) -> float:
        """One of them."""
        return float(self.uniform(1, low=low, high=high))

    def chance(self, share: float) -> bool:
        """True in this share of cases."""
        return self.number() < share

    def pick(self, count: int) -> int:
        """A whole number below ``count``."""
        return int(torch.randint(count, (1,), generator=self.g))
