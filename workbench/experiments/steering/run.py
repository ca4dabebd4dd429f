"""Steer a finished run's base model along its probe's direction and measure what changes.

The reading is one stage of the run's folder; the measures are made from its table each time. See
:mod:`.read` for what a push is, :mod:`.results` for the measures, their sign and the verdict, and
what they do not show.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from workbench.config import RunConfig
from workbench.experiments.finished_run import open_or_make_run
from workbench.experiments.parameters import Parameters
from workbench.experiments.steering.read import plan_steering, steered_confidence
from workbench.experiments.steering.results import (
    SteeringResults,
    steering_effects,
    steering_summary,
)
from workbench.loop.run import Run
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages
from workbench.pipeline.store import StageStore

STAGE = "steering"
NEEDS = ("questions", "answer", "elicit", "probe")


class SteeringParameters(Parameters):
    """The parameters: how far, where and on what the model is pushed."""

    n_questions: int = Field(120, ge=2, le=10**6, description="held-out questions")
    layers: int = Field(4, ge=1, le=1000, description="layers, spread evenly")
    random: int = Field(3, ge=1, le=1000, description="random directions beside the probe's")
    lengths: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = Field(
        (0.5, 1.0, 2.0),
        min_length=1,
        max_length=100,
        description="lengths either way, in standard deviations of a layer's states",
    )


def run_steering(
    config: RunConfig | None,
    folder: Path,
    parameters: SteeringParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> SteeringResults:
    """Steer the run in ``folder``, which is made first if there is none; resume what was begun.

    Args:
        config: None to take the run as it is.
    """
    run = open_or_make_run(config, folder, figures, reuse)
    stage = Stage(
        STAGE,
        partial(read_steered, parameters=parameters),
        ("model", "elicit", "seed"),
        NEEDS,
        given=parameters.model_dump(mode="json"),
    )
    run_stages([stage], run, {})
    table = run.stage(STAGE).table("steering")
    questions = run.stage("questions").table("questions")
    # Held-out questions are those whose answer could be graded; the other rows are never used.
    correct = run.stage("answer").table("answers")["correct"].fillna(False).to_numpy(dtype=bool)
    domain = questions["domain"].to_numpy(dtype=str)
    statistics = {"resamples": run.config.bootstrap_resamples, "seed": run.config.seed}
    return SteeringResults(
        run.config,
        parameters,
        table,
        steering_effects(table, correct, domain, **statistics),
        steering_summary(table, correct, domain, **statistics),
        run.stage(STAGE).facts()["precision"],
    )


def read_steered(
    context: Run, stage: StageStore, *, parameters: SteeringParameters
) -> dict[str, Any]:
    """Read the confidence of held-out questions under every push."""
    plan = plan_steering(
        context.lm.n_layers,
        layers=parameters.layers,
        lengths=parameters.lengths,
        random=parameters.random,
        items=parameters.n_questions,
    )
    stage.save_table("steering", steered_confidence(context, plan, stage))
    return {"precision": context.lm.precision}
