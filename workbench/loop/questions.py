"""Choose which questions a run asks and which of them are held out, before anything is fitted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.config import RunConfig
from workbench.loop.run import Run
from workbench.pipeline.store import ROW, StageStore
from workbench.questions import (
    Question,
    Side,
    sample_questions,
    split_questions,
)
from workbench.questions.choose import (
    check_domains,
    choose_from_source,
    domains_error,
    questions_of_domains,
)
from workbench.questions.graded_answers import graded_questions, read_graded

UNGRADED = "ungraded"


def choose_questions(context: Run, stage: StageStore) -> dict[str, Any]:
    """Draw the run's questions and fix their split before anything is fitted."""
    return save_questions(stage, *drawn_questions(context.config))


def drawn_questions(config: RunConfig) -> tuple[list[Question], dict[str, Side]]:
    """Return the questions of a run in their order, and their sides by id; no model is needed."""
    settings, seed = config.questions, config.seed
    if settings.graded_file is not None:
        pool = graded_questions(read_graded(settings.graded_file))
        chosen = sample_questions(
            questions_of_domains(pool, settings.domains), settings.limit, seed, settings.skip
        )
    else:
        chosen = choose_from_source(
            settings.source,
            form=settings.ask_as,
            options=settings.options,
            domains=settings.domains,
            limit=settings.limit,
            seed=seed,
            mirror=settings.mirror,
            skip=settings.skip,
        )
    split = split_questions(chosen, settings.train_fraction)
    split |= dict.fromkeys(_held_out(chosen, settings.held_out_domains), "test")
    return chosen, split


def save_questions(
    stage: StageStore, questions: Sequence[Question], split: Mapping[str, Side]
) -> dict[str, Any]:
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


def _held_out(questions: Sequence[Question], domains: Sequence[str]) -> list[str]:
    """Return the ids of the questions of ``domains``, each of which must occur, and not alone.

    Raises:
        WorkbenchError: for an unknown domain, and if no domain is left to train on.
    """
    there = check_domains("held_out_domains", questions, domains)
    if domains and there <= set(domains):
        raise domains_error("held_out_domains", "no domain would be left to teach from", there)
    return [question.id for question in questions if question.domain in domains]


def load_questions(context: Run) -> tuple[pd.DataFrame, list[Question]]:
    """Read the run's question table, and the same rows as Question objects.

    ``side`` is the side of the split a question was drawn for. ``split`` is the same, but
    ``ungraded`` once the answer to it has been given and could not be graded: neither fitting nor
    measuring uses such a row, and every row keeps its number. The files are parsed once as long as
    they do not change.
    """
    stage, answered = context.stage("questions"), None
    if "answer" in context.keys and context.stage("answer").done:
        answered = context.stage("answer")
    state = (
        _identity(stage.folder / "questions.parquet"),
        None if answered is None else _identity(answered.folder / "answers.parquet"),
    )
    if state not in context.parsed_questions:
        context.parsed_questions.clear()
        context.parsed_questions[state] = _parse_questions(stage, answered)
    table, questions = context.parsed_questions[state]
    return table.copy(), list(questions)


def held_out_rows(context: Run) -> NDArray[np.int64]:
    """Return the numbers of the run's held-out questions."""
    table, _ = load_questions(context)
    return np.flatnonzero(table["split"] == "test")


def _identity(path: Path) -> tuple[str, int, int, int]:
    """Return values of a file that change when it is written anew."""
    found = path.stat()
    return str(path), found.st_ino, found.st_mtime_ns, found.st_size


def _parse_questions(
    stage: StageStore, answered: StageStore | None
) -> tuple[pd.DataFrame, list[Question]]:
    table = stage.table("questions")
    table["side"] = table["split"]
    if answered is not None:
        graded = answered.table("answers").set_index(ROW)["correct"].notna()
        table["split"] = table["split"].where(
            table[ROW].map(graded).fillna(True).astype(bool), UNGRADED
        )
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


def spread_rows(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return at most ``most`` of ``rows``, spread evenly, first and last included."""
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.int64)]
