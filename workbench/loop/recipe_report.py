"""The stage that reports on a recipe: table, figures, page, and a model card beside every adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workbench.loop.answering import right_with_adapter
from workbench.loop.context import Context
from workbench.loop.pair_choices import BRADLEY_TERRY, PAIR_COLUMNS, asked_pairs, pair_summary
from workbench.loop.pupils import Pupil
from workbench.loop.readouts import Readouts
from workbench.loop.recipe_results import PARTS, collect_recipe, summarise_recipe
from workbench.loop.reporting import bottleneck, held_out_table, histogram, parsed_at_all, reliability
from workbench.loop.transfer import task_transfer, transfer_section, transfer_summary
from workbench.measure import Estimate
from workbench.plots import LearningCurve, LearningCurves
from workbench.report import write_report
from workbench.report.measured import written
from workbench.report.page import Section
from workbench.store import StageStore
from workbench.teach.card import Card, write_card
from workbench.teach.recipes import Recipe

# Heading -> key of the summary, before the condition's name.
COLUMNS: Mapping[str, str] = {
    "AUROC2 text": "auroc2.text",
    "within": "auroc2.text.within",
    "AUROC2 expected": "auroc2.expected",
    "within ": "auroc2.expected.within",
    "ECE text": "ece.text",
    "ECE expected": "ece.expected",
    "smooth ECE text": "smooth_ece.text",
    "smooth ECE expected": "smooth_ece.expected",
    "Brier expected": "brier.expected",
    "accuracy": "accuracy",
    "parsed": "parse_rate.text",
    "training tokens": "training.tokens",
    "seconds": "seconds.training",
}
# Where an adapter could have changed answers, and where answers were taught.
MORE_COLUMNS: Mapping[str, str] = {
    "accuracy, adapter on": "accuracy.adapter_on_while_answering",
    "own AUROC2 expected": "own.auroc2.expected",
    "own ECE expected": "own.ece.expected",
    "own Brier expected": "own.brier.expected",
}
# Maps that leave the order of confidences alone; the figures show one of the recalibrated bases.
MAPPED = ("isotonic", "temperature")


def report_recipe(context: Context, stage: StageStore, recipe: Recipe, taught: Sequence[Pupil]) -> dict[str, Any]:
    """Write the page, the cards, the summary and the held-out table."""
    readouts = collect_recipe(context, taught)
    summary = summarise_recipe(context, readouts, taught)
    sections = recipe_sections(readouts.without(MAPPED), summary)
    if recipe.pairs:
        drawn = {"resamples": context.config.resamples, "seed": context.config.seed}
        tables = asked_pairs(context, recipe.name, taught)
        cells = task_transfer(readouts, tables, **drawn)
        summary |= pair_summary(tables, readouts, **drawn) | transfer_summary(cells)
        pairs = f"{summary['pairs.asked']} pairs, {summary['pairs.mixed']} of them mixed"
        sections.insert(1, transfer_section(cells, f"{len(readouts.correct)} held-out questions, {pairs}"))
    sections += learning_sections(context, taught, summary)
    rows = table_rows(readouts, summary, {**columns_of(summary), **(PAIR_COLUMNS if recipe.pairs else {})})
    answered_on = right_with_adapter(context, readouts, {p.name: p.stage("read") for p in taught})
    stage.save_table("held_out", held_out_table(readouts).assign(**answered_on))
    write_report(
        context.figures,
        f"{recipe.name}: {recipe.about}",
        sections,
        summary,
        {"run": context.config.model_dump(mode="json"), "arms": {p.name: _described(p) for p in taught}},
        (),
        (),
        lead=[(f"Arms, on {len(readouts.correct)} held-out questions", rows), *part_tables(readouts, summary)],
    )
    for pupil in taught:
        folder = context.stage(pupil.stage("teach")).folder / "adapter"
        if not folder.exists():
            continue
        write_card(folder, _card(context, recipe, pupil, taught, summary))
    return {"summary": summary, "rows": rows, "page": str(recipe_page(context))}


def recipe_page(context: Context) -> Path:
    """Where the recipe's page stands."""
    return context.figures / "index.html"


def recipe_sections(readouts: Readouts, summary: dict[str, Any]) -> list[Section]:
    """The figures, those of the main loop."""
    caption = f"{len(readouts.correct)} held-out questions, {_computed(summary)}"
    found = [bottleneck(readouts, summary, caption), reliability(readouts, caption)]
    if parsed_at_all(readouts):
        found.insert(1, histogram(readouts, caption))
    return found


