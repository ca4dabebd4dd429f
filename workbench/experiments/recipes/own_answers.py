"""A model that was taught to answer as well: its confidence in the answers it gives itself, the
adapter on throughout.

Every other condition is judged by the base model's answers. Here each answer given with the adapter
on is put into a conversation of its own and the confidence read behind it; measures are named
``own.<measure>.<readout>.<condition>``, with the signs they have elsewhere.

What they do not show: a gain over the base model at equal answers. Other answers are of other
difficulty, which alone moves AUROC2 and calibration; ``same_answers`` compares where they are the
same.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.elicit.conversation import confidence_conversation
from workbench.experiments.recipes.trainings import Training
from workbench.loop.answer_stability import answers_with_adapter
from workbench.loop.conditions import Readouts, calibration, discrimination
from workbench.loop.confidence import read_conversation_adapter
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.pipeline.store import ROW, StageStore
from workbench.questions import prompt_text


def read_own(context: Run, stage: StageStore, training: Training) -> dict[str, Any]:
    """Confidence of the training in its own answers to the held-out questions."""
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
            answer,
        )
        for row, answer in zip(rows.tolist(), given["answer"], strict=True)
    }
    description = f"reading {training.name} behind its own answers"
    with context.with_adapter(training.stage("teach")) as tuned:
        return read_conversation_adapter(
            context, tuned, stage, conversations, rows, (), description
        )


def own_summary(
    context: Run, r: Readouts, training: Training, *, resamples: int, seed: int
) -> dict[str, Any]:
    """The measures of what the training states of its own graded answers, with their intervals."""
    given = answers_with_adapter(context, training.stage("elicit"))
    assert given is not None
    questions = r.questions[given["correct"].loc[r.questions[ROW]].notna().to_numpy()].reset_index(
        drop=True
    )
    rows = questions[ROW]
    read = (
        context.stage(training.stage("elicit_own_answers"))
        .table("confidence")
        .set_index(ROW)
        .loc[rows]
    )
    stated, expected = (
        {training.name: read[name].to_numpy(dtype=float)} for name in ("stated", "expected")
    )
    own = Readouts(
        questions, given["correct"].loc[rows].to_numpy(dtype=np.bool_), stated, expected, {}
    )
    drawn = {"resamples": resamples, "seed": seed}
    return {
        f"own.{key}": value
        for key, value in {**discrimination(own, **drawn), **calibration(own, **drawn)}.items()
    }
