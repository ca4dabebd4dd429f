"""Stages that talk to the model: choose questions, answer them, read confidence and states."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.config import RunConfig
from workbench.elicit.answer import Limits, answer_batch, answer_prompts, reason_batch
from workbench.elicit.conversation import (
    POSITIONS,
    Conversation,
    answer_tokens,
    check_conversation,
    confidence_conversation,
)
from workbench.elicit.lengths import check_lengths, check_questions
from workbench.elicit.readout import (
    ConfidenceReading,
    expected_confidence,
    mass_on_scale,
    read_confidence,
    stated_tokens,
)
from workbench.errors import WorkbenchError
from workbench.loop.context import Context
from workbench.loop.leaving import Beginnings, answering_batches, beginnings, keeping, keeping_prompts
from workbench.models import LanguageModel
from workbench.questions import (
    Grade,
    Question,
    Side,
    asked,
    grade_of,
    in_form,
    questions_from,
    sample_questions,
    split_questions,
)
from workbench.store import ROW, Part, StageStore, run_parts
from workbench.teach.graded import Graded, graded_questions, read_graded, write_graded
from workbench.trace.batches import plan_batches

UNGRADED = "ungraded"


def choose_questions(context: Context, stage: StageStore) -> dict[str, Any]:
    """Draw the run's questions and fix their split before anything is fitted."""
    return save_questions(stage, *drawn_questions(context.config))


def drawn_questions(config: RunConfig) -> tuple[list[Question], dict[str, Side]]:
    """The questions of a run in their order, and their sides by id; no model is needed."""
    settings, seed = config.questions, config.seed
    if settings.graded is not None:
        pool = graded_questions(read_graded(settings.graded))
    else:
        pool = in_form(questions_from(settings.source, settings.mirror), settings.form, settings.options, seed)
    chosen = sample_questions(_of_domains(pool, settings.domains), settings.limit, seed)
    split = split_questions(chosen, settings.train_fraction)
    split |= dict.fromkeys(_held_out(chosen, settings.held_out_domains), "test")
    return chosen, split


def save_questions(stage: StageStore, questions: Sequence[Question], split: Mapping[str, Side]) -> dict[str, Any]:
    """Write a run's questions, numbered in their order, with their sides by id."""
    table = pd.DataFrame(
        {
            ROW: np.arange(len(questions)),
            "id": [q.id for q in questions],
            "question": [q.text for q in questions],
            "answers": [json.dumps(list(q.answers), ensure_ascii=False) for q in questions],
            "domain": [q.domain for q in questions],
            "source": [q.source for q in questions],
            "licence": [q.licence for q in questions],
            "kind": [q.kind for q in questions],
            "answerable": [q.answerable for q in questions],
            "options": [json.dumps(list(q.options), ensure_ascii=False) for q in questions],
            "split": [split[q.id] for q in questions],
        }
    )
    stage.save_table("questions", table)
    return {"questions": len(table), "train": int((table["split"] == "train").sum())}


def _of_domains(pool: Sequence[Question], domains: Sequence[str]) -> list[Question]:
    """The questions of ``domains``, each of which must occur; of all where none is named."""
    _check_domains("domains", pool, domains)
    return [question for question in pool if not domains or question.domain in domains]


def _held_out(questions: Sequence[Question], domains: Sequence[str]) -> list[str]:
    """Ids of the questions of ``domains``, each of which must occur, and not alone."""
    there = _check_domains("held_out_domains", questions, domains)
    if domains and there <= set(domains):
        raise _domains_error("held_out_domains", "no domain would be left to teach from", there)
    return [question.id for question in questions if question.domain in domains]


def _check_domains(setting: str, questions: Sequence[Question], domains: Sequence[str]) -> set[str]:
    there = {question.domain for question in questions}
    unknown = sorted(set(domains) - there)
    if unknown:
        raise _domains_error(setting, f"there is no domain {unknown[0]!r}", there)
    return there


def _domains_error(setting: str, what: str, there: set[str]) -> WorkbenchError:
    return WorkbenchError(f"questions.{setting}: {what}; the domains are {', '.join(sorted(there))}.")


def load_questions(context: Context) -> tuple[pd.DataFrame, list[Question]]:
    """The run's question table and the same rows as Question objects.

    ``side`` is the side of the split a question was drawn for. ``split`` is the same, but ``ungraded`` once the answer to it has been
    given and could not be graded: neither fitting nor measuring chooses such a row, and every row keeps its number.
    """
    table = context.stage("questions").table("questions")
    table["side"] = table["split"]
    if "answer" in context.keys and (answered := context.stage("answer")).done:
        graded = answered.table("answers").set_index(ROW)["correct"].notna()
        table["split"] = table["split"].where(table[ROW].map(graded).fillna(True).astype(bool), UNGRADED)
    questions = [
        Question(
            id=row["id"],
            text=row["question"],
            answers=tuple(json.loads(row["answers"])),
            domain=row["domain"],
            source=row["source"],
            licence=row["licence"],
            kind=row["kind"],
            answerable=bool(row["answerable"]),
            options=tuple(json.loads(row["options"])),
        )
        for row in table.to_dict("records")
    ]
    return table, questions


