"""Training: recipes, losses, and runs that can be resumed and trusted.

Recipes load quickly; ``train`` brings torch and Lightning when it is first used.
"""

from __future__ import annotations

from typing import Any

from respectra.training.recipe import AnyRecipe, ClassicalRecipe, Recipe
from respectra.training.recipe_files import (
    change_recipe,
    list_recipes,
    load_recipe,
    recipe_of,
    save_recipe,
)

__all__ = [
    "AnyRecipe",
    "ClassicalRecipe",
    "Recipe",
    "RunResult",
    "change_recipe",
    "list_recipes",
    "load_recipe",
    "recipe_of",
    "save_recipe",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in ("train", "RunResult"):
        from respectra.training import run

        return getattr(run, name)
    raise AttributeError(f"module 'respectra.training' has no attribute {name!r}")
