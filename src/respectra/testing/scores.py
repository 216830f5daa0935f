"""What must hold for every metric and every auxiliary test."""

from __future__ import annotations

import functools

import numpy as np
import xarray as xr

from respectra.cameras import get_track
from respectra.cubes import CHALLENGE_WAVELENGTHS_NM, make_cube
from respectra.evaluation.auxiliary import (
    TESTS,
    Case,
    InputTest,
    OutputTest,
    Test,
)
from respectra.evaluation.metrics import METRICS, Metric
from respectra.evaluation.metrics.registry import MetricSettings, ScenePair
from respectra.evaluation.protocol import EvaluationOptions
from respectra.inference import Reconstructor
from respectra.methods import Contract, build_classical
from respectra.testing.base import Battery, NotApplicable, require, run_checks, smooth_spectra

METRIC_CHECKS: Battery[Metric] = Battery()
TEST_CHECKS: Battery[Test] = Battery()
_SHAPE = (24, 28)


def check_metric(metric: str | Metric) -> dict[str, str]:
    """Run every check that our own metrics pass; the results are those of `run_checks`.

    Args:
        metric: a name of ``respectra.evaluation.metrics.METRICS``, or one not registered yet.

    Raises:
        ConfigError: there is no metric of that name.
        AssertionError: as :func:`run_checks`.

    Example:
        >>> check_metric("sam")["the_truth_itself_is_perfect"]
        'passed'
    """
    entry = METRICS.find(metric) if isinstance(metric, str) else metric
    return run_checks(entry.name, entry, METRIC_CHECKS, slow=True)


def check_test(test: str | Test) -> dict[str, str]:
    """Run every check that our own auxiliary tests pass; the results are those of `run_checks`.

    Args:
        test: a name of ``respectra.evaluation.auxiliary.TESTS``, or one not registered yet.

    Raises:
        ConfigError: there is no test of that name.
        AssertionError: as :func:`run_checks`.

    Example:
        >>> check_test("shuffle-4")["it_scores_what_it_names"]
        'passed'
    """
    entry = TESTS.find(test) if isinstance(test, str) else test
    return run_checks(entry.name, entry, TEST_CHECKS, slow=True)


def cubes(seed: int = 0) -> tuple[xr.DataArray, xr.DataArray]:
    """A truth of smooth spectra, and an estimate that is off by some per cent."""
    rng = np.random.default_rng(seed)
    truth = 0.05 + 0.4 * smooth_spectra(rng, *_SHAPE, bands=CHALLENGE_WAVELENGTHS_NM.size)
    estimate = truth * (1 + 0.1 * rng.standard_normal(truth.shape))
    both = (make_cube(v.astype(np.float32), CHALLENGE_WAVELENGTHS_NM) for v in (truth, estimate))
    return next(both), next(both)


def _score(metric: Metric, truth: xr.DataArray, estimate: xr.DataArray) -> float:
    response = get_track("clean").response_matrix(CHALLENGE_WAVELENGTHS_NM)
    labels = np.arange(truth[..., 0].size, dtype=np.int32).reshape(truth.shape[:2]) % 5
    scene = ScenePair(truth, estimate, MetricSettings(response=response, labels=labels, clusters=5))
    if lacks := metric.missing(scene):
        raise NotApplicable(f"it needs {lacks}")
    return metric.compute(scene)


@METRIC_CHECKS.check
def it_says_what_it_is(metric: Metric) -> None:
    """Title, direction, range, where it is defined."""
    require(metric.title, "it has no title")
    require(metric.reference, "it does not say where it is defined")
    low, high = metric.range
    require(low < high, f"its range {metric.range} is empty")
    best = low if metric.better == "lower" else high
    require(metric.perfect == best, f"better is {metric.better}, its perfect {metric.perfect}")


