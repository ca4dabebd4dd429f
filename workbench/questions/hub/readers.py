"""Read a field of a question from a row of a published data set: a small vocabulary that describes
every set.

A :class:`Reader` names the columns it needs, so that no other column is decoded, and reads a value
from a row. Columns may hold text, numbers, lists, structs and structs of lists (the form in which
lists of structs arrive); ``path`` walks into structs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workbench.errors import WorkbenchError

Fields = Mapping[str, Any]


@dataclass(frozen=True)
class Reader:
    """A reader of one value of a row. It raises a :class:`WorkbenchError` that says what is wrong
    with the row.
    """

    columns: tuple[str, ...]
    read: Callable[[Fields], Any]


def path(name: str) -> Reader:
    """Return a reader of the value of a column, or of a field inside it: ``question``,
    ``answer.aliases``.
    """
    first, *rest = name.split(".")

    def read(row: Fields) -> Any:
        value = row[first]
        for part in rest:
            value = value[part]
        return value

    return Reader((first,), read)


def literal(value: Any) -> Reader:
    """Return a reader that gives the same value for every row."""
    return Reader((), lambda row: value)


def texts(*parts: Reader) -> Reader:
    """Return a reader of a list of texts: the parts' values, single or lists, in order, stripped,
    each once, without blanks.
    """

    def read(row: Fields) -> list[str]:
        values = [value for part in parts for value in _listed(part.read(row))]
        return list(
            dict.fromkeys(
                text for value in values if value is not None and (text := str(value).strip())
            )
        )

    return Reader(_columns(*parts), read)


def json_list(part: Reader) -> Reader:
    """Return a reader of a list written into a text as JSON."""

    def read(row: Fields) -> list[Any]:
        text = part.read(row)
        try:
            value = json.loads(text)
        except (TypeError, ValueError) as error:
            raise WorkbenchError(f"{text!r} is not a JSON list") from error
        return _listed(value)

    return Reader(part.columns, read)


def text_after(part: Reader, mark: str) -> Reader:
    """Return a reader of the text after the last ``mark``."""

    def read(row: Fields) -> str:
        _, found, rest = str(part.read(row)).rpartition(mark)
        if not found:
            raise WorkbenchError(f"there is no {mark!r} in it")
        return rest.strip()

    return Reader(part.columns, read)


def names(part: Reader) -> Reader:
    """Return a reader of the names of a struct's filled fields: the letters of options kept as
    ``{"A": ..., "B": ...}``.
    """
    return Reader(
        part.columns,
        lambda row: [key for key, value in part.read(row).items() if value is not None],
    )


def values(part: Reader) -> Reader:
    """Return a reader of the values of a struct's filled fields."""
    return Reader(
        part.columns, lambda row: [value for value in part.read(row).values() if value is not None]
    )


def place(part: Reader, among: Reader) -> Reader:
    """Return a reader of a value's place in a list: a key among labels, a text among options, 1
    among marks.
    """

    def read(row: Fields) -> int:
        wanted, found = part.read(row), list(among.read(row))
        if found.count(wanted) != 1:
            raise WorkbenchError(
                f"the right answer {wanted!r} occurs {found.count(wanted)} times among {found!r}"
            )
        return found.index(wanted)

    return Reader(_columns(part, among), read)


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _columns(*parts: Reader) -> tuple[str, ...]:
    return tuple(dict.fromkeys(column for part in parts for column in part.columns))
