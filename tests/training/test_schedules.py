"""Learning rates over a run."""

from __future__ import annotations

import math

import pytest
import torch

from respectra.training import Recipe, load_recipe
from respectra.training.recipe_parts import (
    ConstantSchedule,
    CosineSchedule,
    OneCycleSchedule,
    OptimizerRecipe,
    PolynomialSchedule,
    Schedule,
    StepSchedule,
)
from respectra.training.schedules import make_optimizer, make_schedule


def _rates(schedule: Schedule, steps: int, length: float, lr: float = 1.0) -> list[float]:
    """The learning rate of each step."""
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = make_optimizer(OptimizerRecipe(lr=lr), [weight])
    scheduler = make_schedule(schedule, optimizer, steps=steps, length=length)
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def test_constant() -> None:
    assert _rates(ConstantSchedule(), 5, 5) == [1.0] * 5


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_polynomial(final: float) -> None:
    expected = [final + (1 - final) * (1 - t / 20) ** 1.5 for t in range(20)]
    assert _rates(PolynomialSchedule(final_lr=final), 20, 1) == pytest.approx(expected)


def test_a_polynomial_that_outlasts_the_run() -> None:
    assert _rates(PolynomialSchedule(power=1, length=20), 10, 10)[-1] == pytest.approx(0.55)


def test_steps_are_in_the_unit_of_the_length_and_scale_with_the_run() -> None:
    every = StepSchedule(factor=0.5, every=3)
    assert _rates(every, 10, 10) == [1.0] * 3 + [0.5] * 3 + [0.25] * 3 + [0.125]
    assert _rates(every, 20, 10)[5:7] == [1.0, 0.5]
    milestones = StepSchedule(factor=0.1, milestones=(20, 80))
    assert _rates(milestones, 10, 100) == pytest.approx([1.0] * 2 + [0.1] * 6 + [0.01] * 2)
    assert min(_rates(StepSchedule(every=1, drops=2), 10, 10)) == 0.25


def test_a_cosine_falls_and_never_rises() -> None:
    rates = _rates(CosineSchedule(final_lr=0.01), 50, 1)
    assert rates == sorted(rates, reverse=True)
    assert rates[25] == pytest.approx(0.01 + 0.99 / 2)
    assert rates[-1] == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi * 49 / 50)) / 2)


def test_one_cycle_rises_to_the_rate_and_falls_below_its_start() -> None:
    rates = _rates(OneCycleSchedule(initial_lr=0.01, final_lr=1e-4, rise=0.3), 100, 1)
    assert rates[0] == pytest.approx(0.01)
    assert max(rates) == pytest.approx(1.0, rel=1e-3)
    assert 28 <= rates.index(max(rates)) <= 31
    assert rates[-1] < 0.01


def test_awans_rate_ends_as_published() -> None:
    """294 600 of the 300 000 iterations of its polynomial are run; shown on a hundredth of them."""
    recipe = load_recipe("awan-clean")
    assert isinstance(recipe, Recipe)
    rates = _rates(recipe.schedule, 2946, recipe.length.value, recipe.optimizer.lr)
    assert rates[-1] == pytest.approx(1e-4 * (1 - 294500 / 300000) ** 1.5, rel=0.05)


@pytest.mark.parametrize("steps", [1, 2, 7, 9, 10, 19])
@pytest.mark.parametrize("rise", [0.0, 0.1, 1.0])
def test_one_cycle_of_a_short_run(steps: int, rise: float) -> None:
    rates = _rates(OneCycleSchedule(rise=rise), steps, steps)
    assert all(0 <= rate <= 1 + 1e-9 for rate in rates)
