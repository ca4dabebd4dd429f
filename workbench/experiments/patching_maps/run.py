"""Map where the stated confidence of a finished run is written, before and after training.

Three stages of the run's folder: the maps, by layer and part of the conversation, head and
component; an attribution with the true patches that say how far to trust it; and a test of a claim
of the literature, whose rule was written down beforehand. See :mod:`.read` for what is patched,
:mod:`.results` for the sign of a shift and what it does not show, and
:mod:`.cached_confidence_claim` for the rule.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from workbench.config import RunConfig
from workbench.experiments.finished_run import open_or_make_run
from workbench.experiments.parameters import Parameters
from workbench.experiments.patching_maps.read import read_attribution, read_claim, read_maps
from workbench.experiments.patching_maps.results import PatchingResults, measure_patching
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages

MAPS, ATTRIBUTION, CLAIM = (f"patching_maps/{name}" for name in ("maps", "attribution", "claim"))


class PatchingParameters(Parameters):
    """The parameters: how many questions and layers are patched."""

    n_questions: int = Field(16, ge=2, le=10**6, description="held-out questions of every map")
    claim_questions: int = Field(
        40, ge=2, le=10**6, description="held-out questions of the claim's test"
    )
    layers: int = Field(8, ge=2, le=1000, description="layers of the maps, spread evenly")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="matrix products")


def run_patching_maps(
    config: RunConfig | None,
    folder: Path,
    parameters: PatchingParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> PatchingResults:
    """Patch the run in ``folder``, which is made first if there is none; resume what was begun.

    Args:
        config: None to take the run as it is.
    """
    run = open_or_make_run(config, folder, figures, reuse).in_precision(parameters.precision)
    settings, base = ("model", "elicit", "seed"), ("questions", "answer", "elicit", "teach")
    items, layers = parameters.n_questions, parameters.layers
    drawn = {"n_questions": items, "layers": layers}
    claimed = parameters.claim_questions
    stages = [
        Stage(
            MAPS, partial(read_maps, n_questions=items, layers=layers), settings, base, given=drawn
        ),
        Stage(
            ATTRIBUTION,
            partial(read_attribution, maps=MAPS, n_questions=items, layers=layers),
            settings,
            (*base, MAPS),
            given=drawn,
        ),
        Stage(
            CLAIM,
            partial(read_claim, claim_questions=claimed),
            settings,
            base,
            given={"claim_questions": claimed},
        ),
    ]
    run_stages(stages, run, {})
    return measure_patching(run.config, parameters, *(run.stage(each.name) for each in stages))
