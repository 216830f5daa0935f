"""The batteries for other packages: ours pass them, and each fault is found by name."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from respectra.cameras import list_tracks
from respectra.cameras.tracks import tracks
from respectra.cubes.formats import FORMATS
from respectra.evaluation.auxiliary import TESTS
from respectra.evaluation.metrics import METRICS
from respectra.methods import get_classical, get_network
from respectra.methods.classical.pseudo_inverse import PseudoInverse
from respectra.testing import (
    FORMAT_CHECKS,
    METRIC_CHECKS,
    TEST_CHECKS,
    TRACK_CHECKS,
    Check,
    NotApplicable,
    check_classical,
    check_format,
    check_metric,
    check_network,
    check_track,
    run_checks,
)


def passes(check: Check[Any], entry: object) -> None:
    try:
        check.run(entry)
    except NotApplicable as reason:
        pytest.skip(str(reason))


def one_of_each(names: Iterable[str]) -> list[str]:
    """One setting of each family of tests: ``shuffle-4`` stands for all its blocks."""
    families = {re.split(r"-[\d.]+$|-[A-Z].*$", name)[0]: name for name in reversed(list(names))}
    return sorted(families.values())


named: dict[str, Any] = {"ids": lambda value: value if isinstance(value, str) else value.name}


@pytest.mark.parametrize("check", FORMAT_CHECKS, **named)
@pytest.mark.parametrize("name", [entry.name for entry in FORMATS])
def test_format(name: str, check: Check[Any]) -> None:
    passes(check, FORMATS.get(name))


@pytest.mark.parametrize("check", TRACK_CHECKS, **named)
@pytest.mark.parametrize("name", list_tracks())
def test_track(name: str, check: Check[Any]) -> None:
    passes(check, tracks()[name])


@pytest.mark.parametrize("check", METRIC_CHECKS, **named)
@pytest.mark.parametrize("name", METRICS)
def test_metric(name: str, check: Check[Any]) -> None:
    passes(check, METRICS[name])


@pytest.mark.parametrize("check", TEST_CHECKS, **named)
@pytest.mark.parametrize("name", one_of_each(TESTS))
def test_auxiliary_test(name: str, check: Check[Any]) -> None:
    passes(check, TESTS[name])


# --- faults -----------------------------------------------------------------------------------


class Wrapped(nn.Module):
    """A network and what is done wrong with it."""

    def __init__(self, net: nn.Module, fault: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.fault = net, fault

    def forward(self, x: Tensor) -> Tensor:
        return self.fault(self.net, x)


def in_place(net: nn.Module, x: Tensor) -> Tensor:
    return net(x.mul_(0.5) if not torch.is_grad_enabled() else x)


FAULTS: dict[str, tuple[str, Callable[[nn.Module, Tensor], Tensor]]] = {
    "changes its input": ("the_input_is_left_alone", in_place),
    "random": (
        "evaluation_is_deterministic",
        lambda net, x: net(x) * (1 + 0.01 * torch.rand((), dtype=x.dtype, device=x.device)),
    ),
    "sees the batch": (
        "images_of_a_batch_do_not_see_each_other",
        lambda net, x: net(x) * x.mean(),
    ),
    "sees too far": (
        "input_beyond_the_radius_changes_nothing",
        lambda net, x: net(x + 0.1 * x.roll(30, dims=3)),
    ),
    "NaN on black": (
        "flat_images_give_finite_spectra",
        lambda net, x: net(x) / x.amax(dim=(1, 2, 3), keepdim=True),
    ),
    "no gradient": ("every_parameter_learns", lambda net, x: net(x.detach()).detach() + x.sum()),
    "crops": ("any_size_from_the_minimum_on", lambda net, x: net(x)[..., 1:, :]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_network_is_found_by_name(fault: str) -> None:
    good = get_network("hscnn-r")
    check, change = FAULTS[fault]
    bad = dataclasses.replace(good, network=lambda config: Wrapped(good.network(config), change))
    with pytest.raises(AssertionError, match=rf"(?s)hscnn-r fails \d+ of \d+ checks:.*{check}: "):
        check_network(bad, slow=False)


def test_a_wrong_card_is_found() -> None:
    good = get_network("hscnn-r")
    bad = dataclasses.replace(
        good, card=good.card.model_copy(update={"memory_gb": None}), halo=lambda config: None
    )
    with pytest.raises(AssertionError, match=r"(?s)card_is_complete: .*memory_gb.*halo unbounded"):
        check_network(bad, slow=False)


def test_a_network_that_is_not_registered_is_checked_all_the_same() -> None:
    known = get_network("lwrdanet")
    card = known.card.model_copy(update={"name": "not-registered"})
    results = check_network(dataclasses.replace(known, card=card), slow=False)
    assert results["evaluation_is_deterministic"] == "passed"
    assert "no installed package registers" in results["saved_and_loaded_weights_give_the_same"]


def test_a_classical_method_by_name_class_and_entry() -> None:
    for method in ("pseudo-inverse", PseudoInverse, get_classical("pseudo-inverse")):
        assert set(check_classical(method).values()) == {"passed"}

    class Forgetful(PseudoInverse):
        def _predictor(self) -> Any:
            predict = super()._predictor()
            return lambda rgb: predict(rgb) + rgb.mean()

    with pytest.raises(AssertionError, match="a_pixel_does_not_see_the_others"):
        check_classical(Forgetful)


def test_faults_of_formats_tracks_and_metrics_are_found() -> None:
    good = FORMATS.get("npy")
    writes_half = dataclasses.replace(
        good, write=lambda cube, path: good.write((cube * 0.5).astype("float32"), path)
    )
    with pytest.raises(AssertionError, match=r"values_come_back: the whole cube differs"):
        check_format(writes_half)
    real = tracks()["real-world"]
    with pytest.raises(AssertionError, match=r"another seed gives another image"):
        check_track(type("Claims", (real,), {"exact": True}))
    wrong = dataclasses.replace(METRICS["sam"], compute=lambda scene: 180.0)
    with pytest.raises(AssertionError, match=r"the truth scores 180, not 0"):
        check_metric(wrong)


def test_every_failure_is_reported_at_once() -> None:
    def fails(entry: int) -> None:
        raise AssertionError("first")

    def crashes(entry: int) -> None:
        raise ZeroDivisionError("second")

    checks = [Check("a", fails), Check("b", crashes), Check("c", lambda entry: None)]
    with pytest.raises(AssertionError) as caught:
        run_checks("thing", 1, checks, slow=True)
    assert str(caught.value) == (
        "thing fails 2 of 3 checks:\n  a: first\n  b: ZeroDivisionError: second"
    )
