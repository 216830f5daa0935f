"""One registry for all that has a name: methods, formats, tracks, metrics, auxiliary tests.

An entry is imported when it is asked for, so that listing names imports nothing. Other packages add
entries through entry points; one that cannot be loaded is reported by name and stops nothing else.
"""

from __future__ import annotations

import functools
import importlib.metadata
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from respectra.errors import ConfigError, RespectraError, RespectraWarning, unknown_name

__all__ = ["BUILT_IN", "Registry", "own_package", "package_of", "reason_of"]

T = TypeVar("T")

#: What is said of entries that come with the package.
BUILT_IN = "respectra"


@dataclass(frozen=True)
class _Source(Generic[T]):
    """Where an entry comes from."""

    load: Callable[[], T]
    origin: str


class Registry(Mapping[str, T]):
    """Entries of one kind by name.

    Iteration gives names: first those that were added, in that order, then those of other packages,
    sorted. ``registry[name]`` imports the entry.

    Args:
        kind: what an entry is, as an error says it: ``method``.
        group: the group of entry points through which other packages add entries.
        accept: turns what an entry point names into an entry; raises for what is none.

    Example:
        >>> colours = Registry("colour")
        >>> colours.add("red", lambda: 0xFF0000)
        >>> list(colours), colours.find("red")
        (['red'], 16711680)
    """

    def __init__(
        self,
        kind: str,
        *,
        group: str | None = None,
        accept: Callable[[str, Any], T] = lambda name, entry: entry,
    ) -> None:
        self.kind, self.group, self._accept = kind, group, accept
        self._sources: dict[str, _Source[T]] = {}
        self._loaded: dict[str, T] = {}
        self._broken: dict[str, str] = {}
        self._reported: set[str] = set()

    def add(self, name: str, load: Callable[[], T], *, origin: str = BUILT_IN) -> None:
        """Add an entry.

        Args:
            name: how it is asked for.
            load: gives it, the first time that it is asked for.
            origin: the package that it comes from.

        Raises:
            ConfigError: the name is taken; the registry is unchanged.
        """
        if name in self._sources:
            raise ConfigError(f"two {self.kind}s are called {name!r}; rename one")
        self._sources[name] = _Source(load, origin)

    def find(self, name: str) -> T:
        """An entry by name.

        Raises:
            ConfigError: there is none of that name, or the package that brings it is broken.
        """
        if name not in self._all:
            raise unknown_name(self.kind, name, self._all)
        return self[name]

    def origin(self, name: str) -> str:
        """The package that an entry comes from, with its version where it is not this one.

        Raises:
            ConfigError: there is no entry of that name.
        """
        if name not in self._all:
            raise unknown_name(self.kind, name, self._all)
        return self._all[name].origin

    def is_built_in(self, name: str) -> bool:
        """Whether an entry comes with this package. Raises ConfigError for an unknown name."""
        return self.origin(name) == BUILT_IN

    def others(self) -> list[str]:
        """Names of the entries that other packages bring, whether they can be loaded or not."""
        return list(self._plugins)

    def usable(self, names: Iterable[str] | None = None) -> Iterator[tuple[str, T]]:
        """Every entry with its name, or those of the names.

        Those that cannot be loaded are left out; each is reported once, by a warning.
        """
        for name in list(self) if names is None else names:
            try:
                entry = self[name]
            except RespectraError as error:
                self.report(name, str(error))
                continue
            yield name, entry

    def report(self, name: str, problem: str) -> None:
        """Warn of an entry that cannot be used, once however often it is asked for."""
        if name not in self._reported:
            self._reported.add(name)
            warnings.warn(problem, RespectraWarning, stacklevel=3)

    def problem(self, name: str) -> str | None:
        """Why an entry cannot be loaded; None where it can."""
        try:
            self[name]
        except RespectraError as error:
            return str(error)
        return None

    def __getitem__(self, name: str) -> T:
        if name in self._broken:  # not tried again: a module that failed halfway may do harm
            raise ConfigError(self._broken[name])
        if name not in self._loaded:
            self._loaded[name] = self._all[name].load()
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, name: object) -> bool:
        return name in self._all

    @property
    def _all(self) -> Mapping[str, _Source[T]]:
        found = self._plugins
        return {**self._sources, **found} if found else self._sources

    @functools.cached_property
    def _plugins(self) -> Mapping[str, _Source[T]]:
        """Entries of other packages; a name that is taken is refused with a warning."""
        if self.group is None:
            return {}
        found: dict[str, _Source[T]] = {}
        points: importlib.metadata.EntryPoints = _entry_points().select(group=self.group)
        for point in sorted(points, key=lambda p: (p.name, _origin(p))):
            if point.name in self._sources or point.name in found:
                other = {**self._sources, **found}[point.name].origin
                warnings.warn(
                    f"{_origin(point)} brings a {self.kind} called {point.name!r}, which is a name "
                    f"of {other}; it is left out",
                    RespectraWarning,
                    stacklevel=2,
                )
                continue
            load = functools.partial(self._load_plugin, point)
            found[point.name] = _Source(load, _origin(point))
        return found

    def _load_plugin(self, point: importlib.metadata.EntryPoint) -> T:
        try:
            return self._accept(point.name, point.load())
        except (Exception, SystemExit) as error:  # another package may raise anything
            self._broken[point.name] = (
                f"the {self.kind} {point.name!r} of {_origin(point)} cannot be loaded "
                f"({reason_of(error)}); update or remove that package"
            )
            raise ConfigError(self._broken[point.name]) from error


@functools.cache
def _entry_points() -> Any:  # of another class before Python 3.12
    """All of what is installed, which takes a moment to read."""
    return importlib.metadata.entry_points()


def reason_of(error: BaseException) -> str:
    """What another package raised, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def own_package() -> str:
    """This package and its version, as the origin of an entry of another one reads."""
    from respectra import __version__

    return f"{BUILT_IN} {__version__}"


def package_of(registry: Registry[Any], name: str) -> str:
    """The package and version that an entry comes from, this one included."""
    return own_package() if registry.is_built_in(name) else registry.origin(name)


def _origin(point: importlib.metadata.EntryPoint) -> str:
    """The package of an entry point, and its version."""
    package = point.dist
    return point.value if package is None else f"{package.name} {package.version}"
