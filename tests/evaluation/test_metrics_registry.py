"""The registry, scores of scenes, their table, and accumulation over batches and processes."""

from __future__ import annotations

import inspect
import math
import pickle

import numpy as np
import pytest
import torch

from respectra.cubes import make_cube
from respectra.errors import ConfigError, DataError
from respectra.evaluation import metrics as m
from respectra.evaluation.metrics.streaming import MeanRelativeAbsoluteError, RootMeanSquareError


@pytest.fixture
def arrays(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.uniform(0.1, 1.0, (14, 15, 5)).astype(np.float32)
    return truth, (truth * rng.uniform(0.9, 1.1, truth.shape)).astype(np.float32)


@pytest.fixture
def settings(rng: np.random.Generator) -> m.Settings:
    return m.Settings(
        response=rng.uniform(0, 1, (5, 3)),
        rendering=m.Rendering([440, 500, 560, 620, 680]),
        labels=rng.integers(0, 9, (14, 15)),
    )


def test_every_metric_says_what_it_is():
    for name, metric in m.METRICS.items():
        assert name == metric.name
        assert metric.title
        assert metric.reference
        low, high = metric.range
        assert low <= metric.perfect <= high
        assert metric.perfect == (high if metric.better == "higher" else low)


def test_the_truth_scores_perfectly_and_an_error_is_worse(arrays, settings):
    perfect = m.score(arrays[0], arrays[0], settings)
    scores = m.score(*arrays, settings)
    assert list(perfect) == list(scores) == list(m.METRICS)
    for name, metric in m.METRICS.items():
        assert perfect[name] == metric.perfect, name
        worse = scores[name] > metric.perfect
        assert worse == (metric.better == "lower"), name
        assert metric.range[0] <= scores[name] <= metric.range[1]


def test_scores_are_those_of_the_functions(arrays, settings):
    scores = m.score(*arrays, settings)
    assert scores["mrae"] == m.mrae(*arrays)
    assert scores["sam"] == m.sam(*arrays, "deg")
    assert scores["back_projection_mrae"] == m.back_projection_mrae(*arrays, settings.response)
    assert scores["weighted_mrae"] == m.weighted_mrae(*arrays, labels=settings.labels)
    assert scores["delta_e_2000"] == m.delta_e_2000(*arrays, settings.rendering)
    assert scores["delta_e_2000_p95"] == m.delta_e_2000_quantile(*arrays, settings.rendering)
    assert scores["relative_error_p95"] == m.relative_error_quantiles(*arrays, [0.95])[0]


def test_floor_range_and_zeros_reach_every_metric(arrays):
    truth, estimate = arrays[0].copy(), arrays[1]
    truth[0, 0] = 0
    with pytest.raises(DataError, match="5 of 1050 values zero"):
        m.score(truth, estimate)
    scores = m.score(truth, estimate, m.Settings(floor=0.2, data_range=2))
    assert scores["mrae"] == m.mrae(truth, estimate, 0.2)
    assert scores["psnr"] == m.psnr(truth, estimate, 2)
    assert scores["ssim"] == m.ssim(truth, estimate, 2)
    assert m.score(truth, estimate, m.Settings(on_zero="inf"))["mrae"] == math.inf


def test_by_default_what_can_be_scored_is(arrays):
    names = set(m.METRICS)
    bare = set(m.score(*arrays))
    colours = {"delta_e_2000", "delta_e_2000_p95"}
    assert names - bare == {"back_projection_mrae", "weighted_mrae"} | colours
    cubes = [make_cube(a, [440, 500, 560, 620, 680]) for a in arrays]
    assert set(m.score(*cubes)) - bare == colours
    small = [a[:5, :5] for a in arrays]
    assert bare - set(m.score(*small)) == {"ssim"}
    assert set(m.score(*map(torch.tensor, arrays))) == bare


def test_what_is_asked_for_by_name_must_be_possible(arrays):
    assert list(m.score(*arrays, names=["sam", "mrae"])) == ["sam", "mrae"]
    assert m.score(*arrays, m.Settings(clusters=3), ["weighted_mrae"])["weighted_mrae"] > 0
    with pytest.raises(ConfigError, match="'back_projection_mrae' needs a camera response"):
        m.score(*arrays, names=["back_projection_mrae"])
    with pytest.raises(ConfigError, match="'delta_e_2000' needs the wavelengths"):
        m.score(*arrays, names=["delta_e_2000"])
    with pytest.raises(ConfigError, match="unknown metric 'mrea'; did you mean 'mrae'"):
        m.score(*arrays, names=["mrea"])
    with pytest.raises(ConfigError, match=r"one image .* leading axes \(1,\)"):
        m.score(arrays[0][None], arrays[1][None])


def test_a_table_means_over_scenes():
    table = m.ScoreTable()
    table.add("a", {"mrae": 1.0, "psnr": math.inf})
    other = m.ScoreTable()
    other.add("b", {"psnr": 30.0, "mrae": 2.0})
    both = table.merge([other])
    assert both.mean() == {"mrae": 1.5, "psnr": math.inf}
    assert list(both.rows) == ["a", "b"]
    assert list(table.rows) == ["a"]


@pytest.mark.parametrize(
    ("scene", "scores", "message"),
    [
        ("a", {"mrae": 1.0}, "each scene once, got 'a' again"),
        ("b", {"rmse": 1.0}, "the metrics mrae for scene 'b', got rmse"),
        ("b", {"mrae": math.nan}, "got NaN as mrae"),
    ],
)
def test_a_table_refuses_what_would_spoil_its_mean(scene, scores, message):
    table = m.ScoreTable({"a": {"mrae": 1.0}})
    with pytest.raises(DataError, match=message):
        table.add(scene, scores)
    with pytest.raises(DataError, match="one scene or more, got none"):
        m.ScoreTable().mean()


def _batches(rng: np.random.Generator) -> list[tuple[torch.Tensor, torch.Tensor]]:
    truths = [torch.tensor(rng.uniform(0.1, 1, (n, 4, 6, 5))) for n in (3, 1, 2)]
    return [(truth, truth * 1.2 + 0.01) for truth in truths]


@pytest.mark.parametrize(
    ("metric", "function"),
    [
        (MeanRelativeAbsoluteError(), m.mrae),
        (MeanRelativeAbsoluteError(0.5), lambda t, e, **o: m.mrae(t, e, 0.5, **o)),
        (RootMeanSquareError(), m.rmse),
    ],
)
def test_streaming_is_the_mean_over_all_images(rng, metric, function):
    batches = _batches(rng)
    scores = torch.cat([function(t, e, band_axis=-3, reduction="none") for t, e in batches])
    for t, e in batches:
        torch.testing.assert_close(
            metric(truth=t, estimate=e).double(), function(t, e, band_axis=-3), rtol=1e-6, atol=0
        )
    torch.testing.assert_close(metric.compute().double(), scores.mean(), rtol=1e-6, atol=0)
    pickle.loads(pickle.dumps(metric))


def test_streaming_over_processes_counts_images_not_processes(rng):
    batches = _batches(rng)
    whole, parts = MeanRelativeAbsoluteError(), [MeanRelativeAbsoluteError() for _ in batches]
    for part, batch in zip(parts, batches, strict=True):
        truth, estimate = batch
        part.update(truth=truth, estimate=estimate)
        whole.update(truth=truth, estimate=estimate)
    # What synchronisation does: each state gathered, stacked and reduced as it declares.
    for state, reduce in whole._reductions.items():
        gathered = torch.stack([getattr(part, state) for part in parts])
        torch.testing.assert_close(reduce(gathered), getattr(whole, state))


def test_the_former_order_by_position_is_taken_with_a_warning(rng):
    ((truth, estimate), *_) = _batches(rng)
    metric, former = MeanRelativeAbsoluteError(), MeanRelativeAbsoluteError()
    metric.update(truth=truth, estimate=estimate)
    with pytest.warns(DeprecationWarning, match="by name: truth="):
        former.update(estimate, truth)
    torch.testing.assert_close(former.compute(), metric.compute())
    with pytest.raises(ConfigError, match="by name"):
        metric.update(truth=truth)


def test_it_stands_beside_other_metrics_of_torchmetrics(rng):
    from torchmetrics import MeanSquaredError, MetricCollection

    ((truth, estimate), *_) = _batches(rng)
    both = MetricCollection([MeanRelativeAbsoluteError(), MeanSquaredError()])
    both.update(truth=truth, estimate=estimate, preds=estimate, target=truth)
    scores = both.compute()
    assert float(scores["MeanSquaredError"]) == pytest.approx(
        float(((truth - estimate) ** 2).mean())
    )
    assert float(scores["MeanRelativeAbsoluteError"]) == pytest.approx(
        float(m.mrae(truth, estimate, band_axis=-3))
    )


@pytest.mark.parametrize("name", m.__all__)
def test_truth_comes_before_the_estimate_everywhere(name):
    function = getattr(m, name)
    if not inspect.isfunction(function):
        return
    names = list(inspect.signature(function).parameters)
    assert names[:2] == ["truth", "estimate"] or not {"truth", "estimate"} <= set(names)
