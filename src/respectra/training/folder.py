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
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from respectra.errors import FormatError
from respectra.files import atomic_path, make_folder
from respectra.guards.text import read_object
from respectra.methods import Weights, get_card, save_weights
from respectra.training.recipe import AnyRecipe, Recipe


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


def model_card(recipe: AnyRecipe, weights: Weights) -> str:
    """Describe weights that a run made, in Markdown.

    Args:
        recipe: how they were trained.
        weights: the best of the run.
    """
    card, contract, facts = get_card(weights.method), weights.contract, weights.provenance
    parts = [
        f"# {card.title}, track {recipe.track}",
        card.summary,
        _table(
            "Weights",
            {
                "Method": f"`{weights.method}` ({card.reference})",
                "Stored values": f"{weights.parameters:,}",
                "Recipe": f"`{recipe.name}`, every value in `recipe.yaml`",
                "Seed": recipe.seed,
                "Step": facts.get("step", "fitted at once"),
                "Made with": ", ".join(f"{k} {v}" for k, v in facts["versions"].items()),
            },
        ),
        _table(
            "What goes in and what comes out",
            {
                "Images": f"track `{contract.track}`, channels {contract.channel_order}, "
                f"scaling `{contract.scaling}`",
                "Keeps exposure": "yes" if contract.keeps_exposure else "no",
                "Cubes": f"{contract.bands} bands from {contract.wavelengths_nm[0]:g} to "
                f"{contract.wavelengths_nm[-1]:g} nm, {contract.quantity}",
            },
        ),
        _scores(recipe, facts["validation"]),
        _data(facts["scenes"]),
    ]
    if isinstance(recipe, Recipe):
        parts += _honesty(recipe)
    reported = card.reported.get(recipe.track)  # type: ignore[call-overload]
    if reported is not None:
        parts.append(
            f"The authors reported an MRAE of {reported.mrae} on the challenge's own test scenes, "
            "which are not public. It does not compare with the scores above."
        )
    return "\n\n".join(parts) + "\n"


def _scores(recipe: AnyRecipe, scores: Mapping[str, float]) -> str:
    if not scores:
        return "## Scores\n\nNo scene was kept apart, so nothing was scored."
    floor = recipe.validation.floor
    rule = f"denominators at least {floor:g}" if floor else "values whose truth is zero left out"
    side = recipe.validation.side
    area = "whole scenes" if side is None else f"the central {side} x {side} pixels of each scene"
    table = _table("Scores", {name.upper(): f"{value:.5f}" for name, value in scores.items()})
    return (
        f"{table}\n\nOn the scenes that validated, over {area}; MRAE with {rule}. The weights were "
        "chosen by this MRAE, so that it flatters them a little."
    )


def _data(scenes: Mapping[str, Sequence[str]]) -> str:
    lines = [
        f"- {part}: {len(names)} ({', '.join(names[:8])}{', ...' if len(names) > 8 else ''})"
        for part, names in scenes.items()
    ]
    return "\n".join(["## Scenes", "", *lines, "", "All names and hashes are in `run.json`."])


def _honesty(recipe: Recipe) -> list[str]:
    """What nobody published and what was done otherwise."""
    parts = []
    if not recipe.entered:
        parts.append("Those who made this method did not train it for this track.")
    if recipe.source:
        parts.append(f"Values of the recipe: {recipe.source}.")
    if recipe.undisclosed:
        names = ", ".join(f"`{name}`" for name in recipe.undisclosed)
        parts.append(f"Nobody published these, which are our choice: {names}.")
    if recipe.departures:
        lines = "\n".join(f"- {text}" for text in recipe.departures)
        parts.append(f"Different from what the authors did:\n\n{lines}")
    return ["## Recipe", *parts] if parts else []


def _table(title: str, rows: Mapping[str, object]) -> str:
    body = "\n".join(f"| {name} | {value} |" for name, value in rows.items())
    return f"## {title}\n\n| | |\n|---|---|\n{body}"
