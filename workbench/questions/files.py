"""Read questions from JSON lines, JSON, CSV, TSV and parquet files, and write them as JSON lines.

Fields: ``question`` (text) and ``answers`` (a list; in CSV separated by ``|`` or a JSON list) are
required. Optional: ``id`` (default: a hash of the question), ``domain`` (default: the file's name
without suffix), ``source`` (default: the file's name), ``licence`` (default: empty), ``kind``
(``open``, ``numeric``, ``choice``, ``math``; default ``open``), ``answerable`` (default true),
``options`` (a list like ``answers``: the options of a ``choice`` question in the order of their
letters, which ``answers`` then names; without them its text shows lettered lines). Other fields are
ignored, unless their name is a usual one for a field that is missing: then the rename is asked for.
An answer listed twice is kept once. Blank lines are skipped.

A broken row stops the reading with an error that names the file, the line (parquet: the row,
counted from 1) and the field. A warning names what had to be detected (a separator other than the
comma, an encoding other than UTF-8).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from workbench.errors import WorkbenchError
from workbench.questions.normalise import choice_letter
from workbench.questions.schema import KINDS, Question
from workbench.questions.synonyms import FIELDS, misnamed
from workbench.tables import ENDINGS, Record, read_records

REQUIRED = ("question", "answers")
_LISTS = ("answers", "options")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


class _Row:
    """The fields of one row and their place in the file, for messages."""

    def __init__(self, record: Record) -> None:
        self.fields: Mapping[str, Any] = record.fields
        self.place = record.place
        if record.text:
            self.fields = {
                **record.fields,
                **{name: _split(self, name) for name in _LISTS if name in record.fields},
            }

    def error(self, field: str, what: str) -> WorkbenchError:
        return WorkbenchError(f"{self.place}: field '{field}' {what}")


def is_question_file(path: Path) -> bool:
    """Return whether the name has the ending of a file of questions."""
    return path.suffix.lower() in ENDINGS


def read_questions(path: Path) -> list[Question]:
    """Read every question of a file, in order.

    Raises:
        WorkbenchError: for a file without questions, and for a broken row; it names file, row and
            field.
    """
    path = Path(path)
    records = read_records(path, FIELDS)
    for note in records.notes:
        warnings.warn(f"{path}: {note}", stacklevel=2)
    if records.header:
        _check_names(
            _Row(Record(dict.fromkeys(records.header), records.header_place)), " in the header"
        )
    questions: list[Question] = []
    places: dict[str, str] = {}
    for record in records:
        row = _Row(record)
        question = _question(row, path)
        if question.id in places:
            raise row.error(
                "id",
                f"is {question.id!r}, already used at {places[question.id]}; give each question "
                "its own.",
            )
        places[question.id] = row.place
        questions.append(question)
    if not questions:
        raise WorkbenchError(
            f"{path}: the file holds no questions; add at least one row with question and answers."
        )
    return questions


def write_questions(path: Path, questions: Sequence[Question]) -> None:
    """Write ``questions`` as JSONL that :func:`read_questions` reads back equal. The file appears
    whole or not at all.

    Raises:
        WorkbenchError: for a name that does not end in .jsonl.
    """
    path = Path(path)
    if path.suffix.lower() != ".jsonl":
        raise WorkbenchError(
            f"{path}: questions are written as JSONL; use a name that ends in .jsonl."
        )
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(
                json.dumps(_record(question), ensure_ascii=False) + "\n" for question in questions
            )
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _record(question: Question) -> dict[str, Any]:
    record: dict[str, Any] = {
        "id": question.id,
        "question": question.text,
        "answers": list(question.answers),
        "domain": question.domain,
        "source": question.source,
        "licence": question.licence,
        "kind": question.kind,
    }
    if not question.answerable:
        record["answerable"] = False
    if question.options:
        record["options"] = list(question.options)
    return record


def _check_names(row: _Row, where: str = "") -> None:
    wrong = misnamed(row.fields)
    for field in REQUIRED:
        if field not in row.fields:
            hint = (
                f"; {wrong[2]}"
                if wrong and wrong[0] == field
                else f" (the row has: {', '.join(map(str, row.fields))})"
            )
            raise row.error(field, f"is missing{where}{hint}.")
    if wrong is not None:
        field, name, mend = wrong
        raise row.error(
            field,
            f"is missing{where} while there is {name!r}; {mend}, or to a name of its own if it is "
            "something else.",
        )


def _question(row: _Row, path: Path) -> Question:
    _check_names(row)
    text = _text(row, "question", "")
    if not text:
        raise row.error("question", "is empty; write the question's text.")
    answerable = _truth(row)
    kind = _text(row, "kind", "open")
    if kind not in KINDS:
        raise row.error("kind", f"is {kind!r}; use {', '.join(KINDS[:-1])} or {KINDS[-1]}.")
    answers, options = _answers(row, answerable), tuple(_texts(row, "options"))
    if kind == "choice" and not options:
        _check_lettered(row, text, answers)
    try:
        return Question(
            id=_text(row, "id", f"q-{hashlib.sha256(text.encode()).hexdigest()[:12]}"),
            text=text,
            answers=answers,
            domain=_text(row, "domain", path.stem),
            source=_text(row, "source", path.name),
            licence=_text(row, "licence", ""),
            kind=kind,  # type: ignore[arg-type]
            answerable=answerable,
            options=options,
        )
    except WorkbenchError as error:
        raise WorkbenchError(f"{row.place}: {error}") from error


def _check_lettered(row: _Row, text: str, answers: Sequence[str]) -> None:
    """Refuse a choice without ``options`` whose text shows no lines with letters, or not those of
    its answers.

    Raises:
        WorkbenchError: for such a choice.
    """
    # The package of that module loads models' libraries.
    from workbench.questions.option_lines import choice_of

    letters = ascii_uppercase[: len(choice_of(text).texts)]
    if not letters:
        raise row.error(
            "options",
            "is missing: the question is a choice and its text shows no lines 'A. ...', 'B. ...'; "
            "list its options.",
        )
    beyond = [
        answer
        for answer in answers
        if (letter := choice_letter(answer)) is not None and letter not in letters
    ]
    if beyond:
        raise row.error(
            "answers",
            f"holds {beyond[0]!r}; the options in the text are {letters[0]} to {letters[-1]}.",
        )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _text(row: _Row, field: str, default: str) -> str:
    value = row.fields.get(field)
    if _is_missing(value):
        return default
    if field == "id" and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise row.error(field, f"is {value!r}; write text.")
    return _encodable(row, field, value.strip()) or default


def _encodable(row: _Row, field: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise row.error(
            field, "holds half of a Unicode character; write the character whole."
        ) from None
    return value


def _truth(row: _Row) -> bool:
    value = row.fields.get("answerable")
    if isinstance(value, str):
        value = _TRUTH.get(value.strip().lower(), None if not value.strip() else value)
    if _is_missing(value):
        return True
    if not isinstance(value, bool):
        raise row.error("answerable", f"is {value!r}; write true or false.")
    return value


def _answers(row: _Row, answerable: bool) -> tuple[str, ...]:
    answers = _texts(row, "answers")
    if answerable and not answers:
        raise row.error("answers", "is empty; list an accepted answer or set answerable to false.")
    return tuple(dict.fromkeys(answers))


def _texts(row: _Row, field: str) -> list[str]:
    value = row.fields.get(field)
    if _is_missing(value):
        return []
    if not isinstance(value, list):
        raise row.error(field, f"is {value!r}; write a list of {field}.")
    return [_item(row, field, item) for item in value]


def _item(row: _Row, field: str, item: Any) -> str:
    if isinstance(item, int) and not isinstance(item, bool):
        item = str(item)
    elif isinstance(item, float) and math.isfinite(item):
        # As a person writes it: 0.00001, not 1e-05, which no reply holds.
        item = f"{Decimal(repr(float(item))):f}"
    if not isinstance(item, str) or not item.strip():
        raise row.error(field, f"holds {item!r}; each of the {field} is a text that is not blank.")
    return _encodable(row, field, item.strip())


def _split(row: _Row, field: str) -> list[Any]:
    """Return the list that a cell of text holds.

    Raises:
        WorkbenchError: for a cell that begins like a JSON list and is none.
    """
    cell = row.fields[field].strip()
    if not cell.startswith("["):
        return [part for part in cell.split("|") if part.strip()]
    try:
        return json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise row.error(field, f"starts with '[' but is not a JSON list ({error}).") from error
