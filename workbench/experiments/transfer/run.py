"""Train one arm on each domain alone and measure it on every domain.

The arm is also trained on all questions, and on a mixture of all domains with as many questions as
one has. Targets of an arm trained on one domain are made from that domain's questions alone;
nothing is chosen on held-out questions. Sign: gains over the base model are above zero where AUROC2
is better and where the calibration error is worse. The matrices do not show how alike two domains
are; the number of training questions differs between them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from workbench.config import Resolved, with_recipe
from workbench.experiments.league.comparison import (
    ComparisonRow,
    compare_recipes,
    domains_of,
    finished_recipe,
)
from workbench.experiments.league.domain_transfer import domain_sections
from workbench.experiments.league.page import league_page
from workbench.experiments.league.run import caption_of
from workbench.experiments.parameters import Parameters
from workbench.experiments.recipes.run import taught_domains, teach_recipe
from workbench.measure import Bootstrap
from workbench.pipeline.stages import STRICT, Reuse
from workbench.report import Page, Section
from workbench.teach.recipes import recipe_named
from workbench.teach.recipes.domains import domain_arm, split_arm_by_domain

TITLE = "Does confidence taught on one domain carry over to the others?"


class TransferParameters(Parameters):
    """The parameters: which arm is trained. The domains are those of the setting
    ``questions.domains``.
    """

    recipe: str = Field("probe", description="the recipe")
    arm: str = Field("soft", description="the arm of it")
    seeds: int = Field(3, ge=1, le=1000, description="trainings of each arm")


@dataclass(frozen=True)
class TransferResults:
    """The arms on every domain, the settings that made them, and the matrices."""

    rows: Sequence[ComparisonRow]
    configuration: Mapping[str, Any]
    sections: Sequence[Section]


def run_transfer(
    resolved: Resolved,
    folder: Path,
    parameters: TransferParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> TransferResults:
    """Train the arm on each domain and measure it on all; resume what was begun.

    Args:
        folder: its name is the beginning of the run's name.
        figures: the page that compares the arms goes to a folder in it.
    """
    source = recipe_named(parameters.recipe)
    own = with_recipe(resolved, {**source.settings, "questions.held_out_domains": []})
    config = own.config
    place = folder.with_name("-".join([folder.name, *map(str, source.settings.values())]))
    domains = taught_domains(config, place, reuse)
    recipe = split_arm_by_domain(source, parameters.arm, domains)
    found = teach_recipe(own, recipe, place, figures, seeds=parameters.seeds, reuse=reuse)
    rows = compare_recipes(
        [finished_recipe(recipe.name, found.folder, found.summary, ())],
        Bootstrap(config.bootstrap_resamples, config.seed),
        parts=domains_of,
    )
    taught = ", ".join(
        f"{arm.name} {found.summary[f'training.examples.{arm.name}']}" for arm in recipe.arms
    )
    homes = {domain_arm(parameters.arm, domain): domain for domain in domains}
    caption = f"{caption_of(config, parameters.seeds)}; examples taught: {taught}"
    configuration = {
        "recipe": recipe.name,
        "arm": parameters.arm,
        "domains": domains,
        "seeds": parameters.seeds,
        "run": config.model_dump(mode="json"),
    }
    return TransferResults(rows, configuration, domain_sections(rows, homes, caption))


def page_of(results: TransferResults) -> Page:
    """Return the page of matrices, a domain a column."""
    return league_page(results.rows, results.configuration, results.sections, TITLE)
