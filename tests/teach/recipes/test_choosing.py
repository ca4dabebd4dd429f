from __future__ import annotations

import pytest

from workbench.errors import WorkbenchError
from workbench.teach.recipes import DOUBT, METACOGNITION
from workbench.teach.recipes.choosing import select_arms

RECIPES = (METACOGNITION, DOUBT)


def test_default_and_all_are_those_of_every_recipe() -> None:
    assert select_arms(RECIPES, "default") == {
        recipe.name: list(recipe.default) for recipe in RECIPES
    }
    assert select_arms(RECIPES, " all ") == {
        recipe.name: [arm.name for arm in recipe.arms] for recipe in RECIPES
    }


def test_names_are_found_where_they_are_and_may_stand_beside_the_default() -> None:
    assert select_arms(RECIPES, "pairwise, single") == {"metacognition": ["single", "pairwise"]}
    assert select_arms(RECIPES, "single,default") == {
        "metacognition": ["single", *METACOGNITION.default],
        "doubt": list(DOUBT.default),
    }


def test_a_name_nobody_has_and_no_name_are_refused() -> None:
    with pytest.raises(
        WorkbenchError,
        match="None of the recipes has an arm 'sngle'; choose default, all, or among",
    ):
        select_arms(RECIPES, "single,sngle")
    with pytest.raises(WorkbenchError, match="No arm is named"):
        select_arms(RECIPES, " , ")
