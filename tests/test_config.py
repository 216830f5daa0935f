"""Configuration refuses what it does not know, and says what it knows."""

import pytest
from pydantic import Field

from respectra.config import Config
from respectra.errors import ConfigError, RespectraError, unknown_name


class Example(Config):
    width: int = Field(default=4, ge=1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"widht": 3}, r"unknown option 'widht' \(allowed: width\)"),
        ({"width": 0}, "width = 0: .*greater than or equal to 1"),
        ({"width": "many"}, "width = 'many': .*integer"),
    ],
)
def test_refused_values_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        Example(**values)


def test_a_configuration_cannot_be_changed():
    with pytest.raises(Exception, match="frozen"):
        Example().width = 5


def test_unknown_names_suggest_near_ones():
    error = unknown_name("method", "hrnt", ["hrnet", "awan"])
    assert isinstance(error, RespectraError)
    assert "did you mean 'hrnet'" in str(error)
    assert "did you mean 'D65'" in str(unknown_name("light", "d66", ["D65", "FL2", "planck:2856"]))
