"""Computed facts against counts worked out by hand."""

from __future__ import annotations

import json

import pytest

from respectra.errors import ConfigError
from respectra.methods import list_methods
from respectra.methods.measure import (
    count_gmac,
    count_parameters,
    get_facts,
    measure_frame,
)

#: The smallest RPAN there is: six 3x3 and three 1x1 convolutions of one feature.
ONE = {"width": 1, "groups": 1, "blocks": 1, "channels_in": 1, "bands": 1}


def test_parameters_and_macs_of_a_network_counted_by_hand() -> None:
    weights = 5 * 9 + 3
    assert count_parameters("rpan", **ONE) == weights
    assert count_gmac("rpan", frame=(10, 20), **ONE) == pytest.approx(weights * 200 / 1e9)
    assert get_facts("rpan", **ONE).radius == 5


def test_facts_follow_preset_and_options() -> None:
    facts = get_facts("rpan", preset="tiny", bands=7)
    assert facts.parameters == count_parameters("rpan", preset="tiny", bands=7)
    assert facts.parameters != get_facts("rpan", preset="tiny").parameters
    assert facts.receptive_field == f"{2 * (facts.radius or 0) + 1} px"


def test_facts_are_json() -> None:
    values = json.loads(json.dumps(get_facts("rpan", preset="tiny").as_dict()))
    assert values["origin"] == "our reading"
    assert values["presets"]["real-world"] == {"bias": True}
    assert values["config"]["width"] == 24


def test_classical_methods_have_no_count_before_they_are_fitted() -> None:
    for name in list_methods("classical"):
        facts = get_facts(name)
        assert facts.parameters is None
        assert facts.receptive_field == "1 px"
        with pytest.raises(ConfigError, match="classical"):
            count_parameters(name)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="rpan"):
        get_facts("rpam")
    with pytest.raises(ConfigError, match="preset of rpan"):
        count_gmac("rpan", preset="tinny")
    with pytest.raises(ConfigError, match="unknown option 'depth'"):
        count_parameters("rpan", depth=3)


def test_frame_is_measured_in_a_process_of_its_own() -> None:
    cost = measure_frame("rpan", preset="tiny", frame=(32, 48))
    assert cost.seconds > 0
    assert 0.05 < cost.peak_gb < 2
