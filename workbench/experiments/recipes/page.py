"""Run the stage that reports on a recipe: table, figures, page, and a model card for every
adapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from workbench.experiments.recipes.pairwise import (
    BRADLEY_TERRY,
    PAIR_COLUMNS,
    asked_pairs,
    pairwise_measures,
)
from workbench.experiments.recipes.results import (
    ISOTONIC,
    TEMPERATURE,
    RecipeResults,
    columns_of,
    part_tables,
    recipe_results,
)
from workbench.experiments.recipes.task_transfer import (
    task_transfer,
    transfer_measures,
    transfer_section,
)
from workbench.experiments.recipes.trainings import Training
from workbench.loop.answer_stability import right_with_adapter
from workbench.loop.conditions import (
    BEFORE,
    EXPECTED,
    Key,
    Measures,
    Readouts,
    conditions_table,
    group_seeds,
)
from workbench.loop.report import bottleneck, caption_of, histogram, reliability
from workbench.loop.results import bootstrap_of
from workbench.loop.run import Run
from workbench.loop.tables import cell, measures_table, table_keys, table_rows
from workbench.pipeline.store import StageStore
from workbench.plots import LearningCurve, LearningCurves
from workbench.report import Page, Section, write_page
from workbench.teach.card import Card, write_card
from workbench.teach.recipes import Recipe

# One recalibrated base, Platt's, is enough for a figure; the table has all.
MAPPED = (ISOTONIC, TEMPERATURE)


def report_recipe(
    context: Run, stage: StageStore, recipe: Recipe, taught: Sequence[Training]
) -> dict[str, Any]:
    """Write the page, the cards, the summary and the held-out table."""
    found = recipe_results(context, taught)
    readouts, measures = found.readouts, found.measures
    sections = recipe_sections(context, readouts.without(MAPPED), measures)
    if recipe.pairs:
        tables, draw = asked_pairs(context, recipe.name, taught), bootstrap_of(context)
        cells = task_transfer(readouts, tables, draw)
        measures |= pairwise_measures(tables, readouts, draw) | transfer_measures(cells)
        asked, mixed = (measures[Key(name, part="pairs")] for name in ("asked", "mixed"))
        caption = (
            f"{len(readouts.correct)} held-out questions, {asked} pairs, {mixed} of them mixed"
        )
        sections.insert(1, transfer_section(cells, caption))
    sections += learning_sections(context, taught)
    columns = {**columns_of(measures), **(PAIR_COLUMNS if recipe.pairs else {})}
    conditions = [*readouts.stated, *([BRADLEY_TERRY] if recipe.pairs else [])]
    answered_on = right_with_adapter(
        context, readouts, {p.condition: p.stage("elicit") for p in taught}
    )
    stage.save_table("held_out", readouts.table().assign(**answered_on))
    stage.save_table("measures", measures_table(measures))
    stage.save_table("conditions", conditions_table(readouts.expected))
    page = Page(
        f"{recipe.name}: {recipe.about}",
        sections,
        found.summary(),
        {
            "run": context.config.model_dump(mode="json"),
            "arms": {p.name: _described(p) for p in taught},
        },
        lead=[
            (
                f"Arms, on {len(readouts.correct)} held-out questions",
                table_rows(conditions, measures, columns),
            ),
            *part_tables(conditions, measures),
        ],
    )
    index = write_page(page, context.figures)
    for training in taught:
        taught_in = context.stage(training.stage("teach"))
        folder = taught_in.folder / "adapter"
        if not folder.exists():
            continue
        write_card(folder, _card(context, recipe, training, taught, found))
        taught_in.amend("adapter/README.md")
    return {
        "summary": found.summary(),
        "table": table_keys(conditions, measures, columns),
        "page": str(index),
    }


def recipe_page(context: Run) -> Path:
    """Return the path of the recipe's page."""
    return context.figures / "index.html"


def recipe_sections(context: Run, readouts: Readouts, measures: Measures) -> list[Section]:
    """Draw the figures of the main loop for the recipe; the distributions are those of each arm's
    first seed.
    """
    caption = caption_of(context, f"{len(readouts.correct)} held-out questions")
    further = [one for seeds in group_seeds(readouts.stated).values() for one in seeds[1:]]
    first = readouts.without(further)
    found = [bottleneck(readouts, measures, caption), reliability(first, caption)]
    if readouts.spoken:
        found.insert(1, histogram(first, caption))
    return found


def learning_sections(context: Run, taught: Sequence[Training]) -> list[Section]:
    """Draw the reward of every step against compute, where trainings logged rewards."""
    logs = {
        training.name: context.stage(training.stage("teach")).table("log") for training in taught
    }
    curves = {
        name: LearningCurve(log["tokens"].to_numpy(), log["reward"].to_numpy())
        for name, log in logs.items()
        if {"tokens", "reward"} <= set(log.columns)
    }
    if not curves:
        return []
    figure = LearningCurves(
        curves=curves,
        title="Reward by tokens computed",
        caption=caption_of(context, "training questions"),
    ).figure()
    explanation = (
        "Mean reward of every training step (faint) and its mean over the last tenth of the "
        "training (line), against the tokens computed up to there: every pass over a token counts, "
        "those of sampling too. An exact arm's reward is the expectation over all it could state, "
        "a sampled arm's the mean of the replies it drew; both scatter with the step's questions. "
        "Rewards are in the units of each arm's own score: compare arms of one score. They are "
        "those of the questions taught, so what was learned about others is in the table alone."
    )
    return [Section("Learning curves", explanation, figure, "learning_curves")]


def _described(training: Training) -> dict[str, Any]:
    return {
        "about": training.arm.about,
        "seed": training.seed,
        "teach": training.teach.model_dump(mode="json"),
    }


def _card(
    context: Run,
    recipe: Recipe,
    training: Training,
    taught: Sequence[Training],
    found: RecipeResults,
) -> Card:
    conditions = [
        one
        for one in (BEFORE, training.condition, training.control)
        if Key("auroc2", EXPECTED, one) in found.measures
    ]
    metrics = {
        f"{head}, {one.name}": " ".join(text.split())
        for one in conditions
        for head, key in columns_of(found.measures).items()
        if (text := cell(found.measures, key.of(one)))
    }
    questions = context.config.questions
    return Card(
        base_model=str(found.facts["model.name"]),
        revision=str(found.facts["model.revision"]),
        recipe=f"{recipe.name}, {recipe.about}",
        source=recipe.source,
        arm=f"{training.arm.name}: {training.arm.about}",
        data=questions.graded_file.name if questions.graded_file else questions.source,
        train=int(found.facts["questions.train"]),
        test=int(found.facts["questions.test"]),
        held_out_domains=questions.held_out_domains,
        seed=training.seed,
        other_seeds=tuple(
            p.seed for p in taught if p.arm.name == training.arm.name and p.seed != training.seed
        ),
        settings=training.teach.model_dump(mode="json"),
        metrics=metrics,
        states_confidence=training.states_confidence,
    )
