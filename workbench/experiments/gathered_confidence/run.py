"""Test on a finished run whether confidence is gathered after the answer and retrieved at the
number.

The claims, rules and worlds are in :mod:`workbench.mechanisms.works.gathered_confidence`. A stage
for each condition of the model reads the held-out questions (:mod:`.read`), and the last one judges
them. A run is made first where there is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import pandas as pd
from pydantic import Field

from workbench.config import RunConfig
from workbench.experiments.finished_run import READ_IN, open_or_make_run
from workbench.experiments.gathered_confidence.page import Curves, make_page
from workbench.experiments.gathered_confidence.read import MAP, READINGS, read_condition
from workbench.experiments.gathered_confidence.results import (
    STAGE,
    measure_gathered,
    window_curves,
)
from workbench.experiments.parameters import Parameters
from workbench.experiments.patching_maps.maps import PatchingMap
from workbench.loop.run import Run
from workbench.mechanisms.record import (
    BASE,
    TAUGHT,
    MechanismRecord,
    record_stage,
    records_of,
    stage_name,
)
from workbench.mechanisms.works.gathered_confidence import WORK
from workbench.patch.effect_map import Axis, EffectMap
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages
from workbench.pipeline.store import StageStore
from workbench.report import Page


class GatheredConfidenceParameters(Parameters):
    """The parameters: how many questions, windows and layers are read."""

    n_questions: int = Field(64, ge=8, le=10**6, description="held-out questions, paired")
    windows: int = Field(8, ge=1, le=1000, description="windows of layers, spread evenly")
    map_questions: int = Field(16, ge=2, le=10**6, description="held-out questions of the map")
    layers: int = Field(8, ge=2, le=1000, description="layers of the map, spread evenly")
    teaching: bool = Field(
        True, description="test the taught model too; false needs no teaching in the run"
    )
    precision: Literal["float32", "bfloat16"] = Field("float32", description="matrix products")


@dataclass(frozen=True)
class GatheredConfidence:
    """What was found: a record a condition, the cuts by windows, the map, and all readings."""

    config: RunConfig
    parameters: GatheredConfidenceParameters
    records: Sequence[MechanismRecord]
    windows: Mapping[str, tuple[Sequence[int], int, Curves]]
    patched: PatchingMap
    readings: Mapping[str, pd.DataFrame]


def run_gathered_confidence(
    config: RunConfig | None,
    folder: Path,
    parameters: GatheredConfidenceParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> GatheredConfidence:
    """Test the run in ``folder``, which is made first if there is none; resume what was begun.

    Args:
        config: None to take the run as it is.
    """
    run = open_or_make_run(config, folder, figures, reuse, taught=parameters.teaching)
    run = run.in_precision(parameters.precision)
    conditions = (BASE, TAUGHT) if parameters.teaching else (BASE,)
    run_stages(_stages(parameters, conditions), run, {})
    stages = {name: run.stage(STAGE + name) for name in conditions}
    return GatheredConfidence(
        run.config,
        parameters,
        records_of(run.stage(stage_name(WORK.name))),
        {name: _windows(stage) for name, stage in stages.items()},
        _map(run),
        {name: stage.table(READINGS) for name, stage in stages.items()},
    )


def _stages(parameters: GatheredConfidenceParameters, conditions: Sequence[str]) -> list[Stage]:
    names = ("n_questions", "windows", "map_questions", "layers")
    drawn = {name: getattr(parameters, name) for name in names}
    readings = [
        Stage(
            STAGE + name,
            partial(read_condition, condition=name, **drawn),
            ("model", "elicit", "seed"),
            READ_IN[name],
            given=drawn,
        )
        for name in conditions
    ]
    measure = partial(measure_gathered, conditions=conditions)
    needs = (*READ_IN[conditions[-1]], *(stage.name for stage in readings))
    reads = ("seed", "bootstrap_resamples", "probe")
    return [*readings, record_stage(WORK, measure, reads, needs, parameters.model_dump())]


def _windows(stage: StageStore) -> tuple[Sequence[int], int, Curves]:
    facts = stage.facts()
    return facts["firsts"], facts["width"], window_curves(stage)


def _map(run: Run) -> PatchingMap:
    stage = run.stage(STAGE + BASE)
    held = stage.tensors(MAP)
    axes = tuple(Axis(name, tuple(labels)) for name, labels in stage.facts()["axes"])
    effects = EffectMap(axes, held["base"], held["donor"], held["patched"])
    return PatchingMap(effects, held["own"], held["control_token"])


def page_of(results: GatheredConfidence) -> Page:
    """Return the page."""
    return make_page(
        results.records,
        results.windows,
        results.patched,
        results.readings,
        results.config,
        {
            "parameters": results.parameters.model_dump(mode="json"),
            "run": results.config.model_dump(mode="json"),
        },
    )
