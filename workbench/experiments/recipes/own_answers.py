"""Measure a model that was trained to answer as well: its confidence in the answers it gives
itself, with the adapter on throughout.

Every other condition is judged by the base model's answers. Here each answer given with the adapter
on is put into a separate conversation and the confidence is read after it; measures are named
``own_answers.<measure>.<readout>.<condition>``, with the signs they have elsewhere.

They do not show a gain over the base model at equal answers. Other answers are of other difficulty,
which alone moves AUROC2 and calibration; ``unchanged_answers`` compares where they are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.elicit.ask import answers_with_reasoning
from workbench.elicit.conversation import confidence_conversation
from workbench.experiments.recipes.trainings import Training
from workbench.loop.answer_stability import answers_with_adapter
from workbench.loop.conditions import (
    EXPECTED,
    STATED,
    Measures,
    Readouts,
    calibration,
    discrimination,
    in_part,
)
from workbench.loop.confidence import read_conversation_adapter
from workbench.loop.questions import load_questions
from workbench.loop.results import column_of
from workbench.loop.run import Run
from workbench.measure import Bootstrap
from workbench.pipeline.store import ROW, StageStore
from workbench.questions import prompt_text


def read_own(context: Run, stage: StageStore, training: Training) -> dict[str, Any]:
    """Read the confidence of the training in its own answers to the held-out questions."""
    given = answers_with_adapter(context, training.stage("elicit"))
    assert given is not None
    _, questions = load_questions(context)
    rows = given.index.to_numpy()
    conversations = {
        row: confidence_conversation(
            context.lm.tokenizer,
            context.fmt,
            context.scale_tokens,
            prompt_text(questions[row]),
            *said,
        )
        for row, said in zip(rows.tolist(), answers_with_reasoning(given), strict=True)
    }
    description = f"reading {training.name} after its own answers"
    with context.with_adapter(training.stage("teach")) as tuned:
        return read_conversation_adapter(
            context, tuned, stage, conversations, rows, (), description
        )


def own_measures(context: Run, r: Readouts, training: Training, draw: Bootstrap) -> Measures:
    """Measure what the training states about its own graded answers, with intervals."""
    given = answers_with_adapter(context, training.stage("elicit"))
    assert given is not None
    questions = r.questions[given["correct"].loc[r.questions[ROW]].notna().to_numpy()].reset_index(
        drop=True
    )
    rows, stage = questions[ROW].to_numpy(), training.stage("elicit_own_answers")
    stated, expected = (
        {training.condition: column_of(context, stage, column, rows)}
        for column in (STATED, EXPECTED)
    )
    correct = given["correct"].loc[rows].to_numpy(dtype=np.bool_)
    own = Readouts(questions, correct, stated, expected, {})
    return in_part("own_answers", {**discrimination(own, draw), **calibration(own, draw)})
