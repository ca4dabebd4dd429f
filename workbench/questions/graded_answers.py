"""Read and write graded answers as a file that others can use: one JSON object a line.

    {"prompt": "...", "question": "...", "answer": "...", "correct": true, "id": "q1", "domain":
    "capitals"}

``prompt`` is the text the model was given, its chat template's markers included, up to where the
answer begins; ``question`` what was asked in it; ``answer`` the model's; ``correct`` true or false
(1 and 0 are read as well). ``id`` and ``domain`` are optional. CSV, TSV, JSON and parquet tables
with these columns are read as well (grades there also in words: yes/no, right/wrong). The file does
not say how the grade was made; its writer should.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files.writing import write_atomically
from workbench.questions import Question
from workbench.tables import Record, read_records

REQUIRED = ("prompt", "question", "answer", "correct")
OPTIONAL = ("id", "domain")
_WORDS = {
    **dict.fromkeys(("true", "yes", "1", "1.0", "right", "correct"), True),
    **dict.fromkeys(("false", "no", "0", "0.0", "wrong", "incorrect"), False),
}


@dataclass(frozen=True)
class Graded:
    """A graded answer; ``id`` and ``domain`` may be empty."""

    prompt: str
    question: str
    answer: str
    correct: bool
    id: str = ""
    domain: str = ""


def write_graded(path: Path, answers: Iterable[Graded]) -> None:
    """Write ``answers`` to ``path``, one per line; optional fields that are empty are left out."""
    lines = [
        json.dumps(
            {k: v for k, v in asdict(one).items() if v != "" or k in REQUIRED}, ensure_ascii=False
        )
        for one in answers
    ]
    write_atomically(
        path,
        lambda temporary: temporary.write_text("".join(f"{line}\n" for line in lines), "utf-8"),
    )


def read_graded(path: Path) -> list[Graded]:
    """Read the answers in ``path``.

    Raises:
        WorkbenchError: naming file, line and field for what is missing, unknown or of the wrong
            kind, and for an empty file.
    """
    records = read_records(path)
    for note in records.notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    answers = [_graded(record) for record in records]
    if not answers:
        raise WorkbenchError(f"{path} holds no graded answers; write one JSON object a line.")
    return answers


def graded_questions(answers: Sequence[Graded]) -> list[Question]:
    """Return the questions that ``answers`` are about, one each, in their order; ids that are
    missing are numbers from 1.

    Accepted answers are not in the file, so replies to these questions cannot be graded.
    """
    return [
        Question(
            id=one.id or str(number),
            text=one.question,
            answers=(one.answer.strip() or "?",),
            domain=one.domain or "graded",
            source="graded answers",
            licence="",
        )
        for number, one in enumerate(answers, start=1)
    ]


def _graded(record: Record) -> Graded:
    found, place = record.fields, record.place
    for name in REQUIRED:
        if name not in found:
            raise WorkbenchError(f"{place}: the field {name!r} is missing.")
    unknown = sorted(set(found) - {*REQUIRED, *OPTIONAL})
    if unknown:
        raise WorkbenchError(
            f"{place}: unknown field {unknown[0]!r}; the fields are "
            f"{', '.join(REQUIRED + OPTIONAL)}."
        )
    texts = {
        name: _text(found[name], name, place)
        for name in (*REQUIRED[:3], *OPTIONAL)
        if name in found
    }
    return Graded(correct=_grade(found["correct"], place, record.text), **texts)


def _text(value: Any, name: str, place: str) -> str:
    if value is None and name in OPTIONAL:
        return ""
    # Ids of a typed table may be numbers.
    if name == "id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise WorkbenchError(f"{place}: the field {name!r} must be text, it is {value!r}.")
    return value


def _grade(value: Any, place: str, text: bool) -> bool:
    if text:
        value = _WORDS.get(value.strip().lower(), value)
    if isinstance(value, bool) or (isinstance(value, int | float) and value in (0, 1)):
        return bool(value)
    raise WorkbenchError(f"{place}: the field 'correct' must be true or false, it is {value!r}.")
