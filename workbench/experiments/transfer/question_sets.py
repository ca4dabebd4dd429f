"""Choose the questions of runs in which nothing is trained: all of them are held out, and none is
one that an adapter was trained on.

Two kinds: the questions of a file of graded answers (another model's, say), and questions that have
no answer, together with some that have one. How they are answered is decided by the next stage; see
:func:`workbench.loop.answers.answer_questions`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.errors import WorkbenchError
from workbench.experiments.transfer.evaluate import drop_training_questions
from workbench.loop.questions import held_out_rows, save_questions
from workbench.loop.run import Run
from workbench.pipeline.store import StageStore
from workbench.questions import Question, in_form, questions_from, sample_questions
from workbench.questions.graded_answers import graded_questions, read_graded


def save_as_test(stage: StageStore, questions: Sequence[Question]) -> dict[str, Any]:
    """Write ``questions`` as those of a run that trains nothing.

    Raises:
        WorkbenchError: if two questions have the same id.
    """
    if len({question.id for question in questions}) < len(questions):
        raise WorkbenchError("Two questions have the same id; give each question an id of its own.")
    return save_questions(stage, questions, {question.id: "test" for question in questions})


def graded_file_questions(context: Run, stage: StageStore, home: Run) -> dict[str, Any]:
    """Save the questions of the run's file of graded answers that ``home`` does not train on, at
    most as many as the run may draw.

    Raises:
        WorkbenchError: if ``home`` trains on all of them.
    """
    graded, asked = context.config.questions.graded_file, context.config.questions
    assert graded is not None
    pool = graded_questions(read_graded(graded))
    fresh = drop_training_questions(home, pool)
    if not fresh:
        raise WorkbenchError(
            f"All questions of {graded} are for training in {home.store.folder}; give answers to "
            "others."
        )
    chosen = sample_questions(fresh, asked.limit, context.config.seed)
    return {**save_as_test(stage, chosen), "for_training_at_home": len(pool) - len(fresh)}


def unanswerable_questions(context: Run, stage: StageStore, home: Run) -> dict[str, Any]:
    """Save the questions of the run's source without an answer, and some with one where it has any.

    There are at most as many of either kind as ``home`` holds out, and none it trains on.

    Raises:
        WorkbenchError: if the source has no question without an answer.
    """
    asked, seed = context.config.questions, context.config.seed
    pool = in_form(questions_from(asked.source, asked.mirror), asked.ask_as, asked.options, seed)
    fresh, most = drop_training_questions(home, pool), len(held_out_rows(home))
    answerable = [question for question in fresh if question.answerable]
    none = [question for question in fresh if not question.answerable]
    if not none:
        raise WorkbenchError(
            f"{asked.source} holds no question without an answer; mark such questions with "
            '"answerable": false.'
        )
    chosen = [
        question for kind in (none, answerable) for question in sample_questions(kind, most, seed)
    ]
    return save_as_test(stage, chosen)