@METRIC_CHECKS.check
def the_truth_itself_is_perfect(metric: Metric) -> None:
    """Its score is the one that is stated."""
    truth, _ = cubes()
    score = _score(metric, truth, truth.copy())
    # 1e-3: the angle between a spectrum and itself is rounding, in degrees.
    good = score == metric.perfect or abs(score - metric.perfect) <= 1e-3
    require(good, f"the truth scores {score:g}, not {metric.perfect:g}")


@METRIC_CHECKS.check
def a_worse_estimate_scores_worse(metric: Metric) -> None:
    """A plain number within its range, in the direction that is stated."""
    truth, estimate = cubes()
    near, far = truth + 0.1 * (estimate - truth), estimate
    good, bad = (_score(metric, truth, e.astype(np.float32)) for e in (near, far))
    low, high = metric.range
    for score in (good, bad):
        require(isinstance(score, float), f"a score is a float; got {type(score).__name__}")
        require(low <= score <= high, f"{score:g} leaves its range {metric.range}")
    better = good < bad if metric.better == "lower" else good > bad
    require(
        better, f"better is {metric.better}, yet a tenth of the error scores {good:g} : {bad:g}"
    )


@METRIC_CHECKS.check
def the_cubes_are_left_alone(metric: Metric) -> None:
    """Nothing is computed in place."""
    truth, estimate = cubes()
    _score(metric, truth, estimate)
    same = truth.identical(cubes()[0]) and estimate.identical(cubes()[1])
    require(same, "it changes a cube that it is given")


def example_case() -> Case:
    """A scene as the clean track sees it."""
    truth, _ = cubes()
    track = get_track("clean")
    image = track.render(truth, key="scene")
    return Case("scene", truth, image, track, rules=EvaluationOptions(clusters=5))


@functools.cache
def _method() -> Reconstructor:
    """A method for the clean track that learns within milliseconds."""
    truth, _ = cubes(seed=1)
    matrix = get_track("clean").response_matrix(CHALLENGE_WAVELENGTHS_NM)
    spectra = truth.values.reshape(-1, CHALLENGE_WAVELENGTHS_NM.size).astype(np.float64)
    method = build_classical("pseudo-inverse").fit(spectra @ matrix, spectra)
    return Reconstructor(method.to_weights(Contract()))


def _answers(test: Test, case: Case) -> dict[str, float]:
    """The scores of a simple method."""
    if reason := test.missing(case):
        raise NotApplicable(reason)
    recover = _method()
    if isinstance(test, InputTest):
        return dict(test.score(case, recover))
    require(isinstance(test, OutputTest), "it is neither an InputTest nor an OutputTest")
    assert isinstance(test, OutputTest)
    return dict(test.score(case, recover(case.image), recover))


@TEST_CHECKS.check
def it_says_what_it_measures(test: Test) -> None:
    """Name, title, scores."""
    require(test.name, "it has no name")
    require(test.title, "it has no title")
    require(test.columns, "it names no scores")


@TEST_CHECKS.check
def it_scores_what_it_names(test: Test) -> None:
    """Finite numbers, each with a title."""
    scores = _answers(test, example_case())
    if not scores and isinstance(test, OutputTest):
        raise NotApplicable("it does not score methods that give spectra alone")
    require(scores, "it gives no scores")
    unknown = sorted(set(scores) - set(test.columns))
    require(not unknown, f"these scores have no title in columns: {unknown}")
    for name, score in scores.items():
        require(np.isfinite(score), f"the score {name} is {score}")


@TEST_CHECKS.check
def the_same_case_scores_the_same(test: Test) -> None:
    """What is random comes from the case's seed."""
    first, second = (_answers(test, example_case()) for _ in range(2))
    require(first == second, f"the same case scores {first}, then {second}")


@TEST_CHECKS.check
def the_scene_is_left_alone(test: Test) -> None:
    """Nothing is computed in place."""
    case = example_case()
    image, truth = case.image.copy(deep=True), case.need_truth().copy(deep=True)
    _answers(test, case)
    same = case.image.identical(image) and case.need_truth().identical(truth)
    require(same, "it changes the image or the truth")
