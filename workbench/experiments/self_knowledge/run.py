"""Test what is claimed of self-knowledge before an answer on a finished run.

The claims, rules and worlds are in :mod:`workbench.mechanisms.works.self_knowledge`; the scores in
:mod:`.scores` are of the run's kept states, so no model is asked anew unless another model is named
that has no run yet. A run is made first where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd
from pydantic import Field

from workbench.config import RunConfig
from workbench.experiments.finished_run import open_or_make_run
from workbench.experiments.parameters import NONE, Parameters
from workbench.experiments.self_knowledge.other_model import OtherModel, find_other_model
from workbench.experiments.self_knowledge.page import make_page
from workbench.experiments.self_knowledge.results import measure_self_knowledge
from workbench.experiments.self_knowledge.scores import LAYERS, STAGE, score_questions
from workbench.loop.run import Run
from workbench.mechanisms.record import MechanismRecord, record_stage, records_of, stage_name
from workbench.mechanisms.works.self_knowledge import WORK
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages
from workbench.report import Page

NEEDS = ("questions", "answer", "elicit", "probe")
TAUGHT = ("elicit_tuned", "probe_tuned")


class SelfKnowledgeParameters(Parameters):
    """The parameters: which other model is compared, and whether the taught model is tested."""

    other: str = Field(
        NONE, description="another model's run by name or folder, or a model; none without one"
    )
    teaching: bool = Field(
        True, description="test the taught model too; false needs no teaching in the run"
    )


@dataclass(frozen=True)
class SelfKnowledge:
    """What was found: a record a condition, and AUROC2 by layer."""

    config: RunConfig
    parameters: SelfKnowledgeParameters
    records: Sequence[MechanismRecord]
    layers: pd.DataFrame


def run_self_knowledge(
    config: RunConfig | None,
    folder: Path,
    parameters: SelfKnowledgeParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> SelfKnowledge:
    """Test the run in ``folder``, which is made first if there is none; resume what was begun.

    Args:
        config: None to take the run as it is.

    Raises:
        WorkbenchError: for another model that cannot be compared.
    """
    run = open_or_make_run(config, folder, figures, reuse, taught=parameters.teaching)
    named = parameters.other
    other = find_other_model(run, named, reuse) if named != NONE else None
    run_stages(_stages(run, parameters, other), run, {})
    return SelfKnowledge(
        run.config,
        parameters,
        records_of(run.stage(stage_name(WORK.name))),
        run.stage(STAGE).table(LAYERS),
    )


def _stages(run: Run, parameters: SelfKnowledgeParameters, other: OtherModel | None) -> list[Stage]:
    taught = TAUGHT if parameters.teaching else ()
    scores = Stage(
        STAGE,
        partial(score_questions, other=other),
        ("probe", "seed"),
        NEEDS,
        given={"other": parameters.other},
        other_runs={} if other is None else other.keys,
    )
    measure = partial(measure_self_knowledge, teaching=parameters.teaching)
    needs = (*NEEDS, *taught, STAGE)
    return [scores, record_stage(WORK, measure, ("seed",), needs, parameters.model_dump())]


def page_of(results: SelfKnowledge) -> Page:
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
