"""Answer and grade many questions batch by batch: one row per question.

The table has the columns row, answer, correct, log_probability (the mean of the answer's tokens, in
nats), and reasoning where the format asks for it. ``correct`` is missing where a reply could not be
graded or nothing says what is right. Batches go by the tokens that open each reply, without those
that all begin with.

Where the model thinks, there are the columns thought and thought_truncated, and, for a thought
before the confidence too, second_thought and second_thought_truncated. An answer after a truncated
thought is not graded: it is a failure of its own kind, which the table counts and keeps apart from
replies that could not be graded.

The table does not show how an answer longer than its limit would have continued.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pandas as pd

from workbench.arrays import Rows
from workbench.elicit.answer import (
    CacheCallback,
    Limits,
    answer_batch,
    answer_prompts,
    reason_batch,
)
from workbench.elicit.bulk.engine import bulk_of, tokens_per_call
from workbench.elicit.format import Format
from workbench.elicit.lengths import check_questions
from workbench.elicit.thought import Thought, think, think_again
from workbench.models import LanguageModel
from workbench.models.thoughts import require_thoughts
from workbench.pipeline.store import ROW, BatchRunner, Part
from workbench.stream.rounds import run_together
from workbench.trace.batches import plan_batches
from workbench.trace.suffix import common_prefix

THOUGHT, SECOND_THOUGHT = "thought", "second_thought"
TRUNCATED = "_truncated"
"""Ending of the column that says which thoughts were cut before their end."""

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
        if fmt.thinking:
            return Part(
                thinking_rows(lm, fmt, asked, chosen, grade, limits, tokens_per_forward), {}
            )
        bulk = bulk_of(lm)
        reasonings = reason_batch(lm, fmt, asked, limits.reasoning, bulk)
        prompts = answer_prompts(lm, fmt, asked, reasonings, [first[row] for row in chosen])
        scores: list[float] = []
        replies = answer_batch(
            lm, prompts, limits.answer, None if keep is None else keep(chosen), scores, bulk
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
    batches = answer_batches(opened, tokens_per_call(lm, tokens_per_forward))
    return run(batches[:most_batches], compute, description).table


def thinking_rows(
    lm: LanguageModel,
    fmt: Format,
    asked: Sequence[str],
    rows: Rows,
    grade: Grader,
    limits: Limits,
    tokens_per_forward: int,
) -> pd.DataFrame:
    """Return the table of the questions ``asked``, numbered ``rows``, of a model that thinks.

    Thoughts differ in length by far more than prompts, so every step plans batches of its own.
    """
    thoughts = think(lm, fmt, asked, limits.thinking, tokens_per_forward)
    texts = [thought.text for thought in thoughts]
    prompts = answer_prompts(lm, fmt, asked, texts)
    ends = require_thoughts(lm.tokenizer).answer_ends
    replies, scores = [""] * len(asked), [0.0] * len(asked)

    def compute(batch: Rows) -> None:
        found: list[float] = []
        bulk = bulk_of(lm)
        said = answer_batch(lm, [prompts[at] for at in batch], limits.answer, None, found, bulk)
        for at, reply, score in zip(batch, said, found, strict=True):
            replies[at] = reply.split(ends, 1)[0].strip() if ends else reply
            scores[at] = score

    batches = answer_batches(prompts, tokens_per_call(lm, tokens_per_forward))
    run_together([partial(compute, batch) for batch in batches])
    grades = [
        None if thought.truncated else grade(int(row), reply)
        for row, reply, thought in zip(rows, replies, thoughts, strict=True)
    ]
    columns = {ROW: rows, "answer": replies, "correct": grade_column(grades)}
    columns |= {"log_probability": scores, **_thought_columns(THOUGHT, thoughts)}
    if fmt.thinks_again:
        again = think_again(lm, fmt, asked, replies, texts, limits.thinking, tokens_per_forward)
        columns |= _thought_columns(SECOND_THOUGHT, again)
    return pd.DataFrame(columns)


def truncated_thoughts(table: pd.DataFrame) -> dict[str, int]:
    """Count the thoughts that were cut before their end, by the column that holds them; nothing
    for a model that does not think.
    """
    return {
        name: int(table[name + TRUNCATED].sum())
        for name in (THOUGHT, SECOND_THOUGHT)
        if name in table
    }


def ungraded_replies(table: pd.DataFrame) -> int:
    """Count the replies that could not be graded, without those after truncated thoughts."""
    return int(table["correct"].isna().sum()) - truncated_thoughts(table).get(THOUGHT, 0)


def _thought_columns(name: str, thoughts: Sequence[Thought]) -> dict[str, Any]:
    return {
        name: [thought.text for thought in thoughts],
        name + TRUNCATED: [thought.truncated for thought in thoughts],
    }


def grade_column(grades: Sequence[bool | None]) -> pd.Series[bool]:
    """Write grades as a column: true, false, or missing where a reply could not be graded."""
    return pd.Series(list(grades), dtype="boolean")
