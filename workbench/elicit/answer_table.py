"""Answer and grade many questions batch by batch: one row per question.

The table has the columns row, answer, correct, log_probability (the mean of the answer's tokens, in
nats), and reasoning where the format asks for it. ``correct`` is missing where a reply could not be
graded or nothing says what is right. Batches go by the tokens that open each reply, without those
that all begin with.

The table does not show how an answer longer than its limit would have continued.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from workbench.arrays import Rows
from workbench.elicit.answer import (
    CacheCallback,
    Limits,
    answer_batch,
    answer_prompts,
    reason_batch,
)
from workbench.elicit.format import Format
from workbench.elicit.lengths import check_questions
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, BatchRunner, Part
from workbench.trace.batches import plan_batches
from workbench.trace.suffix import common_prefix

Grader = Callable[[int, str], bool | None]
"""A function of a question's row and a reply: whether the reply is right, None where
nothing tells.
"""


def answer_batches(opened: Sequence[tuple[int, ...]], tokens_per_forward: int) -> list[Rows]:
    """Plan the batches in which questions are answered, by the tokens that open their replies.

    A pass computes those tokens without what all begin with; then tokens are generated, one per row
    at a time.
    """
    shared = len(common_prefix(opened))
    return plan_batches([len(tokens) - shared for tokens in opened], tokens_per_forward)


def answer_rows(
    lm: LanguageModel,
    fmt: Format,
    questions: Sequence[str],
    rows: Rows,
    *,
    grade: Grader,
    limits: Limits,
    tokens_per_forward: int,
    names: Sequence[str],
    run: BatchRunner,
    description: str,
    stated: Sequence[str] | None = None,
    keep: Callable[[Rows], CacheCallback] | None = None,
    most_batches: int | None = None,
) -> pd.DataFrame:
    """Answer ``questions[rows]`` greedily and grade the answers.

    Args:
        questions: the texts of all questions, options included.
        rows: which of them are answered; their numbers are the column row.
        names: what errors call each of ``rows``.
        run: computes the batches, see :data:`workbench.pipeline.store.BatchRunner`.
        stated: the confidence stated before the answer to each of ``questions``, for formats in
            which it comes first.
        keep: gives, for the rows of a batch, what receives the keys and values of their prompts.
        most_batches: how many batches are answered at most; None for all.

    Raises:
        WorkbenchError: for questions too long for the model or the memory bound.
    """
    texts = [questions[row] for row in rows]
    first = [""] * len(questions) if stated is None else list(stated)

    def compute(batch: Rows) -> Part:
        chosen = rows[batch]
        asked = [questions[row] for row in chosen]
        reasonings = reason_batch(lm, fmt, asked, limits.reasoning)
        prompts = answer_prompts(lm, fmt, asked, reasonings, [first[row] for row in chosen])
        scores: list[float] = []
        replies = answer_batch(
            lm, prompts, limits.answer, None if keep is None else keep(chosen), scores
        )
        grades = [grade(int(row), reply) for row, reply in zip(chosen, replies, strict=True)]
        columns = {ROW: chosen, "answer": replies, "correct": grade_column(grades)}
        columns["log_probability"] = scores
        return Part(
            pd.DataFrame({**columns, "reasoning": reasonings} if fmt.reasoning_prefix else columns),
            {},
        )

    check_questions(lm, fmt, texts, names, limits, tokens_per_forward)
    opened = answer_prompts(lm, fmt, texts, [""] * len(texts), [first[row] for row in rows])
    return run(
        answer_batches(opened, tokens_per_forward)[:most_batches], compute, description
    ).table


def grade_column(grades: Sequence[bool | None]) -> pd.Series[bool]:
    """Write grades as a column: true, false, or missing where a reply could not be graded."""
    return pd.Series(list(grades), dtype="boolean")
