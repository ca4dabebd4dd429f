"""Read JSON lines, or one list of objects, as rows. A name written twice in an object is an error,
as two columns of one name are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.tables.source import read_text, undecodable

MOST_LIST = 512 * 2**20


def json_lines(path: Path) -> tuple[Iterator[tuple[str, dict[str, Any]]], tuple[str, ...]]:
    """Read place and fields of each line's object, and notes; blank lines are skipped."""
    data, encoding = read_text(path)
    return _lines(path, data), _notes(encoding)


def json_list(path: Path) -> tuple[Iterator[tuple[str, dict[str, Any]]], tuple[str, ...]]:
    """Read place and fields of each object of a file that holds one list, or of each line's object
    where it holds none.
    """
    data, encoding = read_text(path, most=MOST_LIST, most_line=None)
    if not data.lstrip().startswith(b"["):
        return _lines(path, data), _notes(encoding)
    found = _loaded(data, path, f"{path}", "write a list of objects.")
    return (
        (f"{path}, item {number}", _fields(item, f"{path}, item {number}"))
        for number, item in enumerate(found, 1)
    ), (_notes(encoding))


def _notes(encoding: str) -> tuple[str, ...]:
    return (f"the file is {encoding}.",) if encoding else ()


def _lines(path: Path, data: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    # Only CR and LF end a line: JSON texts may hold other line separators, and these two only as
    # escapes.
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    start, number = 0, 0
    while start < len(data):
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line, start, number = data[start:end], end + 1, number + 1
        if line.strip():
            place = f"{path}, line {number}"
            yield place, _fields(_loaded(line, path, place, "write one object a line."), place)


def _loaded(data: bytes, path: Path, place: str, mend: str) -> Any:
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        if place != str(path):
            raise WorkbenchError(f"{place}: not UTF-8 text; save the file as UTF-8.") from error
        raise undecodable(path, data) from error
    except _TwiceError as error:
        raise WorkbenchError(
            f"{place}: an object names {str(error)!r} twice; remove one."
        ) from error
    except (ValueError, RecursionError) as error:
        raise WorkbenchError(f"{place}: not readable as JSON ({error}); {mend}") from error


def _fields(row: Any, place: str) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise WorkbenchError(
            f"{place}: a row is a JSON object with named fields, not {str(row)[:40]!r}."
        )
    if all(name == name.strip() for name in row):
        return row
    stripped = {name.strip(): value for name, value in row.items()}
    if len(stripped) < len(row):
        raise WorkbenchError(f"{place}: two fields have one name apart from spaces; rename one.")
    return stripped


class _TwiceError(Exception):
    """The error for an object with a name that occurs in it twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))
    return found
