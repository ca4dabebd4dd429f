"""Test what is claimed of the directions of accuracy and of verbal confidence on a finished run.

The claims, rules and worlds are in :mod:`workbench.mechanisms.works.accuracy_directions`. Angles
are of the run's kept states (:mod:`.directions`); reasoning needs a second run of the same model
(:mod:`.reasoned`), which is made first where a format is named; steering asks the model again
(:mod:`.steering`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from workbench.config import RunConfig
from workbench.experiments.accuracy_directions.directions import (
    DirectionPlan,
    directions_stage,
    read_directions,
)
from workbench.experiments.accuracy_directions.page import make_page
from workbench.experiments.accuracy_directions.reasoned import (
    STAGE,
    find_reasoned_run,
    read_reasoned,
)
from workbench.experiments.accuracy_directions.results import curves_of, measure_directions
from workbench.experiments.accuracy_directions.steering import (
    SteeringPlan,
    steer_adaptively,
    steering_stage,
)
from workbench.experiments.finished_run import PROBED, open_or_make_run
from workbench.experiments.parameters import NONE, Parameters
from workbench.experiments.text_bottleneck.conditions import AFTER, BEFORE, ModelCondition
from workbench.loop.run import Run
from workbench.mechanisms.record import MechanismRecord, record_stage, records_of, stage_name
from workbench.mechanisms.works.accuracy_directions import WORK
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages
from workbench.report import Page

NEEDS = ("questions", "answer", "elicit", "probe")
READS = ("model", "elicit", "probe", "seed")


class DirectionParameters(Parameters):
    """The parameters: which run reasons, how often questions are halved, and how many are
    steered.
    """

    reasoned: str = Field(
        "percent-reasoned-two-turn",
        description="a run of the same model in a format that reasons, or such a format, in which "
        "one is made; none for no test of reasoning",
    )
    teaching: bool = Field(
        True, description="test the taught model too; false needs no teaching in the run"
    )
    halvings: int = Field(20, ge=2, le=10**4, description="halvings of the training questions")
    blocks: int = Field(20, ge=2, le=10**4, description="blocks left out for an angle's interval")
    chosen_on: int = Field(
        48, ge=8, le=10**6, description="training questions that the strength is chosen on"
    )
    steered: int = Field(120, ge=8, le=10**6, description="held-out questions that are steered")
    strengths: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = Field(
        (1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
        min_length=1,
        max_length=100,
        description="spreads of the states that a gap of 1 is pushed by, of which one is chosen",
    )
    random: int = Field(3, ge=1, le=1000, description="random directions beside")


@dataclass(frozen=True)
class DirectionResults:
    """What was found: a record a condition, and the cosines by layer."""

    config: RunConfig
    parameters: DirectionParameters
    records: Sequence[MechanismRecord]
    layers: pd.DataFrame


def run_accuracy_directions(
    config: RunConfig | None,
    folder: Path,
    parameters: DirectionParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> DirectionResults:
    """Test the run in ``folder``, which is made first if there is none; resume what was begun.

    Args:
        config: None to take the run as it is.

    Raises:
        WorkbenchError: for a run that does not reason where one is named.
    """
    run = open_or_make_run(config, folder, figures, reuse, taught=parameters.teaching)
    named = parameters.reasoned
    reasoned = find_reasoned_run(run, named, reuse) if named != NONE else None
    conditions = (BEFORE, AFTER) if parameters.teaching else (BEFORE,)
    run_stages(_stages(parameters, conditions, reasoned), run, {})
    return DirectionResults(
        run.config,
        parameters,
        records_of(run.stage(stage_name(WORK.name))),
        curves_of(run, conditions),
    )


def _stages(
    parameters: DirectionParameters, conditions: Sequence[ModelCondition], reasoned: Run | None
) -> list[Stage]:
    plan = DirectionPlan(parameters.halvings, parameters.blocks)
    steering = SteeringPlan(
        parameters.chosen_on, parameters.steered, parameters.strengths, parameters.random
    )
    stages = [_directions(each, plan) for each in conditions]
    if reasoned is not None:
        stages.append(
            Stage(
                STAGE,
                partial(read_reasoned, reasoned=reasoned, plan=plan),
                READS,
                (*NEEDS, directions_stage(BEFORE.name)),
                given={"plan": asdict(plan), "reasoned": parameters.reasoned},
                other_runs={f"reasoned/{name}": reasoned.keys[name] for name in PROBED},
            )
        )
    stages += [_steering(each, steering) for each in conditions]
    needs = (*NEEDS, *(each.name for each in stages))
    measure = partial(measure_directions, conditions=conditions, reasoned=reasoned is not None)
    return [*stages, record_stage(WORK, measure, ("seed",), needs, parameters.model_dump())]


def _needs(condition: ModelCondition) -> tuple[str, ...]:
    taught = () if condition.taught is None else (condition.taught,)
    return tuple(dict.fromkeys((*NEEDS, condition.readings, *taught)))


def _directions(condition: ModelCondition, plan: DirectionPlan) -> Stage:
    return Stage(
        directions_stage(condition.name),
        partial(read_directions, condition=condition, plan=plan),
        ("elicit", "probe", "seed"),
        _needs(condition),
        given={"plan": asdict(plan)},
    )


def _steering(condition: ModelCondition, plan: SteeringPlan) -> Stage:
    return Stage(
        steering_stage(condition.name),
        partial(steer_adaptively, condition=condition, plan=plan),
        READS,
        (*_needs(condition), directions_stage(condition.name)),
        given={"plan": asdict(plan)},
    )


def page_of(results: DirectionResults) -> Page:
    """Return the page."""
    return make_page(
        results.records,
        results.layers,
        results.config,
        {
            "parameters": results.parameters.model_dump(mode="json"),
            "run": results.config.model_dump(mode="json"),
        },
    )