def learning_sections(context: Context, taught: Sequence[Pupil], summary: Mapping[str, Any]) -> list[Section]:
    """The reward of every step against compute, where trainings logged rewards."""
    logs = {pupil.name: context.stage(pupil.stage("teach")).table("log") for pupil in taught}
    curves = {
        name: LearningCurve(log["tokens"].to_numpy(), log["reward"].to_numpy())
        for name, log in logs.items()
        if {"tokens", "reward"} <= set(log.columns)
    }
    if not curves:
        return []
    caption = f"training questions, {_computed(summary)}"
    figure = LearningCurves(curves=curves, title="Reward by tokens computed", caption=caption).figure()
    explanation = (
        "Mean reward of every training step (faint) and its mean over the last tenth of the training (line), against the tokens "
        "computed up to there: every pass over a token counts, those of sampling too. An exact arm's reward is the expectation "
        "over all it could state, a sampled arm's the mean of the replies it drew; both scatter with the step's questions. "
        "Rewards are in the units of each arm's own score: compare arms of one score. They are those of the questions taught, so "
        "what was learned about others stands in the table alone."
    )
    return [Section("Learning curves", explanation, figure, "learning_curves")]


def columns_of(summary: Mapping[str, Any]) -> Mapping[str, str]:
    """The table's columns, with those that only some recipes have."""
    return {**COLUMNS, **_measured(MORE_COLUMNS, summary)}


def _measured(columns: Mapping[str, str], summary: Mapping[str, Any]) -> dict[str, str]:
    """Those of ``columns`` that the summary has of any condition."""
    return {head: key for head, key in columns.items() if any(name.startswith(f"{key}.") for name in summary)}


def table_rows(
    readouts: Readouts, summary: Mapping[str, Any], columns: Mapping[str, str] = COLUMNS
) -> list[dict[str, str]]:
    """One row a condition, and one for Bradley-Terry scores where pairs were asked; what a condition does not have is left empty."""
    scored = [BRADLEY_TERRY] if f"pairs.agreement.{BRADLEY_TERRY}" in summary else []
    return [
        {"arm": when, **{head: _cell(summary, f"{key}.{when}") for head, key in columns.items()}}
        for when in [*readouts.stated, *scored]
    ]


def part_tables(readouts: Readouts, summary: Mapping[str, Any]) -> list[tuple[str, list[dict[str, str]]]]:
    """A table of the domains that were taught and one of those that were not, where some were held out, with the accuracy in each."""
    found = []
    for part, title in zip(PARTS, ("Domains that were taught", "Domains that were not"), strict=True):
        if f"{part}.questions" not in summary:
            continue
        columns = _measured({head: f"{part}.{key}" for head, key in COLUMNS.items()}, summary)
        accuracy = _cell(summary, f"{part}.accuracy").replace("\n", " ")
        heading = f"{title}: {summary[f'{part}.questions']} held-out questions, accuracy {accuracy}"
        found.append((heading, table_rows(readouts, summary, columns)))
    return found


def _cell(summary: Mapping[str, Any], key: str) -> str:
    value = summary.get(key)
    if value is None:
        return ""
    if f"{key}.low" in summary:
        return written(Estimate(value, summary[f"{key}.low"], summary[f"{key}.high"], 0))
    return f"{value:.0f} s" if key.startswith("seconds") else written(value)


def _computed(summary: Mapping[str, Any]) -> str:
    return f"{summary['model.name']}, matrix products in {summary['model.precision']}"


def _described(pupil: Pupil) -> dict[str, Any]:
    return {"about": pupil.arm.about, "seed": pupil.seed, "teach": pupil.teach.model_dump(mode="json")}


def _card(context: Context, recipe: Recipe, pupil: Pupil, taught: Sequence[Pupil], summary: Mapping[str, Any]) -> Card:
    name = pupil.name
    conditions = [when for when in ("before", name, pupil.twin_name) if f"auroc2.expected.{when}" in summary]
    metrics = {
        f"{head.strip()}, {when}": cell.replace("\n", " ")
        for when in conditions
        for head, key in columns_of(summary).items()
        if (cell := _cell(summary, f"{key}.{when}"))
    }
    questions = context.config.questions
    return Card(
        base_model=str(summary["model.name"]),
        revision=str(summary["model.revision"]),
        recipe=f"{recipe.name}, {recipe.about}",
        source=recipe.source,
        arm=f"{pupil.arm.name}: {pupil.arm.about}",
        data=questions.graded.name if questions.graded else questions.source,
        train=int(summary["questions.train"]),
        test=int(summary["questions.test"]),
        held_out_domains=questions.held_out_domains,
        seed=pupil.seed,
        other_seeds=tuple(p.seed for p in taught if p.arm.name == pupil.arm.name and p.seed != pupil.seed),
        settings=pupil.teach.model_dump(mode="json"),
        metrics=metrics,
    )
