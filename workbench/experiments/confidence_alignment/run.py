"""Ask questions as choices and compare the internal with the stated confidence in the same options.

Each reading is a stage: the options, then each of nine prompts for the confidence. See :mod:`.read`
for what is asked, :mod:`.results` for the measures, their sign and what they do not show.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pandas as pd

from workbench.config import RunConfig
from workbench.experiments.confidence_alignment.read import (
    EIGHT,
    FULL,
    INTERNAL,
    Confidences,
    in_format,
    read_internal,
    read_stated,
)
from workbench.experiments.confidence_alignment.results import AlignmentResults, measure_alignment
from workbench.experiments.parameters import Parameters
from workbench.experiments.questions import experiment_questions
from workbench.loop import run_stages
from workbench.loop.run import Run
from workbench.pipeline.stages import STRICT, Reuse, Stage
from workbench.pipeline.store import RunStore

PROMPTS = (*EIGHT, FULL)


def run_alignment(
    config: RunConfig,
    folder: Path,
    parameters: Parameters | None = None,
    *,
    figures: Path | None = None,
    reuse: Reuse = STRICT,
) -> AlignmentResults:
    """Read both confidences and measure how they correlate; resume what was begun.

    The questions of ``config`` are asked as choices, whatever form it names. There are no
    parameters besides settings.
    """
    read = read_alignment(config, folder, reuse)
    return measure_alignment(read, config, resamples=config.bootstrap_resamples, seed=config.seed)


def read_alignment(config: RunConfig, folder: Path, reuse: Reuse = STRICT) -> Confidences:
    """Ask the questions of ``config`` as choices and read both confidences into ``folder``.

    Raises:
        WorkbenchError: where the folder holds results of other settings that ``reuse`` keeps.
    """
    config = config.model_copy(
        update={"questions": config.questions.model_copy(update={"ask_as": "choice"})}
    )
    questions = experiment_questions(config)
    context = Run(in_format(config, FULL), RunStore(folder), folder, reuse=reuse)
    settings = ("model", "questions", "elicit", "seed")
    internal = Stage(INTERNAL, partial(read_internal, questions=questions), settings)
    stated = [
        Stage(
            each.format,
            partial(read_stated, combination=each, questions=questions),
            settings,
            (INTERNAL,),
            given={"format": each.format},
        )
        for each in PROMPTS
    ]
    run_stages([internal, *stated], context)
    tables = [
        context.stage(each.format).table("confidence").assign(format=each.format)
        for each in PROMPTS
    ]
    options = context.stage(INTERNAL)
    return Confidences(
        tuple(questions),
        options.table("internal"),
        options.table("options"),
        pd.concat(tables, ignore_index=True),
        options.facts()["precision"],
    )
