"""Every public name has an example in its docstring, and every example is true."""

from __future__ import annotations

import doctest
import importlib.util
import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import respectra

pytest.importorskip("av")
pytest.importorskip("dask")
_FILE = Path(__file__).parents[1] / "docs" / "inventory.py"


def _inventory() -> dict[str, dict[str, Any]]:
    if not _FILE.is_file():
        return {}
    spec = importlib.util.spec_from_file_location("_inventory", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.inventory()  # type: ignore[no-any-return]


_NAMES = {
    f"{room}.{name}".strip("."): value
    for room, names in _inventory().items()
    for name, value in names.items()
}


@pytest.mark.skipif(not _NAMES, reason="an installation without the folder docs")
@pytest.mark.parametrize("name", _NAMES)
def test_the_example_of_a_public_name_is_there_and_true(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = _NAMES[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    module = importlib.import_module(value.__module__)
    (found,) = doctest.DocTestFinder(recurse=False).find(value, name, module=module)
    is_error = inspect.isclass(value) and issubclass(value, Exception)
    assert found.examples or is_error, f"{name} has no example in its docstring"
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    with np.printoptions(legacy=False):
        runner.run(found, out=said.append)
    assert not runner.failures, "".join(said)


def test_every_public_name_stands_once_in_the_reference() -> None:
    if not _FILE.is_file():
        pytest.skip("an installation without the folder docs")
    places: dict[int, list[str]] = {}
    for room, names in _inventory().items():
        for name, value in names.items():
            places.setdefault(id(value), []).append(f"{room}.{name}")
    assert all(len(where) == 1 for where in places.values())
    for name in respectra._NAMES:
        assert id(getattr(respectra, name)) in places, name
