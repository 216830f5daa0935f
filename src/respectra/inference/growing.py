"""A cube that grows: the folder beside its place, and the journal of its complete pieces."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from respectra.cubes.writers import GrowingCube
from respectra.errors import FormatError, OutputError
from respectra.files import make_folder, remove
from respectra.inference.ensembles import Recovers
from respectra.inference.tiling import Layout, Region
from respectra.journal import Journal
from respectra.locks import hidden_name
from respectra.methods import Tiling
from respectra.typing import Float32Array

if TYPE_CHECKING:
    pass


def growing_folder(target: Path) -> Path:
    """Where a cube or a clip grows until it is complete; an earlier run may have left it."""
    return target.with_name(hidden_name(target.name, ".part"))


def identity_of(reconstructor: Recovers) -> dict[str, Any]:
    """What another method would have otherwise, for what a half-done cube must agree on."""
    return {
        "method": reconstructor.signature(),
        "guarantees": sorted(reconstructor.guarantees.names),
        "correction": reconstructor.guarantees.correction_key,
    }


def facts_of_file(reconstructor: Recovers, layout: Layout, source: Path) -> dict[str, Any]:
    """What is written down with the cube of a file, besides the guarantees."""
    facts: dict[str, Any] = {"units": "relative", **reconstructor.cube_facts(layout)}
    return facts | {"source": f"{source.name}, {facts['source']}"}


class PiecesDone:
    """Which pieces of a growing cube are complete, by the journal beside it.

    Its first record holds the layout and which file or folder the values grow in, by its number
    on the disk: moved into its place it still has that number, which is how a run that was killed
    after the move is known to be complete.
    """

    def __init__(self, folder: Path, facts: dict[str, Any]) -> None:
        self.folder = folder
        self.layout: Layout | None = None
        self.done: set[tuple[int, int]] = set()
        self.unreachable = 0
        """Pixels whose values no spectrum gives that the guarantees allow."""
        self._journal = Journal(folder / "journal", facts)
        self._grown: list[int] | None = None

    @classmethod
    def resume(cls, folder: Path, facts: dict[str, Any]) -> PiecesDone:
        """The pieces of an earlier run with the same facts, or none."""
        pieces = cls(folder, facts)
        with contextlib.suppress(FormatError, KeyError, TypeError, ValueError):
            journal = Journal.resume(folder / "journal", facts)
            if journal.records:
                first, *rest = journal.records
                saved = dict(first["layout"])
                saved["policy"], saved["sides"] = Tiling(saved["policy"]), tuple(saved["sides"])
                pieces._grown, pieces.layout = first["grown"], Layout(**saved)
                pieces.done = {(y, x) for y, x in (record["piece"] for record in rest)}
                pieces.unreachable = sum(record["unreachable"] for record in rest)
                pieces._journal = journal
                return pieces
        pieces = cls(folder, facts)
        pieces.forget()
        return pieces

    def forget(self) -> None:
        """Begin anew."""
        remove(self.folder)
        make_folder(self.folder)
        self.layout, self._grown = None, None
        self.done = set()
        self.unreachable = 0

    def begin(self, cube: GrowingCube, layout: Layout) -> None:
        """Write the first lines; the cube is there, empty."""
        self.layout, self._grown = layout, number_of(cube.moves[-1][0])
        self._journal.begin()
        self._journal.append({"layout": dataclasses.asdict(layout), "grown": self._grown})

    def complete(self, region: Region, unreachable: int) -> None:
        """Note that a piece is written, and how many of its pixels are unreachable."""
        key = (region[0].start, region[1].start)
        self._journal.append({"piece": key, "unreachable": unreachable})
        self.done.add(key)
        self.unreachable += unreachable

    def is_in_place(self, cube: GrowingCube, layout: Layout) -> bool:
        """Whether an earlier run has moved the complete cube; one that is lost is begun anew."""
        if self._grown is None:
            return False
        source, target = cube.moves[-1]
        if number_of(source) == self._grown:
            return False
        if number_of(target) == self._grown and len(self.done) == layout.count:
            return True
        self.forget()
        return False

    def keep_means(self, means: list[Float32Array], number: int = 0) -> None:
        """Keep what first passes of one of several methods gave: they cost as much as the cube."""
        temporary = self.folder / "means.tmp"
        with temporary.open("wb") as file:
            np.savez(file, *means)
        temporary.rename(self.folder / f"means-{number}.npz")

    def means(self, number: int = 0) -> list[Float32Array] | None:
        """What first passes of an earlier run gave."""
        file = self.folder / f"means-{number}.npz"
        if not file.is_file():
            return None
        with np.load(file) as stored:
            return [stored[f"arr_{i}"] for i in range(len(stored.files))]


def number_of(path: Path) -> list[int] | None:
    """Which file or folder it is, whatever its name."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return [facts.st_dev, facts.st_ino]


@contextlib.contextmanager
def keeping_complete(target: Path, folder: Path, anything: Callable[[], bool]) -> Iterator[None]:
    """What goes wrong while a cube grows in a folder, in one sentence.

    The folder stays if there is anything complete in it.
    """
    try:
        yield
    except BaseException as error:
        kept = anything()
        if not kept:
            remove(folder)
        if isinstance(error, OutputError) or not isinstance(error, OSError):
            raise
        what = f"what is complete is kept in {folder}: " if kept else ""
        raise OutputError(
            f"cannot write {target}: {error.strerror or error}; {what}"
            "see to the free space and run the same command again"
        ) from error
