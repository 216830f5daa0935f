"""Training: recipes, losses, and runs that can be resumed and trusted.

Recipes load quickly; ``train`` brings torch and Lightning when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from respectra.renaming import lazy_names
from respectra.training.recipe import AnyRecipe, ClassicalRecipe, Recipe
from respectra.training.recipe_files import (
    change_recipe,
    list_recipes,
    load_recipe,
    recipe_of,
    save_recipe,
)

if TYPE_CHECKING:
    from respectra.training.run import RunResult, train

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

__getattr__ = lazy_names(__name__, {"run": ["RunResult", "train"]})
