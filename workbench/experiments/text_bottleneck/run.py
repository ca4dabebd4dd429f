"""Follow what a finished run's model knows from its hidden states to its text.

The readings are one stage of the run's folder; measures are made from its tables each time. See
:mod:`.read` for what is read, :mod:`.results` for the measures and the verdict, and
:mod:`workbench.bottleneck` for methods, signs, and what they do not show.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from pydantic import Field

from workbench.config import RunConfig
from workbench.experiments.finished_run import open_or_make_run
from workbench.experiments.parameters import Parameters
from workbench.experiments.text_bottleneck.lens import lens_stage, read_lenses
from workbench.experiments.text_bottleneck.read import STAGE, STAGES_OF, read_steps
from workbench.experiments.text_bottleneck.results import BottleneckResults, measure_bottleneck
from workbench.pipeline.stages import STRICT, Reuse, Stage, run_stages


class BottleneckParameters(Parameters):
    """The parameters: whether the scale is read after every layer, and from how many questions."""

    lens: bool = Field(True, description="read the scale after every layer")
    lens_questions: int = Field(
        140, ge=20, le=10**6, description="training questions that lenses' readings are fitted on"
    )
    """On the default run 140 read as well as 200, to 0.01 of AUROC2 on average over layers."""


NEEDS = ("questions", "answer", "elicit", "elicit_tuned", "probe")


def run_bottleneck(
    config: RunConfig | None,
    folder: Path,
    parameters: BottleneckParameters,
    *,
    figures: Path,
    reuse: Reuse = STRICT,
) -> BottleneckResults:
    """Analyse the run in ``folder``, which is made first if there is none; resume what was begun.

    Args:
        config: None to take the run as it is.
    """
    run = open_or_make_run(config, folder, figures, reuse)
    stages = [Stage(STAGE, read_steps, ("probe", "seed"), NEEDS)]
    if parameters.lens:
        stages += [_lens(when, parameters.lens_questions) for when in STAGES_OF]
    run_stages(stages, run, {})
    return measure_bottleneck(run, lenses=parameters.lens)


def _lens(when: str, questions: int) -> Stage:
    return Stage(
        lens_stage(when),
        partial(read_lenses, when=when, training_questions=questions),
        ("model", "elicit", "probe", "seed"),
        (*NEEDS, "teach"),
        given={"lens_questions": questions},
    )
