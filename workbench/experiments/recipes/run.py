"""Run a recipe: the loop's stages up to the base model's confidence, then the arms.

All recipes of one run folder share those first stages, so a second recipe finds them done. Stages
are skipped and resumed as in :mod:`workbench.loop`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from workbench.config import Resolved, RunConfig, load_config
from workbench.errors import WorkbenchError
from workbench.experiments.recipes.checks import check_arms, check_recipe
from workbench.experiments.recipes.own_answers import read_own
from workbench.experiments.recipes.page import recipe_page, report_recipe
from workbench.experiments.recipes.pairwise import pair_stages, pairs_stage, read_pairs
from workbench.experiments.recipes.self_consistency import sample
from workbench.experiments.recipes.stages import (
    elicit_control,
    elicit_training,
    probe_training,
    teach_control,
    teach_training,
)
from workbench.experiments.recipes.trainings import (
    Training,
    check_names,
    report_stage,
    trainings,
)
from workbench.files.ownership import FIGURES, claim_folder, require_claimable
from workbench.files.writing import write_json
from workbench.loop import STAGES, SUMMARY, begin_again, plan, run_stages, with_costs
from workbench.loop.checks import check_settings
from workbench.loop.run import Run
from workbench.loop.tables import rows_of_summary
from workbench.loop.targets import source_named, training_targets
from workbench.pipeline.stages import STRICT, Reuse, Stage, all_done
from workbench.pipeline.store import RunStore
from workbench.teach.recipes import Recipe, check_needs
from workbench.teach.targets import FEWEST_EXAMPLES

BASE = ("questions", "answer", "elicit", "probe")
SHARED = ("model", "questions", "elicit", "probe", "seed")
"""Settings on which the stages BASE depend."""
MEASURED = (Stage("samples", sample, ("model", "elicit", "measure", "seed"), ("answer",)),)
"""Stages that measure the sources of some arms' targets, run where one of these arms is trained."""


@dataclass(frozen=True)
class RecipeRun:
    """A recipe's finished run: its stages, and the models it trained."""

    context: Run
    trainings: tuple[Training, ...]


@dataclass(frozen=True)
class RecipeResult:
    """The result of a recipe's run.

    Attributes:
        summary: flat, as in ``summary.json`` in ``folder``.
        rows: the table, one row per condition, as text.
        folder: folder of the recipe, inside that of the run.
        page: path of the page with the figures.
        recipe_run: the run and its trainings, for further work.
    """

    summary: dict[str, Any]
    rows: list[dict[str, str]]
    folder: Path
    page: Path
    run: RecipeRun


def teach_recipe(
    resolved: Resolved,
    recipe: Recipe,
    folder: Path,
    figures: Path,
    *,
    arms: Sequence[str] = (),
    seeds: int = 1,
    reprobe: bool = False,
    reuse: Reuse = STRICT,
) -> RecipeResult:
    """Train arms of a recipe and measure them; resume what was begun.

    Args:
        resolved: settings of the run, which an arm changes where the user wrote nothing.
        folder: the run's folder; a recipe's stages go to ``recipes/<recipe>/`` in it.
        figures: the page goes to ``figures / recipe.name``.
        arms: names; none for the recipe's default ones.
        seeds: trainings of each arm, on the same questions and targets; all but the first without a
            control.
        reprobe: fit probes on the states of the trained models as well, which reads all questions.
        reuse: whether results of other settings may be replaced, and those of other code continued.
    """
    context = Run(resolved.config, RunStore(folder), figures / recipe.name, reuse=reuse)
    check_settings(resolved.config)
    require_claimable(context.figures, FIGURES)
    taught = trainings(resolved, recipe, check_arms(recipe, arms), seeds, reprobe)
    if not all_done(plan(recipe_stages(recipe, taught), context), context):
        check_recipe(resolved, recipe, arms, seeds)
    with context.store.hold():
        recipe_run = run_trainings(context, recipe, taught)
        place = recipe_folder(context, recipe)
        summary = with_costs(context, report_stage(recipe))
        write_json(place / SUMMARY, summary)
    facts = context.stage(report_stage(recipe)).facts()
    return RecipeResult(summary, _rows(facts, summary), place, recipe_page(context), recipe_run)


