"""Find a run's questions and their form, by name.

A source is ``builtin``, the name of a hub set with or without a split (``triviaqa``,
``mmlu:validation``), or the path of a JSON lines, JSON, CSV, TSV or parquet file. A form is
``published`` (as they are), ``choice`` (every question among options; open ones get distractors of
their domain) or ``open`` (choice questions without their options; those that cannot be asked so are
left out). Options are shuffled by seed in every form that has them.

In a fingerprint a hub set counts by its row and split, not by what the hub holds today.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Literal

from workbench.errors import WorkbenchError
from workbench.questions.builtin import builtin_questions
from workbench.questions.choice import open_variant, shuffled, stands_alone
from workbench.questions.distractors import choice_questions
from workbench.questions.files import is_question_file, read_questions
from workbench.questions.hub import HUB_SETS, hub_questions, hub_set
from workbench.questions.schema import Question
from workbench.tables import read_regular

BUILTIN = "builtin"
Form = Literal["published", "choice", "open"]


def questions_from(source: str, mirror: Path | None = None) -> list[Question]:
    """Return every question of ``source``.

    Args:
        mirror: folder with hub repositories under their ids, for machines without a network.
    """
    if source == BUILTIN:
        return builtin_questions()
    name, _, split = source.partition(":")
    if name in HUB_SETS:
        return hub_questions(HUB_SETS[name], split or None, mirror)
    return read_questions(_file(source))


def source_content(source: str, mirror: Path | None = None) -> bytes:
    """Return the content that decides the questions of ``source``: a file's bytes, or the row of a
    hub set and where it is read from.

    Raises:
        WorkbenchError: where a file cannot be read.
    """
    if source == BUILTIN:
        return (files("workbench.questions.builtin") / "questions.jsonl").read_bytes()
    name, _, split = source.partition(":")
    if name in HUB_SETS:
        row = HUB_SETS[name]
        place = (
            row.hub,
            row.configuration,
            row.folder,
            row.revision,
            split or row.split,
            str(mirror or ""),
        )
        return repr(place).encode()
    return read_regular(_file(source))


def in_form(questions: Sequence[Question], form: Form, options: int, seed: int) -> list[Question]:
    """Return the questions in one form.

    Args:
        options: how many, for open questions asked as choices.
        seed: seed of distractors and of the order of options.

    Raises:
        WorkbenchError: if no question can be asked in this form.
    """
    if form == "choice":
        return choice_questions(questions, options, seed)
    if form == "published":
        return [shuffled(question, seed) for question in questions]
    kept = [open_variant(question) for question in questions if stands_alone(question)]
    if not kept:
        raise WorkbenchError(
            "None of the questions can be asked without its options; set "
            "questions.ask_as=published."
        )
    if len(kept) < len(questions):
        warnings.warn(
            f"{len(questions) - len(kept)} of {len(questions)} questions cannot be asked without "
            "their options and are "
            "left out.",
            stacklevel=2,
        )
    return kept


def _file(source: str) -> Path:
    """Return the path that ``source`` names.

    Raises:
        WorkbenchError: for an empty name, and for a name of no known set.
    """
    if not source.strip():
        raise WorkbenchError(
            "the source of the questions is empty; give 'builtin', the name of a hub set or a file."
        )
    path = Path(source).expanduser()
    if not is_question_file(path) and not os.path.lexists(path) and path.name == source:
        hub_set(source.partition(":")[0])
    return path
