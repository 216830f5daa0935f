"""The public names: those of ``respectra`` itself and of its rooms, each listed once."""

from __future__ import annotations

import importlib
import inspect
import typing
from typing import Any

#: The rooms whose public names are the reference, in the order of the house.
ROOMS = {
    "colour": "Colour, observers and lights",
    "cubes": "Cubes",
    "cameras": "Cameras, images and captures",
    "cameras.calibration": "Calibration",
    "datasets": "Collections, stores and synthetic scenes",
    "datasets.still_life": "The still life of the demonstration",
    "methods": "Methods",
    "training": "Training",
    "inference": "Inference",
    "inference.tables": "Look-up tables",
    "evaluation": "Evaluation",
    "evaluation.metrics": "Metrics",
    "viewer": "Viewer",
    "progress": "Progress",
    "plugins": "What other packages add",
    "methods.network": "A network of your own",
    "methods.classical.base": "A classical method of your own",
    "cubes.formats": "A cube format of your own",
    "evaluation.auxiliary": "An auxiliary test of your own",
    "testing": "Checks for parts of other packages",
    "errors": "Errors",
}

#: Of rooms that are public in part, for those who add to them.
PARTS = {
    "methods.network": ("NetworkConfig", "NetworkMethod"),
    "methods.classical.base": ("ClassicalMethod",),
    "cubes.formats": ("CubeFormat", "Stored"),
    "evaluation.auxiliary": ("Case", "Challenge", "InputTest", "OutputTest"),
}


def public_names(room: str) -> dict[str, Any]:
    """Classes and functions that a room offers: of ``__all__``, or those that it defines."""
    module = importlib.import_module(f"respectra.{room}")
    own = [n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__]
    names = getattr(module, "__all__", [name for name in own if not name.startswith("_")])
    names = PARTS.get(room, names)
    values = {name: getattr(module, name) for name in sorted(names, key=str.lower)}
    return {
        name: value
        for name, value in values.items()
        if (inspect.isclass(value) or inspect.isroutine(value)) and typing.get_origin(value) is None
    }


def inventory() -> dict[str, dict[str, Any]]:
    """Name and value by room; what several rooms offer stands in the first of them.

    What ``respectra`` offers itself and no room does is listed under ``""``.
    """
    import respectra

    seen: set[int] = set()
    found: dict[str, dict[str, Any]] = {}
    for room in ROOMS:
        new = {n: v for n, v in public_names(room).items() if id(v) not in seen}
        seen |= {id(value) for value in new.values()}
        found[room] = new
    every = {name: getattr(respectra, name) for name in dir(respectra) if name[0] != "_"}
    found[""] = {
        name: value
        for name, value in every.items()
        if (inspect.isclass(value) or inspect.isroutine(value))
        and value.__module__.startswith("respectra.")
        and id(value) not in seen
    }
    return found
