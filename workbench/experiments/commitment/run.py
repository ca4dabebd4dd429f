"""Test what is claimed of reported confidence and commitment on a finished run.

The claims, rules and worlds are in :mod:`workbench.mechanisms.works.commitment`. Two stages ask the
model: :mod:`.offered` offers the choice to pass after the run's answers, :mod:`.pushes` steers it.
A run is made first where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from workbench.config import RunConfig
from workbench.experiments.commitment.offered import STAGE as OFFERS
from workbench.experiments.commitment.offered import offer_choices
from workbench.experiments.commitment.page import make_page
from workbench.experiments.commitment.pushes import PUSHED, PushPlan, push_choices
from workbench.experiments.commitment.pushes import STAGE as PUSHES
from workbench.experiments.commitment.results import ANGLES, PASSES, measure_commitment
from workbench.experiments.finished_run import open_or_make_run
from workbench.experiments.parameters import Parameters
from workbench.experiments.patching_maps.maps import spaced_layers
from workbench.loop.run import Run
from workbench.loop.states import states_of_stage
from workbench.mechanisms.record import MechanismRecord, record_stage, records_of, stage_name
from workbench.mechanisms.works.commitment import WORK
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages
from workbench.report import Page

NEEDS = ("questions", "answer", "elicit", "probe")
TAUGHT = ("teach", "elicit_tuned")
LAYERS_SHOWN = 8


class CommitmentParameters(Parameters):
    """The parameters: what is offered, on how many questions, and how the model is pushed."""

    offer: Literal["pass", "delegate"] = Field("pass", description="what is offered")
    training: int = Field(
        240, ge=40, le=10**6, description="training questions that directions are made of"
    )
    pushed: int = Field(48, ge=8, le=10**6, description="held-out questions that are pushed")
    depth: float = Field(
        0.5, gt=0, lt=1, description="the layer of directions and pushes, as a share of the depth"
    )
    lengths: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = Field(
        (0.25, 0.5),
        min_length=1,
        max_length=20,
        description="lengths of pushes either way, in standard deviations of the layer's states",
    )
    random: int = Field(4, ge=1, le=1000, description="random directions of each kind")
    teaching: bool = Field(
        True, description="test the taught model too; false needs no teaching in the run"
    )


@dataclass(frozen=True)
class Commitment:
    """What was found: a record a condition, and the tables of the page."""

    config: RunConfig
    parameters: CommitmentParameters
    records: Sequence[MechanismRecord]
    angles: pd.DataFrame
    pushed: pd.DataFrame
    passes: pd.DataFrame


def run_commitment(
    config: RunConfig | None,
    folder: Path,
    parameters: CommitmentParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> Commitment:
    """Test the run in ``folder``, which is made first if there is none; resume what was begun.

    Args:
        config: None to take the run as it is.

    Raises:
        WorkbenchError: for a run that thinks, or whose answers came from a file.
    """
    run = open_or_make_run(config, folder, figures, reuse, taught=parameters.teaching)
    run_stages(_stages(run, parameters), run, {})
    measured = run.stage(stage_name(WORK.name))
    return Commitment(
        run.config,
        parameters,
        records_of(measured),
        measured.table(ANGLES),
        run.stage(PUSHES).table(PUSHED),
        measured.table(PASSES),
    )


def _stages(run: Run, parameters: CommitmentParameters) -> list[Stage]:
    taught = TAUGHT if parameters.teaching else ()
    depth = states_of_stage(run.stage("elicit")).shape[1]
    plan = PushPlan(
        int(parameters.depth * depth),
        parameters.lengths,
        parameters.random,
        parameters.pushed,
        parameters.offer,
    )
    offers = partial(
        offer_choices,
        offer=parameters.offer,
        training=parameters.training,
        teaching=parameters.teaching,
    )
    measure = partial(
        measure_commitment,
        teaching=parameters.teaching,
        layers=spaced_layers(depth, LAYERS_SHOWN),
    )
    asked = {"offer": parameters.offer, "training": parameters.training}
    return [
        Stage(
            OFFERS,
            offers,
            ("model", "elicit", "seed"),
            (*NEEDS, *taught),
            given={**asked, "teaching": parameters.teaching},
        ),
        Stage(
            PUSHES,
            partial(push_choices, plan=plan),
            ("model", "elicit", "seed"),
            (*NEEDS, OFFERS),
            given=vars(plan),
        ),
        record_stage(
            WORK, measure, ("seed",), (*NEEDS, *taught, OFFERS, PUSHES), parameters.model_dump()
        ),
    ]


def page_of(results: Commitment) -> Page:
    """Return the page."""
    return make_page(
        results.records,
        results.angles,
        results.pushed,
        results.passes,
        results.config,
        {
            "parameters": results.parameters.model_dump(mode="json"),
            "run": results.config.model_dump(mode="json"),
        },
    )
