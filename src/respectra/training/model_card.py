"""The model card: what was trained, on what, with which scores, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from respectra.methods import Weights, get_card
from respectra.training.recipe import AnyRecipe, Recipe


def model_card(recipe: AnyRecipe, weights: Weights) -> str:
    """Describe weights that a run made.

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
