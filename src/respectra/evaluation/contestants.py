"""Contestants: methods with what they learned, ready to be sent to another process."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from respectra.errors import ConfigError
from respectra.evaluation.auxiliary import Recover
from respectra.inference import Reconstructor, find_weights
from respectra.methods import Weights, get_card, list_methods

#: What a process needs for a method whose card claims nothing.
MEMORY_GB = 1.5
Tile = int | Literal["auto"] | None


@dataclass(frozen=True)
class Contestant:
    """A method that takes part.

    Attributes:
        name: as in tables; distinct within an evaluation.
        make: gives the method for a track; called in the process that runs it, so it must pickle.
        fingerprint: changes whenever its answers might; one for all tracks, or one a track.
        facts: what results keep of it: method, track of the weights, parameters, device, tile.
    """

    name: str
    make: Callable[[str], Recover]
    fingerprint: str | Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint_for(self, track: str) -> str:
        """The fingerprint on one track."""
        known = self.fingerprint
        return known if isinstance(known, str) else known[track]


def make_contestant(
    source: str | os.PathLike[str],
    *,
    tracks: Iterable[str] = ("clean",),
    name: str | None = None,
    tile: Tile = "auto",
    device: str = "cpu",
) -> Contestant:
    """A contestant from a classical method's name, weights that ship, or a weights file.

    Args:
        source: as for :func:`respectra.load`. A classical method is fitted for each track.
        tracks: tracks of the evaluation.
        name: as in tables; the method's name or the file's stem by default.
        tile: as for :func:`respectra.load`.
        device: as for :func:`respectra.load`.

    Raises:
        ConfigError: there is no such method or file.
    """
    text = os.fspath(source)
    weights = {track: find_weights(source, track=track) for track in tracks}
    some = next(iter(weights.values()))
    label = name or (Path(text).stem if Path(text).suffix else text)
    prints = {
        track: hashlib.sha256(f"{digest(w)} {device} {tile}".encode()).hexdigest()[:16]
        for track, w in weights.items()
    }
    facts = {
        "method": some.method,
        "source": Path(text).name,
        "trained_for": {track: w.contract.track for track, w in weights.items()},
        "parameters": some.parameters,
        "memory_gb": get_card(some.method).memory_gb or MEMORY_GB,
        "device": device,
        "tile": tile,
        "config": some.config.model_dump(mode="json"),
        "provenance": dict(some.provenance),
    }
    make = functools.partial(_open, weights=weights, tile=tile, device=device)
    return Contestant(label, make, prints, facts)


def find_contestants(
    sources: Iterable[str],
    *,
    tracks: Iterable[str] = ("clean",),
    tile: Tile = "auto",
    device: str = "cpu",
) -> tuple[Contestant, ...]:
    """Several contestants.

    ``classical`` stands for every classical method; ``NAME=FILE`` names one.

    Raises:
        ConfigError: an unknown method or file, or two of one name.
    """
    every = tuple(tracks)
    found: list[Contestant] = []
    for source in sources:
        label, sign, path = source.partition("=")
        if sign:
            found.append(make_contestant(path, tracks=every, name=label, tile=tile, device=device))
            continue
        names = list_methods("classical") if source == "classical" else [source]
        found += [make_contestant(n, tracks=every, tile=tile, device=device) for n in names]
    distinct: dict[str, Contestant] = {}
    for one in found:
        known = distinct.setdefault(one.name, one)
        if known.fingerprint != one.fingerprint:
            raise ConfigError(
                f"two different methods are called {one.name!r}; name them apart: NAME=FILE"
            )
    return tuple(distinct.values())


def digest(weights: Weights) -> str:
    """A hash of everything in a set of weights that its answers depend on."""
    sha = hashlib.sha256()
    head = [weights.method, weights.config.model_dump(mode="json")]
    sha.update(json.dumps([*head, weights.contract.model_dump(mode="json")]).encode())
    for name in sorted(weights.tensors):
        array = np.ascontiguousarray(weights.tensors[name])
        sha.update(f"{name} {array.dtype} {array.shape}".encode())
        sha.update(array.tobytes())
    return sha.hexdigest()


def _open(track: str, *, weights: Mapping[str, Weights], tile: Tile, device: str) -> Recover:
    return Reconstructor(weights[track], tile=tile, device=device)
