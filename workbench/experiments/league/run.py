"""Train every recipe on the same questions, with one split and several seeds, and compare them.

One domain may be held out: nothing trains on it, and everything is tested on it. Nothing is chosen
on held-out questions: every arm runs with its settings. See :mod:`.comparison` for the measures,
their intervals and what they do not show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from workbench.config import Resolved, RunConfig, with_recipe
from workbench.experiments.league.comparison import (
    IN_DOMAIN,
    ComparisonRow,
    RecipeOutcome,
    compare_recipes,
    finished_recipe,
)
from workbench.experiments.league.page import DECIDING, league_page, sections
from workbench.experiments.parameters import Parameters
from workbench.experiments.recipes.run import teach_recipe
from workbench.measure import Bootstrap
from workbench.models.embedded_models import title_of
from workbench.pipeline.stages import STRICT, Reuse
from workbench.report import Page, Section
from workbench.teach.recipes import RECIPES, check_needs, recipe_named
from workbench.teach.recipes.choosing import DEFAULT, select_arms

HELD_OUT = {"builtin": ("elements",)}
"""Domains that are held out of a question set by default."""


class LeagueParameters(Parameters):
    """The parameters: which recipes and arms are trained, and how often."""

    recipes: tuple[str, ...] = Field(tuple(RECIPES), min_length=1, description="their names")
    arms: tuple[str, ...] = Field(
        (DEFAULT,),
        min_length=1,
        description="names, 'default' for the default ones of each recipe, or 'all'; a recipe that "
        "has none of them is left out",
    )
    seeds: int = Field(3, ge=1, le=1000, description="trainings of each arm")
    on_policy_steps: int | None = Field(
        None, ge=1, le=10**8, description="updates of arms that sample replies; none for their own"
    )


@dataclass(frozen=True)
class LeagueResults:
    """The results: the rows of the comparison.

    Attributes:
        configuration: arms, seeds and settings by recipe.
        sections: the figures.
    """

    rows: Sequence[ComparisonRow]
    configuration: Mapping[str, Any]
    sections: Sequence[Section]

    @property
    def best(self) -> ComparisonRow:
        """The trained arm whose expected confidence has the largest AUROC2 within domain, in the
        domains that were trained on.
        """
        return max(
            (one for one in self.rows if one.part == IN_DOMAIN and one.taught),
            key=lambda one: np.nan_to_num(one.estimates[DECIDING].value, nan=-1),
        )


def run_league(
    resolved: Resolved,
    folder: Path,
    parameters: LeagueParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> LeagueResults:
    """Train and compare the recipes; resume what was begun.

    Args:
        folder: its name is the beginning of the runs' names, one run for each way that recipes ask.
        figures: each recipe's page goes to a folder in it.
    """
    recipes = [recipe_named(name) for name in parameters.recipes]
    arms = select_arms(recipes, ",".join(parameters.arms))
    check_needs(recipe.arm(arm) for recipe in recipes for arm in arms.get(recipe.name, ()))
    config = resolved.config
    held_out = HELD_OUT.get(config.questions.source, ())
    played: list[RecipeOutcome] = []
    configuration: dict[str, Any] = {}
    for recipe in (each for each in recipes if each.name in arms):
        chosen = arms[recipe.name]
        sampled = any(recipe.arm(arm).on_policy for arm in chosen)
        updates = {"teach.on_policy_steps": parameters.on_policy_steps} if sampled else {}
        own = with_recipe(
            resolved, {**recipe.settings, **updates, "questions.held_out_domains": held_out}
        )
        settings = own.config
        found = teach_recipe(
            own,
            recipe,
            folder.with_name("-".join([folder.name, *map(str, recipe.settings.values())])),
            figures,
            arms=chosen,
            seeds=parameters.seeds,
            reuse=reuse,
        )
        held_out_there = settings.questions.held_out_domains
        played.append(finished_recipe(recipe.name, found.folder, found.summary, held_out_there))
        configuration[recipe.name] = {
            "arms": chosen,
            "seeds": parameters.seeds,
            "run": settings.model_dump(mode="json"),
        }
    rows = compare_recipes(played, Bootstrap(config.bootstrap_resamples, config.seed))
    outside = sorted({domain for one in played for domain in one.held_out_domains})
    caption = caption_of(config, parameters.seeds) + (
        f", held out: {', '.join(outside)}" if outside else ""
    )
    return LeagueResults(rows, configuration, sections(rows, caption))


def caption_of(config: RunConfig, seeds: int) -> str:
    """Return the caption of figures: the model and the number of trainings."""
    return f"{title_of(config.model.name)}, {seeds} seed{'s' * (seeds > 1)}"


def page_of(results: LeagueResults) -> Page:
    """Return the page of the comparison."""
    return league_page(
        results.rows,
        results.configuration,
        results.sections,
        notes=[f"largest expected AUROC2 within domain, in domain: {results.best.name}"],
    )