def _rows(facts: Mapping[str, Any], summary: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the table; reports of earlier versions, gone on from with ``--keep-code-version``,
    hold it as text.
    """
    return rows_of_summary(facts["table"], summary) if "table" in facts else facts["rows"]


def run_trainings(context: Run, recipe: Recipe, taught: Sequence[Training]) -> RecipeRun:
    """Run the trainings of a recipe in the run ``context`` and report on them, for callers that use
    their stages.

    Raises:
        WorkbenchError: before anything is asked, where something an arm needs is not installed, or
            another recipe of the folder uses other answers; before the first training, where one is
            not possible on these questions.
    """
    check_needs(training.arm for training in taught)
    check_names(taught)
    with context.store.hold():
        _check_shared(context, recipe)
        stages = recipe_stages(recipe, taught)
        claim_folder(context.figures, FIGURES)
        begin_again(plan(stages, context), context, recipe_folder(context, recipe))
        run_stages(stages_before(taught), context)
        for training in taught:
            training_targets(context.with_teach(training.teach), training.arm)
        run_stages(stages, context)
    return RecipeRun(context, tuple(taught))


def _check_shared(context: Run, recipe: Recipe) -> None:
    """Refuse a folder in which another recipe was trained on other answers, because this one's
    would replace them.

    Raises:
        WorkbenchError: for such a folder.
    """
    for kept in sorted(context.store.folder.glob("recipes/*/config.json")):
        if kept.parent.name == recipe.name:
            continue
        there = load_config(kept)
        for part in SHARED:
            if getattr(there, part) != getattr(context.config, part):
                raise WorkbenchError(
                    f"In {context.store.folder} the recipe {kept.parent.name!r} was taught "
                    f"on answers made with other settings of {part!r}; give this one a run of "
                    "another name."
                )


def recipe_folder(context: Run, recipe: Recipe) -> Path:
    """Return the folder of a recipe's stages in its run."""
    return context.store.folder / "recipes" / recipe.name


def taught_domains(config: RunConfig, folder: Path, reuse: Reuse = STRICT) -> list[str]:
    """Return the domains of the training questions that the run in ``folder`` chooses, or has
    chosen, each to be trained on by itself.

    Raises:
        WorkbenchError: where one has too few questions for that.
    """
    context = Run(config, RunStore(folder), folder, reuse=reuse)
    first = STAGES[0]
    run_stages([first], context)
    table = context.stage(first.name).table("questions")
    counts = table["domain"][table["split"] == "train"].astype(str).value_counts()
    few = [
        f"{domain} {count}" for domain, count in sorted(counts.items()) if count < FEWEST_EXAMPLES
    ]
    if few:
        raise WorkbenchError(
            f"A domain is taught alone with at least {FEWEST_EXAMPLES} training questions; there "
            f"are fewer of some ({', '.join(few)}). "
            "Ask for more with questions.limit, or name the others with questions.domains."
        )
    return sorted(counts.index)


def adapter_folders(
    resolved: Resolved, recipe: Recipe, folder: Path, arms: Sequence[str] = ()
) -> list[Path]:
    """Return the folders of the arms' adapters that were trained with the run's seed."""
    chosen = [recipe.arm(name) for name in (arms or recipe.default)]
    taught = trainings(resolved, recipe, chosen, 1, False)
    return [folder / training.stage("teach") / "adapter" for training in taught]


def stages_before(taught: Sequence[Training]) -> list[Stage]:
    """Return the loop's stages up to the probe, and those that measure the sources of the
    trainings' targets.
    """
    sources = {source_named(source).stage for training in taught for source in training.arm.sources}
    return [stage for stage in STAGES if stage.name in BASE] + [
        stage for stage in MEASURED if stage.name in sources
    ]


def recipe_stages(recipe: Recipe, taught: Sequence[Training]) -> list[Stage]:
    """Return the loop's stages up to the probe and those of the trainings, in order."""
    stages = stages_before(taught)
    needed = ["probe"]
    if recipe.pairs:
        stages.append(
            Stage(
                pairs_stage(recipe.name),
                read_pairs,
                ("model", "elicit", "measure", "seed"),
                ("answer",),
            )
        )
        needed.append(stages[-1].name)
    for training in taught:
        for stage in [*_of(training), *(pair_stages(training) if recipe.pairs else ())]:
            stages.append(stage)
            needed.append(stage.name)
    return [
        *stages,
        Stage(
            report_stage(recipe),
            partial(report_recipe, recipe=recipe, taught=tuple(taught)),
            ("bootstrap_resamples", "seed"),
            tuple(needed),
            recipe_page,
        ),
    ]


def _of(training: Training) -> list[Stage]:
    model, name = ("model", "elicit"), training.stage
    teach = training.teach.model_dump(mode="json")
    given = {"arm": training.arm.name, "seed": training.seed, "teach": teach}
    sources = tuple(source_named(source).stage for source in training.arm.sources)
    before = ("elicit", *sources)
    probed = {**given, "probed": training.probe}
    stages = [
        Stage(
            name("teach"), partial(teach_training, training=training), model, before, given=given
        ),
        Stage(
            name("elicit"),
            partial(elicit_training, training=training),
            model,
            (name("teach"),),
            given=probed,
        ),
    ]
    if training.probe:
        reads = ("probe", "bootstrap_resamples", "seed")
        stages.append(
            Stage(
                name("probe"), partial(probe_training, training=training), reads, (name("elicit"),)
            )
        )
    if training.arm.trains_answers:
        stages.append(
            Stage(
                name("elicit_own_answers"),
                partial(read_own, training=training),
                model,
                (name("elicit"),),
            )
        )
    if training.shuffled_control:
        stages += [
            Stage(
                name("teach_control"),
                partial(teach_control, training=training),
                model,
                before,
                given=given,
            ),
            Stage(
                name("elicit_control"),
                partial(elicit_control, training=training),
                model,
                (name("teach_control"),),
                given=given,
            ),
        ]
    return stages
