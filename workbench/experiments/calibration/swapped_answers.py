"""Swap answers: give a question another question's answer of the same domain, graded wrong for this
one.

A judge's verdict on such an answer comes from the question (how hard it looks) and from seeing that
the answer does not fit. A judge that uses the question alone states the same for both answers, and
its order still tells how likely the model's answer is to be right. Candidates are the model's
answers to the other held-out questions of the domain that say something and that grading does not
accept here; one is drawn by a hash of seed and question. Questions without a candidate are left
out.

What this does not show: a swapped answer may be of another kind than the question asks for (a year
for a name), which is easy to see.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from workbench.errors import WorkbenchError
from workbench.experiments.transfer.question_sets import save_as_test
from workbench.loop.answers import save_answers
from workbench.loop.questions import held_out_rows, load_questions
from workbench.loop.run import Run
from workbench.pipeline.store import ROW, StageStore
from workbench.questions import Grade, Question, grade_of, is_refusal, question_key
from workbench.questions.hashing import hash_permutation


def swap_answers(
    questions: Sequence[Question], answers: Sequence[str], seed: int
) -> list[str | None]:
    """Return, for each question, a wrong answer of its domain out of ``answers`` (which include its
    true answer); None where there is none.
    """
    pools: dict[str, set[str]] = {}
    for question, answer in zip(questions, answers, strict=True):
        if not is_refusal(answer):
            pools.setdefault(question.domain, set()).add(answer.strip())
    # Sorted, so that the order of the questions does not matter.
    ordered = {domain: sorted(pool) for domain, pool in pools.items()}
    return [
        _wrong(question, own.strip(), ordered.get(question.domain, []), seed)
        for question, own in zip(questions, answers, strict=True)
    ]


def _wrong(question: Question, own: str, pool: Sequence[str], seed: int) -> str | None:
    order = hash_permutation(len(pool), f"swapped:{seed}:{question_key(question.text)}")
    return next(
        (
            pool[at]
            for at in order
            if pool[at] != own and grade_of(pool[at], question) is Grade.WRONG
        ),
        None,
    )


def swapped_questions(context: Run, stage: StageStore, home: Run) -> dict[str, Any]:
    """Save the held-out questions of ``home`` for which another answer was found, all as held out.

    Raises:
        WorkbenchError: if there is none.
    """
    pairs = _pairs(home)
    if not pairs:
        raise WorkbenchError(
            "No held-out question has another answer in its domain that is wrong for it; use more "
            "questions."
        )
    return save_as_test(stage, [question for question, _ in pairs])


def swapped_answers(context: Run, stage: StageStore, home: Run) -> dict[str, Any]:
    """Save their other answers, all of them wrong."""
    answers = [answer for _, answer in _pairs(home)]
    table = pd.DataFrame({ROW: np.arange(len(answers)), "answer": answers, "correct": False})
    return save_answers(context, stage, table)


def _pairs(home: Run) -> list[tuple[Question, str]]:
    if home.config.questions.graded_file is not None:
        raise WorkbenchError(
            "Answers from a file cannot be swapped: what else would be accepted is not in it; "
            "leave questions.graded_file out."
        )
    rows = held_out_rows(home)
    _, questions = load_questions(home)
    own = home.stage("answer").table("answers").set_index(ROW)["answer"].loc[rows.tolist()].tolist()
    held_out = [questions[row] for row in rows]
    found = swap_answers(held_out, own, home.config.seed)
    return [
        (question, answer)
        for question, answer in zip(held_out, found, strict=True)
        if answer is not None
    ]
