"""What other packages add: methods, formats, tracks, responses, metrics and auxiliary tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from respectra.registry import Registry

__all__ = ["Plugin", "find_plugins", "registries"]


@dataclass(frozen=True)
class Plugin:
    """An entry of another package.

    Example:
        >>> from respectra.plugins import Plugin
        >>> Plugin("metric", "gloss", "my-package 1.0", "respectra.metrics", problem=None).name
        'gloss'
    """

    kind: str
    """What it adds: ``method``, ``format``, ``track``, ..."""
    name: str
    package: str
    """That and its version."""
    group: str
    """Of the entry points by which it is found."""
    problem: str | None
    """Why it cannot be used; None where it can."""


def find_plugins() -> list[Plugin]:
    """All entries of other packages that are installed, broken ones with their problem.

    Example:
        >>> import respectra as rs
        >>> names = [plugin.name for plugin in rs.find_plugins()]
        >>> "awan" in names  # which is no other package's
        False
    """
    return [
        Plugin(
            registry.kind,
            name,
            registry.origin(name),
            registry.group or "",
            registry.problem(name),
        )
        for registry in registries()
        for name in registry.others()
    ]


def registries() -> tuple[Registry[Any], ...]:
    """The registries that other packages can add to.

    Example:
        >>> from respectra.plugins import registries
        >>> sorted(registry.kind for registry in registries())
        ['auxiliary test', 'cube format', 'method', 'metric', 'response', 'track']
    """
    from respectra.cameras.responses import OTHERS
    from respectra.cameras.tracks import tracks
    from respectra.cubes.formats import FORMATS
    from respectra.evaluation.auxiliary import TESTS
    from respectra.evaluation.metrics import METRICS
    from respectra.methods.registry import methods

    return methods(), FORMATS.entries, tracks(), OTHERS, METRICS, TESTS
