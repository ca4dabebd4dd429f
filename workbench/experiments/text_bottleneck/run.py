"""Follow what a finished run's model knows from its hidden states to its text.

Each condition has stages of its own in the run's folder; measures are made from their tables each
time. See :mod:`.conditions` for the conditions, :mod:`.read` for what is read, :mod:`.results` for
the measures and the verdict, and :mod:`workbench.bottleneck` for methods, signs, and what they do
not show.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from pydantic import Field

from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.experiments.finished_run import open_or_make_run
from workbench.experiments.parameters import Parameters
from workbench.experiments.text_bottleneck.ceiling import (
    CeilingQuestions,
    ceiling_stage,
    find_writers,
)
from workbench.experiments.text_bottleneck.ceiling_results import measure_ceiling
from workbench.experiments.text_bottleneck.conditions import (
    AFTER,
    BEFORE,
    ModelCondition,
    conditions_of,
)
from workbench.experiments.text_bottleneck.further_conditions import stages_of_conditions
from workbench.experiments.text_bottleneck.geometry import (
    geometry_stage,
    geometry_table,
    read_geometry,
)
from workbench.experiments.text_bottleneck.interventions import (
    InterventionPlan,
    intervene,
    intervention_stage,
)
from workbench.experiments.text_bottleneck.lens import lens_stage, read_lenses
from workbench.experiments.text_bottleneck.read import read_steps, steps_stage
from workbench.experiments.text_bottleneck.results import BottleneckResults, measure_bottleneck
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages


class BottleneckParameters(Parameters):
    """The parameters: which parts are done besides the steps, from how many questions, and which
    conditions are followed.
    """

    lens: bool = Field(True, description="read the scale after every layer")
    lens_questions: int = Field(
        140, ge=20, le=10**6, description="training questions that lenses' readings are fitted on"
    )
    """On the default run 140 read as well as 200, to 0.02 of AUROC2 on average over layers."""
    lens_conditions: tuple[str, ...] = Field(
        (), description="conditions read after every layer besides before and after, as control"
    )
    interventions: bool = Field(
        True, description="take out, swap, push and put onto the numbers the probe's direction"
    )
    intervention_layers: tuple[int, ...] = Field(
        (), description="layers they are made after; none: two thirds up and the last one"
    )
    geometry: bool = Field(
        True, description="compare directions at every layer with random directions beside them"
    )
    geometry_conditions: tuple[str, ...] = Field(
        (), description="conditions in which they are compared besides before and after, as control"
    )
    ceiling: bool = Field(True, description="find the heads and MLPs that write the ceiling")
    ceiling_conditions: tuple[str, ...] = Field(
        (), description="conditions in which they are found besides before, as after"
    )
    ceiling_questions: int = Field(
        8,
        ge=2,
        le=10**6,
        description="questions they are found on, and as many for a test",
    )
    ceiling_told: int = Field(
        32, ge=2, le=10**6, description="held-out questions that the text is to tell without them"
    )
    condition_questions: int = Field(
        140, ge=40, le=10**6, description="training questions read in conditions the run lacks"
    )
    teaching: bool = Field(
        True, description="follow the taught model too; false needs no teaching in the run"
    )
    curriculum: bool = Field(
        False, description="teach the two-stage curriculum and follow both stages"
    )


NEEDS = ("questions", "answer", "elicit", "probe")


def run_bottleneck(
    config: RunConfig | None,
    folder: Path,
    parameters: BottleneckParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> BottleneckResults:
    """Analyse the run in ``folder``, which is made first if there is none; resume what was begun.

    Without teaching a run is made only as far as its probes, and may be finished later.

    Args:
        config: None to take the run as it is.

    Raises:
        WorkbenchError: for a curriculum without teaching, lenses, geometry or ceilings of
            conditions that are not followed, and interventions after layers the model has not.
    """
    conditions = conditions_of(teaching=parameters.teaching, curriculum=parameters.curriculum)
    given, both = parameters, (BEFORE, AFTER)
    lenses = _named(conditions, "lens", given.lens, given.lens_conditions, both)
    compared = _named(conditions, "geometry", given.geometry, given.geometry_conditions, both)
    ceilings = _named(conditions, "ceiling", given.ceiling, given.ceiling_conditions, (BEFORE,))
    run = open_or_make_run(config, folder, figures, reuse, taught=parameters.teaching)
    stages = stages_of_conditions(conditions, parameters.condition_questions)
    stages += [_steps(each) for each in conditions]
    stages += [_lens(each, parameters.lens_questions) for each in lenses]
    if parameters.interventions:
        plan = InterventionPlan(parameters.intervention_layers)
        stages += [_interventions(each, plan) for each in conditions]
    stages += [_geometry(each) for each in compared]
    stages += [_ceiling(each, parameters) for each in ceilings]
    run_stages(stages, run, {})
    found = measure_bottleneck(run, conditions, lenses, interventions=parameters.interventions)
    geometry = geometry_table(run, compared) if compared else None
    writers = [measure_ceiling(run, each) for each in ceilings]
    return replace(
        found,
        geometry=geometry,
        ceilings=tuple(each for each in writers if not isinstance(each, str)),
        no_ceiling=next((each for each in writers if isinstance(each, str)), ""),
    )


def _named(
    conditions: Sequence[ModelCondition],
    part: str,
    wanted: bool,
    names: Sequence[str],
    always: Sequence[ModelCondition],
) -> list[ModelCondition]:
    """Return the conditions that a ``part`` is done in: those ``always`` and those of ``names``;
    none where it is not ``wanted``.

    Raises:
        WorkbenchError: for a name that is not followed.
    """
    there = [each.name for each in conditions]
    for name in names:
        if name not in there:
            raise WorkbenchError(
                f"{part}_conditions names {name!r}, which is not followed; choose among "
                f"{', '.join(there)}."
            )
    return [each for each in conditions if wanted and (each in always or each.name in names)]


def _steps(condition: ModelCondition) -> Stage:
    return Stage(
        steps_stage(condition.name),
        partial(read_steps, condition=condition),
        ("probe", "seed"),
        tuple(dict.fromkeys((*NEEDS, condition.readings))),
    )


def _interventions(condition: ModelCondition, plan: InterventionPlan) -> Stage:
    taught = () if condition.taught is None else (condition.taught,)
    steps = dict.fromkeys((steps_stage(BEFORE.name), steps_stage(condition.name)))
    return Stage(
        intervention_stage(condition.name),
        partial(intervene, condition=condition, plan=plan),
        ("model", "elicit", "probe", "seed"),
        tuple(dict.fromkeys((*NEEDS, condition.readings, *taught, *steps))),
        given={"interventions": asdict(plan)},
    )


def _lens(condition: ModelCondition, questions: int) -> Stage:
    taught = () if condition.taught is None else (condition.taught,)
    return Stage(
        lens_stage(condition.name),
        partial(read_lenses, condition=condition, training_questions=questions),
        ("model", "elicit", "probe", "seed"),
        (*NEEDS, *taught),
        given={"lens_questions": questions},
    )


def _ceiling(condition: ModelCondition, parameters: BottleneckParameters) -> Stage:
    taught = () if condition.taught is None else (condition.taught,)
    count = CeilingQuestions(
        parameters.ceiling_questions, parameters.ceiling_questions, parameters.ceiling_told
    )
    return Stage(
        ceiling_stage(condition.name),
        partial(find_writers, condition=condition, count=count),
        ("model", "elicit", "seed"),
        tuple(dict.fromkeys((*NEEDS, condition.readings, *taught))),
        given={"ceiling": asdict(count)},
    )


def _geometry(condition: ModelCondition) -> Stage:
    taught = () if condition.taught is None else (condition.taught,)
    needs = (*NEEDS, condition.readings, *taught, steps_stage(condition.name))
    return Stage(
        geometry_stage(condition.name),
        partial(read_geometry, condition=condition),
        ("model", "elicit", "probe", "seed"),
        tuple(dict.fromkeys(needs)),
    )
