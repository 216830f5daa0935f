"""Entries: methods with what they learned, ready to be sent to another process."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from respectra.devices import pick_device
from respectra.errors import ConfigError
from respectra.evaluation.auxiliary import Recover
from respectra.evaluation.measuring import limited_threads
from respectra.inference import Reconstructor, find_weights
from respectra.inference.binding import serves, what_fits, what_for
from respectra.inference.guarantees import GUARANTEES, Guarantee, Guarantees, check_guarantees
from respectra.methods import Weights, get_card, list_methods
from respectra.methods.weights import weights_hash

T = TypeVar("T")

#: What a process needs for a method whose card claims nothing.
MEMORY_GB = 1.5
Tile = int | Literal["auto"] | None


@dataclass(frozen=True)
class Entry:
    """A method that takes part.

    Attributes:
        name: as in tables; distinct within an evaluation.
        make: gives the method for a track; called in the process that runs it, so it must pickle.
        fingerprint: changes whenever its answers might; one for all tracks, or one a track: it
            takes part in these alone.
        facts: what results keep of it: method, track of the weights, parameters, device, tile;
            ``base`` and ``guarantees`` where it is another one made to keep something; ``absent``,
            track -> why it takes no part.

    Example:
        >>> import respectra as rs
        >>> rs.evaluation.make_entry("wiener").takes_part("clean")
        True
    """

    name: str
    make: Callable[[str], Recover]
    fingerprint: str | Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint_for(self, track: str) -> str:
        """The fingerprint on one track."""
        known = self.fingerprint
        return known if isinstance(known, str) else known[track]

    def takes_part(self, track: str) -> bool:
        """Whether it can be asked about images of a track."""
        return isinstance(self.fingerprint, str) or track in self.fingerprint


#: Methods as one names them: names, weights files or entries, one or several.
Methods = str | os.PathLike[str] | Entry | Sequence[str | os.PathLike[str] | Entry]


def entries_of(
    methods: Methods, *, tracks: Iterable[str] = ("clean",), device: str = "cpu"
) -> tuple[Entry, ...]:
    """The entries that are meant.

    Raises:
        ConfigError: as :func:`find_entries`.
    """
    if isinstance(methods, str | os.PathLike | Entry):
        methods = [methods]
    tracks = tuple(tracks)
    found: list[Entry] = []
    for method in methods:
        if isinstance(method, Entry):
            found.append(method)
        else:
            found += find_entries([os.fspath(method)], tracks=tracks, device=device)
    return tuple(found)


def make_entry(
    source: str | os.PathLike[str],
    *,
    tracks: Iterable[str] = ("clean",),
    name: str | None = None,
    guarantees: Iterable[str] = (),
    tile: Tile = "auto",
    device: str = "cpu",
    force: bool = False,
) -> Entry:
    """An entry from a classical method's name, weights that ship, or a weights file.

    Args:
        source: as for :func:`respectra.load`. A classical method is fitted for each track.
        tracks: tracks of the evaluation.
        name: as in tables; the method's name or the file's stem by default. The guarantees are
            added to it: ``pca+consistent``.
        guarantees: what its cubes are made to keep, as for :func:`respectra.load`.
        tile: as for :func:`respectra.load`.
        device: as for :func:`respectra.load`.
        force: score weights on tracks that they were not made for, too.

    Raises:
        ConfigError: there is no such method or file for any of the tracks, or guarantees that it
            cannot keep on any of them.

    Example:
        >>> make_entry("wiener").name
        'wiener'
    """
    return _entries(source, tracks, name, [guarantees], _How(tile, device, force))[0]


def find_entries(
    sources: Iterable[str],
    *,
    tracks: Iterable[str] = ("clean",),
    guarantees: Iterable[Iterable[str]] = (),
    tile: Tile = "auto",
    device: str = "cpu",
    force: bool = False,
) -> tuple[Entry, ...]:
    """Several entries.

    ``classical`` stands for every classical method; ``NAME=FILE`` names one.

    Args:
        sources: methods and files.
        tracks: tracks of the evaluation.
        guarantees: sets of guarantees; with each of them every method takes part once more.
        tile: as for :func:`respectra.load`.
        device: as for :func:`respectra.load`.
        force: as for :func:`make_entry`.

    Raises:
        ConfigError: an unknown method or file, guarantees that cannot be kept, or two of one name.

    Example:
        >>> [entry.name for entry in find_entries(["wiener", "pca"])]
        ['wiener', 'pca']
    """
    every, sets, how = tuple(tracks), [(), *map(tuple, guarantees)], _How(tile, device, force)
    found: list[Entry] = []
    for source in sources:
        label, sign, path = source.partition("=")
        if sign:
            found += _entries(path, every, label, sets, how)
            continue
        for name in list_methods("classical") if source == "classical" else [source]:
            found += _entries(name, every, None, sets, how)
    distinct: dict[str, Entry] = {}
    for one in found:
        known = distinct.setdefault(one.name, one)
        if known.fingerprint != one.fingerprint:
            raise ConfigError(
                f"two different methods are called {one.name!r}; name them apart: NAME=FILE"
            )
    return tuple(distinct.values())


@dataclass(frozen=True)
class _How:
    """How the reconstructors of an entry run."""

    tile: Tile
    device: str
    force: bool


def _entries(
    source: str | os.PathLike[str],
    tracks: Iterable[str],
    name: str | None,
    guarantees: Iterable[Iterable[str]],
    how: _How,
) -> list[Entry]:
    """A method with each of some sets of guarantees; its weights are made ready once."""
    text, how = os.fspath(source), dataclasses.replace(how, device=pick_device(how.device))
    label = name or (Path(text).stem if Path(text).suffix else text)
    # One thread: with several, what is fitted would differ in its last digits from run to run.
    with limited_threads(1):
        weights, absent = _for_tracks(tracks, lambda track: _weights_for(source, track, how.force))
    return [
        _entry(label, text, weights, absent, check_guarantees(kept), how) for kept in guarantees
    ]


def _entry(
    base: str,
    source: str,
    weights: Mapping[str, Weights],
    absent: Mapping[str, str],
    kept: frozenset[Guarantee],
    how: _How,
) -> Entry:
    words = [word for word in GUARANTEES if word in kept]
    fit, unfit = _for_tracks(weights, lambda track: _keeping(weights[track], words, track))
    some = next(iter(fit.values()))
    prints = {
        track: hashlib.sha256(
            " ".join([weights_hash(w), how.device, str(how.tile), *words]).encode()
        ).hexdigest()[:16]
        for track, w in fit.items()
    }
    facts = {
        "method": some.method,
        "source": Path(source).name,
        "base": base,
        "guarantees": words,
        "absent": {**absent, **unfit},
        "trained_for": {track: w.contract.track for track, w in fit.items()},
        "parameters": some.parameters,
        "memory_gb": get_card(some.method).memory_gb or MEMORY_GB,
        "device": how.device,
        "tile": how.tile,
        "config": some.config.model_dump(mode="json"),
        "provenance": dict(some.provenance),
    }
    make = functools.partial(_open, weights=fit, guarantees=words, how=how)
    return Entry("+".join([base, *words]), make, prints, facts)


def _for_tracks(
    tracks: Iterable[str], make: Callable[[str], T]
) -> tuple[dict[str, T], dict[str, str]]:
    """What is made for each track, and why it is not for the others.

    Raises:
        ConfigError: it is for none.
    """
    made: dict[str, T] = {}
    absent: dict[str, str] = {}
    error: ConfigError | None = None
    for track in tracks:
        try:
            made[track] = make(track)
        except ConfigError as reason:
            absent[track], error = str(reason), reason
    if error is not None and not made:
        raise error
    return made, absent


def _weights_for(source: str | os.PathLike[str], track: str, force: bool) -> Weights:
    """The weights of a source for a track.

    Raises:
        ConfigError: there are none, or they are for another track, unless that is meant.
    """
    weights = find_weights(source, track=track)
    if not serves(weights.contract, track) and not force:
        raise ConfigError(
            f"{os.fspath(source)} was made for {what_for(weights.contract)}, not {track!r}; "
            f"{what_fits(track)}, or score it all the same with force=True (--force)"
        )
    return weights


def _keeping(weights: Weights, guarantees: Iterable[str], track: str) -> Weights:
    """The weights, if they can keep the guarantees on images of a track.

    Raises:
        ConfigError: they cannot: the camera is another one, or not known.
    """
    kept = Guarantees(guarantees, weights.contract)
    if kept.consistent and weights.contract.track != track:
        raise ConfigError(
            f"these weights are for the camera of the track {weights.contract.track!r}, so that "
            f"consistency with images of {track!r} means nothing; use weights made for it"
        )
    return weights


def _open(
    track: str, *, weights: Mapping[str, Weights], guarantees: Sequence[str], how: _How
) -> Recover:
    return Reconstructor(
        weights[track], tile=how.tile, device=how.device, guarantees=guarantees, force=how.force
    )
