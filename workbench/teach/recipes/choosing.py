"""Select the arms of recipes that a list of names means: ``default``, ``all``, or arms by their
names.

A name is looked for in every recipe, so that one list serves several; a recipe that has none of the
names is left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.errors import WorkbenchError
from workbench.teach.recipes.recipe import Recipe

DEFAULT, ALL = "default", "all"


def select_arms(recipes: Sequence[Recipe], asked: str) -> dict[str, list[str]]:
    """Return the names of the arms to train, by recipe, in the recipe's order; ``asked`` is a
    comma-separated list.

    Raises:
        WorkbenchError: for no name, and for one that no recipe has.
    """
    names = {name.strip() for name in asked.split(",") if name.strip()}
    known = {arm.name for recipe in recipes for arm in recipe.arms}
    unknown = sorted(names - known - {DEFAULT, ALL})
    if unknown or not names:
        what = f"None of the recipes has an arm {unknown[0]!r}" if unknown else "No arm is named"
        raise WorkbenchError(f"{what}; choose default, all, or among {', '.join(sorted(known))}.")
    found = {recipe.name: _of(recipe, names) for recipe in recipes}
    return {recipe: arms for recipe, arms in found.items() if arms}


def _of(recipe: Recipe, names: set[str]) -> list[str]:
    return [
        arm.name
        for arm in recipe.arms
        if ALL in names or arm.name in names or (DEFAULT in names and arm.name in recipe.default)
    ]
