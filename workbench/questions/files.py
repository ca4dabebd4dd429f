"""Questions from JSONL, CSV and parquet files, and back to JSONL.

Fields: ``question`` (text) and ``answers`` (a list; in CSV separated by ``|`` or a JSON list) are required. Optional:
``id`` (default: a hash of the question), ``domain`` (default: the file's name without suffix), ``source`` (default: the
file's name), ``licence`` (default: empty), ``kind`` (``open``, ``numeric``, ``choice``, ``math``; default ``open``), ``answerable``
(default true), ``options`` (a list like ``answers``: the options of a ``choice`` question in the order of their letters, which
``answers`` then names). Other fields are ignored. An answer listed twice is kept once. Text is UTF-8; blank lines are skipped.

A broken row stops the reading with an error that names the file, the line (parquet: the row, counted from 1) and the field.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workbench.errors import WorkbenchError
from workbench.questions.schema import KINDS, Question

REQUIRED = ("question", "answers")
OPTIONAL = ("id", "domain", "source", "licence", "kind", "answerable", "options")
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class _Row:
    """Fields of one row and where they stand, for messages."""

    fields: Mapping[str, Any]
    place: str

    def error(self, field: str, what: str) -> WorkbenchError:
        return WorkbenchError(f"{self.place}: field '{field}' {what}")


def is_question_file(path: Path) -> bool:
    """Whether the name ends as that of a file of questions does."""
    return path.suffix.lower() in _READERS


def read_questions(path: Path) -> list[Question]:
    """Every question of a ``.jsonl``, ``.csv`` or ``.parquet`` file, in order; errors name file, row and field."""
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise WorkbenchError(f"{path}: unknown kind of file; use a name that ends in {', '.join(_READERS)}.")
    if not path.is_file():
        raise WorkbenchError(f"{path}: there is no such file; check the path.")
    questions: list[Question] = []
    places: dict[str, str] = {}
    for row in reader(path):
        question = _question(row, path)
        if question.id in places:
            raise row.error(
                "id", f"is {question.id!r}, already used at {places[question.id]}; give each question its own."
            )
        places[question.id] = row.place
        questions.append(question)
    if not questions:
        raise WorkbenchError(f"{path}: the file holds no questions; add at least one row with question and answers.")
    return questions


def write_questions(path: Path, questions: Sequence[Question]) -> None:
    """Write ``questions`` as JSONL that :func:`read_questions` reads back equal; the file appears whole or not at all."""
    path = Path(path)
    if path.suffix.lower() != ".jsonl":
        raise WorkbenchError(f"{path}: questions are written as JSONL; use a name that ends in .jsonl.")
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(_record(question), ensure_ascii=False) + "\n" for question in questions)
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


def _question(row: _Row, path: Path) -> Question:
    for field in REQUIRED:
        if field not in row.fields:
            raise row.error(field, f"is missing{_similar(field, row.fields)}.")
    text = _text(row, "question", "")
    if not text:
        raise row.error("question", "is empty; write the question's text.")
    answerable = _truth(row)
    kind = _text(row, "kind", "open")
    if kind not in KINDS:
        raise row.error("kind", f"is {kind!r}; use {', '.join(KINDS[:-1])} or {KINDS[-1]}.")
    answers = _answers(row, answerable)
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
            options=tuple(_texts(row, "options")),
        )
    except WorkbenchError as error:
        raise WorkbenchError(f"{row.place}: {error}") from error


def _similar(field: str, found: Mapping[str, Any]) -> str:
    unknown = {str(name).strip().lower(): name for name in found if name not in (*REQUIRED, *OPTIONAL)}
    close = difflib.get_close_matches(field, unknown, n=1, cutoff=0.6)
    return f"; rename {unknown[close[0]]!r} to '{field}'" if close else f" (the row has: {', '.join(map(str, found))})"


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
        raise row.error(field, "holds half of a Unicode character; write the character whole.") from None
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
    if isinstance(item, int | float) and not isinstance(item, bool) and not _is_missing(item):
        item = _digits(item)
    if not isinstance(item, str) or not item.strip():
        raise row.error(field, f"holds {item!r}; each of the {field} is a text that is not blank.")
    return _encodable(row, field, item.strip())


def _digits(number: int | float) -> str:
    """A number as people write it, without an exponent: 0.00001 and not 1e-05."""
    return str(number) if isinstance(number, int) or math.isinf(number) else f"{Decimal(repr(number)):f}"


def _jsonl_rows(path: Path) -> Iterator[_Row]:
    # Only \n ends a line: JSON texts may hold other line separators.
    for number, line in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            fields = json.loads(line.decode())
        except UnicodeDecodeError as error:
            raise WorkbenchError(f"{place}: not UTF-8 text; save the file as UTF-8.") from error
        except (ValueError, RecursionError) as error:
            raise WorkbenchError(f"{place}: not a JSON object ({error}); write one object a line.") from error
        if not isinstance(fields, dict):
            raise WorkbenchError(
                f"{place}: a row is a JSON object with fields question and answers, not {line[:40]!r}."
            )
        yield _Row(fields, place)


def _csv_rows(path: Path) -> Iterator[_Row]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise WorkbenchError(f"{path}: not UTF-8 text at byte {error.start}; save the file as UTF-8.") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for cells in reader:
            place, line = f"{path}, line {line}", reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if header is None:
                header = [cell.strip() for cell in cells]
                _check_header(header, place)
                continue
            yield _csv_row(header, cells, place)
    except csv.Error as error:
        raise WorkbenchError(f"{path}, line {reader.line_num}: not a CSV row ({error}); check its quotes.") from error


def _check_header(header: Sequence[str], place: str) -> None:
    row = _Row(dict.fromkeys(header), place)
    for field in REQUIRED:
        if field not in header:
            raise row.error(field, f"is missing in the header{_similar(field, row.fields)}.")
    twice = next((name for name in header if name and header.count(name) > 1), None)
    if twice is not None:
        raise row.error(twice, "stands twice in the header; remove one column.")


def _csv_row(header: Sequence[str], cells: Sequence[str], place: str) -> _Row:
    if len(cells) != len(header):
        field = header[len(cells)] if len(cells) < len(header) else header[-1]
        raise WorkbenchError(
            f"{place}: field '{field}': the row has {len(cells)} cells and the header {len(header)}; quote texts that "
            "hold a comma."
        )
    row = _Row(dict(zip(header, cells, strict=True)), place)
    lists = {field: _csv_list(row, field) for field in ("answers", "options") if field in row.fields}
    return _Row({**row.fields, **lists}, place)


def _csv_list(row: _Row, field: str) -> list[Any]:
    cell = row.fields[field].strip()
    if not cell.startswith("["):
        return [part for part in cell.split("|") if part.strip()]
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise row.error(field, f"starts with '[' but is not a JSON list ({error}).") from error
    return value


def _parquet_rows(path: Path) -> Iterator[_Row]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise WorkbenchError(f"{path}: not a readable parquet file ({error}); write it again.") from error
    for number, fields in enumerate(table.to_pylist(), start=1):
        yield _Row(fields, f"{path}, row {number}")


_READERS: dict[str, Callable[[Path], Iterator[_Row]]] = {
    ".jsonl": _jsonl_rows,
    ".csv": _csv_rows,
    ".parquet": _parquet_rows,
}
