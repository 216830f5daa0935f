"""Optimisers and learning-rate schedules, as a recipe names them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.optim import lr_scheduler

from respectra.training.recipe_parts import (
    ConstantSchedule,
    CosineSchedule,
    OneCycleSchedule,
    OptimizerRecipe,
    PolynomialSchedule,
    Schedule,
    StepSchedule,
)


def make_optimizer(
    recipe: OptimizerRecipe, parameters: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """The optimiser of a recipe."""
    chosen = torch.optim.AdamW if recipe.name == "adamw" else torch.optim.Adam
    return chosen(
        parameters,
        lr=recipe.lr,
        betas=recipe.betas,
        eps=recipe.eps,
        weight_decay=recipe.weight_decay,
    )


def make_schedule(
    recipe: Schedule, optimizer: torch.optim.Optimizer, *, steps: int, length: float
) -> lr_scheduler.LRScheduler:
    """The schedule of a recipe, stepped once an optimiser step.

    Args:
        recipe: which schedule. Its times are in the unit of the recipe's length, and are scaled
            with it: a run of half the length passes through all of the schedule, twice as fast.
        optimizer: whose learning rate it sets.
        steps: optimiser steps of this run.
        length: length of the run in the recipe's unit.
    """
    unit = steps / length
    match recipe:
        case ConstantSchedule():
            return lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)
        case PolynomialSchedule():
            total = steps if recipe.length is None else max(1, round(recipe.length * unit))
            if recipe.final_lr == 0:
                return lr_scheduler.PolynomialLR(optimizer, total, power=recipe.power)
            lowest = recipe.final_lr / float(optimizer.defaults["lr"])
            fall = _Polynomial(total, recipe.power, lowest)
            return lr_scheduler.LambdaLR(optimizer, fall)
        case StepSchedule():
            times = recipe.milestones
            if recipe.every is not None:
                count = int(length / recipe.every)
                count = count if recipe.drops is None else min(count, recipe.drops)
                times = tuple(recipe.every * k for k in range(1, count + 1))
            milestones = [max(1, round(time * unit)) for time in times]
            return lr_scheduler.MultiStepLR(optimizer, milestones, gamma=recipe.factor)
        case CosineSchedule():
            return lr_scheduler.CosineAnnealingLR(optimizer, steps, eta_min=recipe.final_lr)
        case OneCycleSchedule():
            highest = float(optimizer.defaults["lr"])
            total = max(2, steps + 1)
            return lr_scheduler.OneCycleLR(
                optimizer,
                max_lr=highest,
                # torch counts from the first step on, whose rate is the initial one
                total_steps=total,
                # and divides by the steps of the rise, of which a short run has at least one
                pct_start=max(recipe.rise, 2 / total),
                div_factor=highest / recipe.initial_lr,
                final_div_factor=recipe.initial_lr / recipe.final_lr,
                base_momentum=recipe.momentum[0],
                max_momentum=recipe.momentum[1],
            )


class _Polynomial:
    """Polynomial decay to a rate above zero, which torch's own schedule does not have."""

    def __init__(self, total: int, power: float, lowest: float) -> None:
        self.total, self.power, self.lowest = total, power, lowest

    def __call__(self, step: int) -> float:
        left = max(0.0, 1 - step / self.total)
        return float(self.lowest + (1 - self.lowest) * left**self.power)
