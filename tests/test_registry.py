"""The registry: names without imports, duplicates refused, plug-ins that break nothing."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

import pytest

import respectra as rs
from respectra.errors import ConfigError, RespectraWarning
from respectra.methods.registry import methods
from respectra.registry import Registry


def _points(*pairs: tuple[str, str]) -> importlib.metadata.EntryPoints:
    return importlib.metadata.EntryPoints(
        importlib.metadata.EntryPoint(name, value, "g") for name, value in pairs
    )


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Registry[object]:
    found = _points(("pi", "math:pi"), ("own", "math:e"), ("bad", "no_such_module:x"))
    monkeypatch.setattr("respectra.registry._entry_points", lambda: found)
    registry: Registry[object] = Registry("number", group="g")
    registry.add("own", lambda: 1)
    return registry


def test_an_entry_is_made_when_it_is_asked_for():
    made: list[str] = []
    registry: Registry[str] = Registry("thing")
    for name in ("b", "a"):
        registry.add(name, lambda name=name: made.append(name) or name.upper())
    assert list(registry) == ["b", "a"]
    assert made == []
    assert registry["a"] == registry["a"] == "A"
    assert made == ["a"]


def test_a_duplicate_is_refused_and_changes_nothing():
    registry: Registry[int] = Registry("thing")
    registry.add("a", lambda: 1)
    with pytest.raises(ConfigError, match="two things are called 'a'"):
        registry.add("a", lambda: 2)
    assert registry.find("a") == 1
    with pytest.raises(ConfigError, match="unknown thing 'b'"):
        registry.find("b")


def test_other_packages_add_and_a_broken_one_stops_nothing(plugins: Registry[object]):
    with pytest.warns(RespectraWarning, match="'own', which is a name of respectra"):
        assert list(plugins) == ["own", "bad", "pi"]
    assert plugins.find("own") == 1
    assert plugins.origin("own") == "respectra"
    assert plugins.origin("pi") == "math:pi"
    with pytest.raises(ConfigError, match=r"the number 'bad' of .* cannot be loaded .*ModuleNot"):
        plugins.find("bad")
    with pytest.warns(RespectraWarning, match="'bad'"):
        assert dict(plugins.usable()).keys() == {"own", "pi"}


def test_what_a_plugin_brings_is_looked_at():
    def positive(name: str, entry: object) -> float:
        if not isinstance(entry, float):
            raise TypeError("expected a number")
        return entry

    registry: Registry[float] = Registry("number", group="g", accept=positive)
    registry.__dict__["_plugins"] = {}
    with pytest.raises(ConfigError, match="TypeError: expected a number"):
        registry._load_plugin(_points(("x", "math:sqrt"))["x"])


def test_a_method_lies_in_the_file_of_its_name():
    for name, method in methods().items():
        assert method.card.name == name
    assert rs.list_methods("classical") + rs.list_methods("network") == rs.list_methods()


def test_one_method_is_imported_and_not_the_others():
    code = (
        "import sys, respectra as rs; rs.list_methods(); assert not any("
        "m.startswith('respectra.methods.networks.') for m in sys.modules), 'listing imports';"
        "rs.get_card('mst-plus-plus');"
        "print(sorted(m for m in sys.modules if m.startswith('respectra.methods.networks.')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "mst_plus_plus" in done.stdout
    assert "awan" not in done.stdout


@pytest.mark.parametrize("name", ["clean", "real-world", "exposed"])
def test_a_track_lies_in_the_file_of_its_name(name: str):
    assert rs.get_track(name).name == name