def questions_and_answers(context: Context, rows: NDArray[np.int64]) -> tuple[list[str], list[str]]:
    """What was asked in ``rows``, as text, and the base model's answers."""
    _, questions = load_questions(context)
    answered = context.stage("answer").table("answers")["answer"]
    return [asked(questions[row]) for row in rows], answered.loc[rows.tolist()].tolist()


def right_answers(context: Context, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the run's answers to ``rows`` are right.

    Errors: WorkbenchError where one of them could not be graded, which is a mistake of the caller.
    """
    correct = context.stage("answer").table("answers").set_index(ROW)["correct"].loc[rows.tolist()]
    if correct.isna().any():
        raise WorkbenchError(
            "An ungraded answer is neither right nor wrong; choose rows by the split of load_questions."
        )
    return correct.to_numpy(dtype=bool)


def graded_column(grades: Sequence[Grade]) -> pd.Series[bool]:
    """Grades as a table's column: true, false, or missing where the reply could not be graded."""
    return pd.Series([grade.correct for grade in grades], dtype="boolean")


def answer_questions(context: Context, stage: StageStore) -> dict[str, Any]:
    """Greedy answers of the base model to every question, graded; or those of a file of graded answers."""
    _, questions = load_questions(context)
    rows, given = np.arange(len(questions)), context.config.questions.graded
    if given is None:
        table = answers(context, context.lm, stage, questions, rows, "answering", leave=True)
        write_graded(stage.folder / "graded.jsonl", _graded(context, questions, table))
    else:
        table = _given_answers(questions, read_graded(given))
    return save_answers(context, stage, table)


def save_answers(context: Context, stage: StageStore, table: pd.DataFrame) -> dict[str, Any]:
    """Write the answers (row, answer, correct) to all questions of a run; says how many are right and of which model it is.

    ``accuracy`` is of the graded answers, ``ungraded`` the number of the others, whose grade is missing in the table.

    Errors: WorkbenchError where no answer could be graded.
    """
    ungraded = int(table["correct"].isna().sum())
    if ungraded == len(table):
        raise WorkbenchError(
            f"None of the {len(table)} answers could be graded; look at them and give answers or options that replies can be told by."
        )
    stage.save_table("answers", table)
    return {
        "accuracy": float(table["correct"].mean()),
        "ungraded": ungraded,
        "model_revision": context.lm.revision,
        "template": " ".join(context.lm.notes),
        "precision": context.lm.precision,
    }


def _graded(context: Context, questions: Sequence[Question], table: pd.DataFrame) -> Iterator[Graded]:
    tokenizer = context.lm.tokenizer
    for question, answer, correct in zip(questions, table["answer"], table["correct"], strict=True):
        prompt = tokenizer.decode(list(answer_tokens(tokenizer, context.fmt, asked(question))))
        if not pd.isna(correct):
            yield Graded(prompt, asked(question), answer, bool(correct), question.id, question.domain)


def _given_answers(questions: Sequence[Question], given: Sequence[Graded]) -> pd.DataFrame:
    by_id = dict(zip([question.id for question in graded_questions(given)], given, strict=True))
    own = [by_id[question.id] for question in questions]
    return pd.DataFrame(
        {ROW: np.arange(len(own)), "answer": [g.answer for g in own], "correct": [g.correct for g in own]}
    )


def answers(
    context: Context,
    lm: LanguageModel,
    stage: StageStore,
    questions: Sequence[Question],
    rows: NDArray[np.int64],
    description: str,
    most_batches: int | None = None,
    leave: bool = False,
) -> pd.DataFrame:
    """Answers to ``questions[rows]``, or to their first batches: a table of row, answer, correct.

    ``correct`` is missing where the reply could not be graded. A format that asks for reasoning adds the column reasoning. ``leave`` keeps the prompts' keys and values for the stage that
    reads confidence.
    """
    config, fmt = context.config, context.fmt
    most = Limits(config.elicit.answer_tokens, config.elicit.reasoning_tokens)

    def compute(batch: NDArray[np.int64]) -> Part:
        chosen = rows[batch]
        texts = [asked(questions[row]) for row in chosen]
        reasonings = reason_batch(lm, fmt, texts, most.reasoning)
        keep = keeping_prompts(context, chosen) if leave else None
        replies = answer_batch(lm, answer_prompts(lm, fmt, texts, reasonings), most.answer, keep)
        grades = [grade_of(reply, questions[row]) for reply, row in zip(replies, chosen, strict=True)]
        columns = {ROW: chosen, "answer": replies, "correct": graded_column(grades)}
        return Part(pd.DataFrame({**columns, "reasoning": reasonings} if fmt.reasoning_prefix else columns), {})

    names = [f"question {questions[row].id!r}" for row in rows]
    check_questions(lm, fmt, [asked(questions[row]) for row in rows], names, most, config.model.tokens_per_batch)
    batches = answering_batches(context, _opened(context, [questions[row] for row in rows]))[:most_batches]
    return run_parts(stage, batches, compute, description).table


def _opened(context: Context, questions: Sequence[Question]) -> list[tuple[int, ...]]:
    """The tokens that open the reply to each question, without reasoning."""
    return [answer_tokens(context.lm.tokenizer, context.fmt, asked(question)) for question in questions]


def elicit(context: Context, stage: StageStore) -> dict[str, Any]:
    """Confidence of the base model in its answers, with the states of every layer."""
    conversations = conversations_of(context)
    table, questions = load_questions(context)
    said = list(_answered(context))
    for row in table.groupby("domain").head(1)[ROW]:
        check_conversation(context.lm.tokenizer, context.fmt, context.numbers, asked(questions[row]), *said[row])

    lengths = [len(conversation.tokens) for conversation in conversations]
    to_come = stated_tokens(context.numbers)
    check_lengths(
        context.lm,
        [length + to_come for length in lengths],
        [f"question {q.id!r}" for q in questions],
        context.config.model.tokens_per_batch,
    )
    begun = begun_conversations(context, conversations)

    def reading(rows: NDArray[np.int64]) -> ConfidenceReading:
        chosen = [conversations[row] for row in rows]
        kept = None if begun is None else begun.kept(rows)
        return read_confidence(context.lm, chosen, context.numbers, POSITIONS, keeping(context, rows), kept)

    return read(context, stage, np.arange(len(conversations)), lengths, reading, "reading confidence")


def begun_conversations(context: Context, conversations: Sequence[Conversation]) -> Beginnings | None:
    """What answering left of the conversations, where they go on from it."""
    _, questions = load_questions(context)
    texts = [asked(question) for question in questions]
    prompts = answer_prompts(context.lm, context.fmt, texts, [reasoning for _, reasoning in _answered(context)])
    return beginnings(context, _opened(context, questions), prompts, conversations)


def reading_batches(context: Context, lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    """The batches in which confidence is read from conversations of ``lengths`` tokens."""
    return plan_batches(lengths, context.config.model.tokens_per_batch, len(context.numbers.trie.scored_tokens))


def conversations_of(context: Context) -> list[Conversation]:
    """The confidence conversation of every question with the base model's answer."""
    _, questions = load_questions(context)
    numbers = context.numbers
    return [
        confidence_conversation(context.lm.tokenizer, context.fmt, numbers, asked(question), answer, reasoning)
        for question, (answer, reasoning) in zip(questions, _answered(context), strict=True)
    ]


def _answered(context: Context) -> Iterator[tuple[str, str]]:
    """Answer and reasoning of every question."""
    table = context.stage("answer").table("answers")
    reasoning = table["reasoning"] if "reasoning" in table else [""] * len(table)
    return zip(table["answer"], reasoning, strict=True)


def read(
    context: Context,
    stage: StageStore,
    rows: NDArray[np.int64],
    lengths: Sequence[int],
    reading: Callable[[NDArray[np.int64]], ConfidenceReading],
    description: str,
) -> dict[str, Any]:
    """Read confidence of ``rows`` batch by batch and save the table "confidence" and the tensors "readings".

    Args:
        lengths: [rows] tokens each row costs, without the number trie.
    """
    scale = context.fmt.scale

    def compute(batch: NDArray[np.int64]) -> Part:
        chosen = rows[batch]
        read_now = reading(chosen)
        best = np.asarray(scale.values)[read_now.distribution.argmax(axis=-1)] / scale.certain
        table = pd.DataFrame(
            {
                ROW: chosen,
                "stated_text": read_now.stated_text,
                "stated": read_now.stated,
                "expected": expected_confidence(read_now.distribution, scale.values, scale.certain),
                "argmax": best,
                "mass": mass_on_scale(read_now.distribution),
            }
        )
        states = {} if read_now.states is None else {"states": read_now.states}
        return Part(table, {"distribution": read_now.distribution, **states})

    batches = reading_batches(context, lengths)
    part = run_parts(stage, batches, compute, description)
    stage.save_tensors("readings", part.tensors)
    stage.save_table("confidence", part.table)
    return {"parse_rate": float(part.table["stated"].notna().mean())}
