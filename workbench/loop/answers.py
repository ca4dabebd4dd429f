"""Stages that talk to the model: choose questions, answer them, read confidence and states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.answer import Limits, answer_batch, answer_prompts, reason_batch
from workbench.elicit.conversation import (
    answer_tokens,
)
from workbench.elicit.lengths import check_questions
from workbench.errors import WorkbenchError
from workbench.loop.kv_cache import answering_batches, cache_answer_prompts
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.questions import (
    Grade,
    Question,
    grade_of,
    prompt_text,
)
from workbench.questions.graded_answers import Graded, graded_questions, read_graded, write_graded


def questions_and_answers(context: Run, rows: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """What was asked in ``rows``, as text, and the base model's answers."""
    _, questions = load_questions(context)
    answered = context.stage("answer").table("answers")["answer"]
    return [prompt_text(questions[row]) for row in rows], answered.loc[rows.tolist()].tolist()


def right_answers(context: Run, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the run's answers to ``rows`` are right.

    Errors: WorkbenchError where one of them could not be graded, which is a mistake of the caller.
    """
    correct = context.stage("answer").table("answers").set_index(ROW)["correct"].loc[rows.tolist()]
    if correct.isna().any():
        raise WorkbenchError(
            "An ungraded answer is neither right nor wrong; choose rows by the split of "
            "load_questions."
        )
    return correct.to_numpy(dtype=bool)


def graded_column(grades: Sequence[Grade]) -> pd.Series[bool]:
    """Grades as a table's column: true, false, or missing where the reply could not be graded."""
    return pd.Series([grade.correct for grade in grades], dtype="boolean")


def answer_questions(context: Run, stage: StageStore) -> dict[str, Any]:
    """Greedy answers of the base model to every question, graded; or those of a file of graded
    answers.
    """
    _, questions = load_questions(context)
    rows, given = np.arange(len(questions)), context.config.questions.graded_file
    if given is None:
        table = answers(context, context.lm, stage, questions, rows, "answering", leave=True)
        write_graded(stage.folder / "graded.jsonl", _graded(context, questions, table))
    else:
        table = _given_answers(questions, read_graded(given))
    return save_answers(context, stage, table)


def save_answers(context: Run, stage: StageStore, table: pd.DataFrame) -> dict[str, Any]:
    """Write the answers (row, answer, correct) to all questions of a run; says how many are right
    and of which model it is.

    ``accuracy`` is of the graded answers, ``ungraded`` the number of the others, whose grade is
    missing in the table.

    Errors: WorkbenchError where no answer could be graded.
    """
    ungraded = int(table["correct"].isna().sum())
    if ungraded == len(table):
        raise WorkbenchError(
            f"None of the {len(table)} answers could be graded; look at them and give answers or "
            "options that replies can be told by."
        )
    stage.save_table("answers", table)
    return {
        "accuracy": float(table["correct"].mean()),
        "ungraded": ungraded,
        "model_revision": context.lm.revision,
        "template": " ".join(context.lm.notes),
        "precision": context.lm.precision,
    }


def _graded(context: Run, questions: Sequence[Question], table: pd.DataFrame) -> Iterator[Graded]:
    tokenizer = context.lm.tokenizer
    for question, answer, correct in zip(questions, table["answer"], table["correct"], strict=True):
        prompt = tokenizer.decode(
            list(answer_tokens(tokenizer, context.fmt, prompt_text(question)))
        )
        if not pd.isna(correct):
            yield Graded(
                prompt, prompt_text(question), answer, bool(correct), question.id, question.domain
            )


def _given_answers(questions: Sequence[Question], given: Sequence[Graded]) -> pd.DataFrame:
    by_id = dict(zip([question.id for question in graded_questions(given)], given, strict=True))
    own = [by_id[question.id] for question in questions]
    return pd.DataFrame(
        {
            ROW: np.arange(len(own)),
            "answer": [g.answer for g in own],
            "correct": [g.correct for g in own],
        }
    )


def answers(
    context: Run,
    lm: LanguageModel,
    stage: StageStore,
    questions: Sequence[Question],
    rows: NDArray[np.int64],
    description: str,
    most_batches: int | None = None,
    leave: bool = False,
) -> pd.DataFrame:
    """Answers to ``questions[rows]``, or to their first batches: a table of row, answer, correct.

    ``correct`` is missing where the reply could not be graded. A format that asks for reasoning
    adds the column reasoning. ``leave`` keeps the prompts' keys and values for the stage that reads
    confidence.
    """
    config, fmt = context.config, context.fmt
    most = Limits(config.elicit.answer_tokens, config.elicit.reasoning_tokens)

    def compute(batch: NDArray[np.int64]) -> Part:
        chosen = rows[batch]
        texts = [prompt_text(questions[row]) for row in chosen]
        reasonings = reason_batch(lm, fmt, texts, most.reasoning)
        keep = cache_answer_prompts(context, chosen) if leave else None
        replies = answer_batch(lm, answer_prompts(lm, fmt, texts, reasonings), most.answer, keep)
        grades = [
            grade_of(reply, questions[row]) for reply, row in zip(replies, chosen, strict=True)
        ]
        columns = {ROW: chosen, "answer": replies, "correct": graded_column(grades)}
        return Part(
            pd.DataFrame({**columns, "reasoning": reasonings} if fmt.reasoning_prefix else columns),
            {},
        )

    names = [f"question {questions[row].id!r}" for row in rows]
    check_questions(
        lm,
        fmt,
        [prompt_text(questions[row]) for row in rows],
        names,
        most,
        config.model.tokens_per_forward,
    )
    batches = answering_batches(context, opening_tokens(context, [questions[row] for row in rows]))[
        :most_batches
    ]
    return run_parts(stage, batches, compute, description).table


def opening_tokens(context: Run, questions: Sequence[Question]) -> list[tuple[int, ...]]:
    """The tokens that open the reply to each question, without reasoning."""
    return [
        answer_tokens(context.lm.tokenizer, context.fmt, prompt_text(question))
        for question in questions
    ]
