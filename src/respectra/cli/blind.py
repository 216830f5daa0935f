"""Blind mode of ``respectra evaluate``: submitted cubes against hidden truths."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from respectra.cli.app import out, print_json, warn
from respectra.errors import ConfigError

if TYPE_CHECKING:
    from respectra.evaluation import EvaluationOptions


def score_blind(
    submitted: str,
    truth: str,
    options: EvaluationOptions,
    as_json: bool,
    opening: Mapping[str, Any],
) -> None:
    """Check a submission and print its scores.

    Raises:
        ConfigError: the submission is refused.
    """
    from respectra.datasets.collections import open_collection
    from respectra.evaluation import score_submission, validate_submission

    hidden = open_collection(truth, **opening)
    problems = validate_submission(submitted, hidden)
    if problems:
        if as_json:
            print_json({"valid": False, "problems": [str(problem) for problem in problems]})
        for problem in problems:
            warn(str(problem))
        raise ConfigError(f"the submission is refused: {len(problems)} problems")
    scores = score_submission(submitted, hidden, options)
    mean = {
        name: math.fsum(row[name] for row in scores.values()) / len(scores)
        for name in next(iter(scores.values()))
        if all(name in row for row in scores.values())
    }
    if as_json:
        print_json(finite({"valid": True, "scenes": scores, "mean": mean}))
        return
    for scene, row in scores.items():
        out.print(f"{scene}  MRAE {row['mrae']:.5f}  RMSE {row['rmse']:.5f}", markup=False)
    out.print(f"mean of {len(scores)} scenes: " + _line(mean), markup=False)


def finite(value: Any) -> Any:
    """The same with null for what JSON cannot say."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _line(scores: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.5f}" for name, value in scores.items())
