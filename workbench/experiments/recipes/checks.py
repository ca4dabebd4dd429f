"""Refuse, before any work, arms of a recipe that cannot be trained: settings against the questions
and the model's shape.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.config import Resolved
from workbench.errors import WorkbenchError
from workbench.experiments.recipes.trainings import arm_settings
from workbench.loop.checks import (
    check_counts,
    check_placement,
    check_settings,
    check_taught,
    check_teach,
    training_questions,
)
from workbench.loop.questions import drawn_questions
from workbench.models.shape import read_shape
from workbench.settings.fields import DERIVED_SEEDS
from workbench.teach.recipes import Arm, Recipe
from workbench.teach.recipes.recipe import check_needs
from workbench.teach.replies import ungraded

MOST_SEEDS = DERIVED_SEEDS // 10


def check_recipe(
    resolved: Resolved, recipe: Recipe, arms: Sequence[str] = (), seeds: int = 1
) -> None:
    """Refuse arms of a recipe that cannot be trained.

    Raises:
        WorkbenchError: naming what is wrong, and the mend.
    """
    config, chosen = resolved.config, check_arms(recipe, arms)
    if not 1 <= seeds <= MOST_SEEDS:
        raise WorkbenchError(f"A recipe is taught with 1 to {MOST_SEEDS:,} seeds, not {seeds:,}.")
    check_settings(config)
    check_placement(config.model)
    check_needs(chosen)
    if config.questions.graded_file is not None and any(arm.trains_answers for arm in chosen):
        raise ungraded()
    _, split = drawn_questions(config)
    check_counts(config.probe, split)
    settings = {arm.name: arm_settings(resolved, arm) for arm in chosen}
    for name, teach in settings.items():
        check_taught(training_questions(split), teach.calibration_fraction, f"The arm {name!r}")
    shape = read_shape(config.model)
    for teach in settings.values():
        check_teach(teach, shape)


def check_arms(recipe: Recipe, names: Sequence[str]) -> list[Arm]:
    """Return the arms of these names, each of which is named once; the recipe's default ones if
    none is named.

    Raises:
        WorkbenchError: for an unknown arm, and one named twice.
    """
    twice = next((name for index, name in enumerate(names) if name in names[:index]), None)
    if twice is not None:
        raise WorkbenchError(
            f"The arm {twice!r} is named twice; name it once, and train it with several seeds by "
            "--seeds."
        )
    return [recipe.arm(name) for name in (names or recipe.default)]
