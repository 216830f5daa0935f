"""The registry refuses what would be ambiguous, and stays as it was."""

import dataclasses

import pytest

from respectra.cubes.formats import FORMATS, FormatRegistry
from respectra.errors import ConfigError


def test_names_and_suffixes_are_unique():
    registry = FormatRegistry(tuple(FORMATS))
    with pytest.raises(ConfigError, match="two cube formats are called 'npz'"):
        registry.add(FORMATS.get("npz"))
    other = dataclasses.replace(FORMATS.get("npz"), name="other")
    with pytest.raises(ConfigError, match=r"suffix \.npz of 'other' belongs to 'npz'"):
        registry.add(other)
    assert [entry.name for entry in registry] == [entry.name for entry in FORMATS]


def test_every_format_says_what_it_preserves():
    for entry in FORMATS:
        assert entry.preserves
        assert all(suffix == suffix.lower() and suffix[0] == "." for suffix in entry.suffixes)
