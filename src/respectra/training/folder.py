"""The run folder: what a run leaves behind, written so that a kill at any moment does no harm.

recipe.yaml         every value of the recipe
run.json            data with hashes, seed, versions, machine
metrics.csv         a row a recorded step
checkpoint.ckpt     everything that is needed to continue
best.safetensors    weights with the lowest validation MRAE
last.safetensors    weights at the last step
MODEL_CARD.md       what was trained, on what, with which scores
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from respectra.errors import FormatError
from respectra.files import atomic_path, make_folder
from respectra.guards.text import read_object
from respectra.methods import Weights, save_weights


class RunFolder:
    """The files of a run by name.

    Args:
        root: the folder; it is made where it does not exist.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)
        self._made = [f for f in (self.root, *self.root.parents) if not f.exists()]
        make_folder(self.root)
        self.recipe = self.root / "recipe.yaml"
        self.facts = self.root / "run.json"
        self.metrics = self.root / "metrics.csv"
        self.checkpoint = self.root / "checkpoint.ckpt"
        self.best = self.root / "best.safetensors"
        self.last = self.root / "last.safetensors"
        self.card = self.root / "MODEL_CARD.md"
        self.tensorboard = self.root / "tensorboard"

    @contextlib.contextmanager
    def removed_if_empty(self) -> Iterator[None]:
        """Within this block, folders that were made for the run go again if nothing comes of it."""
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # there is something in it
                for folder in self._made:
                    folder.rmdir()

    @property
    def is_started(self) -> bool:
        """Whether a run was begun here."""
        return self.recipe.is_file() and self.facts.is_file()

    def steps_done(self) -> int:
        """Optimiser steps behind the checkpoint; 0 without one.

        Raises:
            FormatError: it is damaged.
        """
        import torch

        if not self.checkpoint.is_file():
            return 0
        try:
            state = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            return int(state["global_step"])
        except Exception as error:  # whatever torch makes of a damaged file
            raise FormatError(
                f"{self.checkpoint} is damaged ({type(error).__name__}); put back a copy of it, or "
                "begin a new run in another folder"
            ) from None

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Write run.json."""
        with atomic_path(self.facts, overwrite=True) as temporary:
            temporary.write_text(json.dumps(facts, indent=2, default=str) + "\n", encoding="utf-8")

    def read_facts(self) -> dict[str, Any]:
        """Read run.json.

        Raises:
            FormatError: it is damaged.
        """
        try:
            return read_object(self.facts)
        except FormatError as error:
            raise FormatError(f"{self.facts} cannot be read: {error}") from None

    def write_fitted(self, weights: Weights) -> None:
        """Write weights that were fitted at once: they are the best and the last."""
        for path in (self.best, self.last):
            save_weights(weights, path, overwrite=True)

    def write_card(self, text: str) -> None:
        """Write the model card."""
        with atomic_path(self.card, overwrite=True) as temporary:
            temporary.write_text(text, encoding="utf-8")


class MetricsFile:
    """A CSV file of one row a recorded step; rows after the step to continue from are dropped.

    Args:
        path: the file.
        columns: names, without the first, which is ``step``.
        step: the step that the run continues from.
    """

    def __init__(self, path: Path, columns: tuple[str, ...], *, step: int) -> None:
        self.path, self.columns = path, ("step", *columns)
        kept = [row for row in _rows(path) if int(row["step"]) <= step] if step else []
        with atomic_path(path, overwrite=True) as temporary:
            temporary.write_text(
                self._line(dict(zip(self.columns, self.columns, strict=True)))
                + "".join(self._line(row) for row in kept),
                encoding="utf-8",
            )

    def append(self, step: int, values: Mapping[str, float]) -> None:
        """Add a row; what has no value stays empty."""
        row = {name: f"{value:.9g}" for name, value in values.items()}
        # Not opened for appending, which would make a file where the folder has vanished.
        with self.path.open("r+", encoding="utf-8") as file:
            file.seek(0, os.SEEK_END)
            file.write(self._line({"step": str(step), **row}))

    def _line(self, row: Mapping[str, str]) -> str:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\n")
        writer.writerow(dict(row))
        return text.getvalue()


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a metrics file; one that a kill cut short is left out."""
    if not path.is_file():
        return []
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(whole)) if row["step"].isdigit()]


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, float]]:
    """The rows of a metrics file; what was not recorded at a step is left out of its row."""
    return [
        {name: float(value) for name, value in row.items() if value} for row in _rows(Path(path))
    ]
