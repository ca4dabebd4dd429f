"""Answer and grade the run's questions, and read the table of answers for other stages."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.answer_table import THOUGHT, answer_rows, truncated_thoughts, ungraded_replies
from workbench.elicit.ask import GivenAnswer, answers_with_reasoning
from workbench.elicit.conversation import answer_tokens
from workbench.elicit.defaults import limits_of
from workbench.errors import WorkbenchError
from workbench.loop.kv_cache import cache_answer_prompts
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.models.dtype import dtype_name
from workbench.models.quantisation import quantisation_name
from workbench.pipeline.store import ROW, StageStore, run_parts
from workbench.questions import Question, grade_of, prompt_text
from workbench.questions.graded_answers import Graded, graded_questions, read_graded, write_graded


def questions_and_answers(context: Run, rows: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """Return the texts of the questions in ``rows``, and the base model's answers."""
    _, questions = load_questions(context)
    answered = context.stage("answer").table("answers")["answer"]
    return [prompt_text(questions[row]) for row in rows], answered.loc[rows.tolist()].tolist()


def given_answers(context: Run) -> list[GivenAnswer]:
    """Read answer, reasoning and thoughts of every question."""
    return answers_with_reasoning(context.stage("answer").table("answers"))


def right_answers(context: Run, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether the run's answers to ``rows`` are right.

    Raises:
        WorkbenchError: where one of them could not be graded, which is a mistake of the caller.
    """
    correct = context.stage("answer").table("answers").set_index(ROW)["correct"].loc[rows.tolist()]
    if correct.isna().any():
        raise WorkbenchError(
            "An ungraded answer is neither right nor wrong; choose rows by the split of "
            "load_questions."
        )
    return correct.to_numpy(dtype=bool)


def answer_likelihoods(context: Run, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean log-probability of the tokens of the run's answers to ``rows``.

    Raises:
        WorkbenchError: for answers that came from a file, of which none is known.
    """
    answered = context.stage("answer").table("answers").set_index(ROW)
    if "log_probability" not in answered:
        raise WorkbenchError(
            "Answers from questions.graded_file have no likelihood; take a run that answered its "
            "questions itself."
        )
    return answered["log_probability"].loc[rows.tolist()].to_numpy(dtype=np.float64)


def answer_questions(context: Run, stage: StageStore) -> dict[str, Any]:
    """Answer every question greedily with the base model and grade the answers, or take those of a
    file of graded answers.
    """
    _, questions = load_questions(context)
    rows, given = np.arange(len(questions)), context.config.questions.graded_file
    if given is None:
        # Positions in a thought are recorded later, so its keys are not kept.
        leave = not context.fmt.thinking
        table = answers(context, context.lm, stage, questions, rows, "answering", leave=leave)
        write_graded(stage.folder / "graded.jsonl", _graded(context, questions, table))
    else:
        table = _given_answers(questions, read_graded(given))
    return save_answers(context, stage, table)


def save_answers(context: Run, stage: StageStore, table: pd.DataFrame) -> dict[str, Any]:
    """Write the answers (row, answer, correct) to all questions of a run; return how many are right
    and which model gave them.

    ``accuracy`` is of the graded answers, ``ungraded`` the number of replies whose grade is missing
    in the table, without those after a truncated thought: ``truncated`` counts these, by column.

    Raises:
        WorkbenchError: where no answer could be graded.
    """
    truncated = truncated_thoughts(table)
    if table["correct"].isna().all():
        raise nothing_graded(table)
    stage.save_table("answers", table)
    return {
        "accuracy": float(table["correct"].mean()),
        "ungraded": ungraded_replies(table),
        **({"truncated": truncated} if truncated else {}),
        "model_revision": context.lm.revision,
        "template": " ".join(context.lm.notes),
        "precision": context.lm.precision,
        "dtype": dtype_name(context.lm.dtype),
        "quantisation": quantisation_name(context.lm),
    }


def nothing_graded(table: pd.DataFrame) -> WorkbenchError:
    """Return the error for answers none of which could be graded."""
    cut = truncated_thoughts(table).get(THOUGHT, 0)
    if cut == len(table):
        return WorkbenchError(
            f"All {cut} thoughts were cut before their end, so no answer could be graded; raise "
            "elicit.thinking_tokens."
        )
    return WorkbenchError(
        f"None of the {len(table)} answers could be graded; look at them and give answers or "
        "options that replies can be told by."
    )


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
    """Answer ``questions[rows]``, or their first batches, as
    :func:`workbench.elicit.answer_table.answer_rows` does, and keep each batch in ``stage``.

    ``leave`` keeps the prompts' keys and values for the stage that reads confidence.
    """
    config = context.config
    return answer_rows(
        lm,
        context.fmt,
        [prompt_text(question) for question in questions],
        rows,
        grade=lambda row, reply: grade_of(reply, questions[row]).correct,
        limits=limits_of(config.elicit),
        tokens_per_forward=config.model.tokens_per_forward,
        names=[f"question {questions[row].id!r}" for row in rows],
        run=partial(run_parts, stage),
        description=description,
        keep=partial(cache_answer_prompts, context) if leave else None,
        most_batches=most_batches,
    )
