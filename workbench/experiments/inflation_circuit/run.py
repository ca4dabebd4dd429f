"""Test on a finished run whether a compact set of heads and MLPs writes the inflation of stated
confidence.

Claims, rules and worlds are in :mod:`workbench.mechanisms.works.inflation_circuit`. Each condition
has a stage (:mod:`.read`); measures are made from it and sealed. A run is made first where there is
none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from workbench.config import RunConfig
from workbench.experiments.finished_run import open_or_make_run
from workbench.experiments.inflation_circuit.page import make_page
from workbench.experiments.inflation_circuit.read import (
    InflationQuestions,
    inflation_stage,
    read_inflation,
)
from workbench.experiments.inflation_circuit.results import measure_inflation, size_tables
from workbench.experiments.parameters import Parameters
from workbench.experiments.text_bottleneck.conditions import AFTER, BEFORE, ModelCondition
from workbench.loop.run import Run
from workbench.mechanisms.record import (
    BASE,
    TAUGHT,
    MechanismRecord,
    record_stage,
    records_of,
    stage_name,
)
from workbench.mechanisms.works.inflation_circuit import WORK
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages
from workbench.pipeline.store import StageStore
from workbench.report import Page

NEEDS = ("questions", "answer", "elicit", "probe")


class InflationParameters(Parameters):
    """The parameters: how many questions sets are found and tested on, and whether the taught model
    is tested too.
    """

    attributed: int = Field(
        48, ge=2, le=10**6, description="wrong training answers that sets are found on"
    )
    wrong: int = Field(48, ge=2, le=10**6, description="wrong held-out answers that test them")
    corrected: int = Field(
        100, ge=4, le=10**6, description="training and held-out questions of the correction"
    )
    reference: Literal["unsure answers", "ordinary tokens"] = Field(
        "unsure answers", description="whose states writers are given instead of their own"
    )
    teaching: bool = Field(
        True, description="test the taught model too; false needs no teaching in the run"
    )


@dataclass(frozen=True)
class InflationCircuit:
    """What was found: a record a condition, and by condition the curve over sizes and the writers
    of the compact set.
    """

    config: RunConfig
    parameters: InflationParameters
    records: Sequence[MechanismRecord]
    curves: Mapping[str, pd.DataFrame]
    writers: Mapping[str, pd.DataFrame]


def run_inflation_circuit(
    config: RunConfig | None,
    folder: Path,
    parameters: InflationParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> InflationCircuit:
    """Test the run in ``folder``, which is made first if there is none; resume what was begun.

    Args:
        config: None to take the run as it is.
    """
    run = open_or_make_run(config, folder, figures, reuse, taught=parameters.teaching)
    conditions = {BASE: BEFORE} | ({TAUGHT: AFTER} if parameters.teaching else {})
    stages = [_stage(each, parameters) for each in conditions.values()]
    taught = tuple(each.readings for each in conditions.values())
    needs = (*dict.fromkeys((*NEEDS, *taught)), *(stage.name for stage in stages))
    measure = partial(_records, conditions=conditions)
    stages.append(record_stage(WORK, measure, ("seed",), needs, parameters.model_dump()))
    run_stages(stages, run, {})
    tables = {name: size_tables(run, each) for name, each in conditions.items()}
    return InflationCircuit(
        run.config,
        parameters,
        records_of(run.stage(stage_name(WORK.name))),
        {name: each.curve for name, each in tables.items()},
        {name: each.writers for name, each in tables.items()},
    )


def _records(
    run: Run, stage: StageStore, *, conditions: Mapping[str, ModelCondition]
) -> list[MechanismRecord]:
    return [measure_inflation(run, condition=each, name=name) for name, each in conditions.items()]


def _stage(condition: ModelCondition, parameters: InflationParameters) -> Stage:
    count = InflationQuestions(
        parameters.attributed, parameters.wrong, parameters.corrected, parameters.reference
    )
    taught = () if condition.taught is None else (condition.taught,)
    return Stage(
        inflation_stage(condition.name),
        partial(read_inflation, condition=condition, count=count),
        ("model", "elicit", "seed"),
        tuple(dict.fromkeys((*NEEDS, condition.readings, *taught))),
        given=asdict(count),
    )


def page_of(results: InflationCircuit) -> Page:
    """Return the page."""
    return make_page(
        results.records,
        results.curves,
        results.writers,
        results.config,
        {
            "parameters": results.parameters.model_dump(mode="json"),
            "run": results.config.model_dump(mode="json"),
        },
    )
