"""The stage that reports on a recipe: table, figures, page, and a model card beside every
adapter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.experiments.recipes.pairwise import (
    BRADLEY_TERRY,
    PAIR_COLUMNS,
    asked_pairs,
    pair_summary,
)
from workbench.experiments.recipes.results import (
    collect_recipe,
    columns_of,
    part_tables,
    summarise_recipe,
)
from workbench.experiments.recipes.task_transfer import (
    task_transfer,
    transfer_section,
    transfer_summary,
)
from workbench.experiments.recipes.trainings import Training, group_seeds
from workbench.loop.answer_stability import right_with_adapter
from workbench.loop.conditions import Readouts
from workbench.loop.report import bottleneck, held_out_table, histogram, parsed_at_all, reliability
from workbench.loop.run import Run
from workbench.loop.tables import cell, table_rows
from workbench.pipeline.store import StageStore
from workbench.plots import LearningCurve, LearningCurves
from workbench.report import write_report
from workbench.report.page import Section
from workbench.teach.card import Card, write_card
from workbench.teach.recipes import Recipe

# One recalibrated base, Platt's, is enough for a figure; the table has all.
MAPPED = ("isotonic", "temperature")


def report_recipe(
    context: Run, stage: StageStore, recipe: Recipe, taught: Sequence[Training]
) -> dict[str, Any]:
    """Write the page, the cards, the summary and the held-out table."""
    readouts = collect_recipe(context, taught)
    summary = summarise_recipe(context, readouts, taught)
    sections = recipe_sections(readouts.without(MAPPED), summary)
    if recipe.pairs:
        drawn = {"resamples": context.config.bootstrap_resamples, "seed": context.config.seed}
        tables = asked_pairs(context, recipe.name, taught)
        cells = task_transfer(readouts, tables, **drawn)
        summary |= pair_summary(tables, readouts, **drawn) | transfer_summary(cells)
        pairs = f"{summary['pairs.asked']} pairs, {summary['pairs.mixed']} of them mixed"
        sections.insert(
            1, transfer_section(cells, f"{len(readouts.correct)} held-out questions, {pairs}")
        )
    sections += learning_sections(context, taught, summary)
    columns = {**columns_of(summary), **(PAIR_COLUMNS if recipe.pairs else {})}
    scored = [BRADLEY_TERRY] if f"pairs.agreement.{BRADLEY_TERRY}" in summary else []
    conditions = [*readouts.stated, *scored]
    rows = table_rows(conditions, summary, columns)
    answered_on = right_with_adapter(context, readouts, {p.name: p.stage("elicit") for p in taught})
    stage.save_table("held_out", held_out_table(readouts).assign(**answered_on))
    write_report(
        context.figures,
        f"{recipe.name}: {recipe.about}",
        sections,
        summary,
        {
            "run": context.config.model_dump(mode="json"),
            "arms": {p.name: _described(p) for p in taught},
        },
        (),
        (),
        lead=[
            (f"Arms, on {len(readouts.correct)} held-out questions", rows),
            *part_tables(conditions, summary),
        ],
    )
    for training in taught:
        taught_in = context.stage(training.stage("teach"))
        folder = taught_in.folder / "adapter"
        if not folder.exists():
            continue
        write_card(folder, _card(context, recipe, training, taught, summary))
        taught_in.amend("adapter/README.md")
    return {"summary": summary, "rows": rows, "page": str(recipe_page(context))}


def recipe_page(context: Run) -> Path:
    """Where the recipe's page stands."""
    return context.figures / "index.html"


def recipe_sections(readouts: Readouts, summary: dict[str, Any]) -> list[Section]:
    """The figures, those of the main loop; the distributions are those of each arm's first seed."""
    caption = f"{len(readouts.correct)} held-out questions, {_computed(summary)}"
    further = [name for seeds in group_seeds(readouts.stated).values() for name in seeds[1:]]
    first = readouts.without(further)
    found = [bottleneck(readouts, summary, caption), reliability(first, caption)]
    if parsed_at_all(readouts):
        found.insert(1, histogram(first, caption))
    return found


def learning_sections(
    context: Run, taught: Sequence[Training], summary: Mapping[str, Any]
) -> list[Section]:
    """The reward of every step against compute, where trainings logged rewards."""
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
    caption = f"training questions, {_computed(summary)}"
    figure = LearningCurves(
        curves=curves, title="Reward by tokens computed", caption=caption
    ).figure()
    explanation = (
        "Mean reward of every training step (faint) and its mean over the last tenth of the "
        "training (line), against the tokens "
        "computed up to there: every pass over a token counts, those of sampling too. An exact "
        "arm's reward is the expectation "
        "over all it could state, a sampled arm's the mean of the replies it drew; both scatter "
        "with the step's questions. "
        "Rewards are in the units of each arm's own score: compare arms of one score. They are "
        "those of the questions taught, so "
        "what was learned about others stands in the table alone."
    )
    return [Section("Learning curves", explanation, figure, "learning_curves")]


def _computed(summary: Mapping[str, Any]) -> str:
    return f"{summary['model.name']}, matrix products in {summary['model.precision']}"


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
    summary: Mapping[str, Any],
) -> Card:
    name = training.name
    conditions = [
        when
        for when in ("before", name, training.control_name)
        if f"auroc2.expected.{when}" in summary
    ]
    metrics = {
        f"{head.strip()}, {when}": text.replace("\n", " ")
        for when in conditions
        for head, key in columns_of(summary).items()
        if (text := cell(summary, f"{key}.{when}"))
    }
    questions = context.config.questions
    return Card(
        base_model=str(summary["model.name"]),
        revision=str(summary["model.revision"]),
        recipe=f"{recipe.name}, {recipe.about}",
        source=recipe.source,
        arm=f"{training.arm.name}: {training.arm.about}",
        data=questions.graded_file.name if questions.graded_file else questions.source,
        train=int(summary["questions.train"]),
        test=int(summary["questions.test"]),
        held_out_domains=questions.held_out_domains,
        seed=training.seed,
        other_seeds=tuple(
            p.seed for p in taught if p.arm.name == training.arm.name and p.seed != training.seed
        ),
        settings=training.teach.model_dump(mode="json"),
        metrics=metrics,
        states_confidence=training.states_confidence,
    )
