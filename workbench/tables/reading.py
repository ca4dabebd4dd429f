"""Read a file by its ending, as columns (for measuring) or as records one by one (for questions and
graded answers).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from workbench.errors import WorkbenchError
from workbench.tables.delimited import read_delimited
from workbench.tables.jsontext import json_lines, json_list
from workbench.tables.parquet import exact, read_parquet, series
from workbench.tables.source import MOST_CELL

_SEPARATED = {".csv": ",", ".tsv": "\t"}
_JSON = {".jsonl": json_lines, ".ndjson": json_lines, ".json": json_list}
ENDINGS = (*_SEPARATED, *_JSON, ".parquet")


class Columns(Mapping[str, "pd.Series"]):
    """Every column of a file by its name, all of one length above zero, made into values when
    asked for; ``notes`` say how it was read.
    """

    def __init__(
        self, columns: Mapping[str, Callable[[], pd.Series]], rows: int, notes: tuple[str, ...]
    ) -> None:
        self._columns, self.rows, self.notes = columns, rows, notes

    def __getitem__(self, name: str) -> pd.Series:
        return self._columns[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


@dataclass(frozen=True)
class Record:
    """A row of a file: its fields, and ``place``, where it is in the file, for messages. ``text``
    says that the cells are text without types.
    """

    fields: Mapping[str, Any]
    place: str
    text: bool = False


@dataclass(frozen=True)
class Records:
    """The rows of a file in order, read as they are asked for, and ``notes`` on how it was read."""

    rows: Iterator[Record]
    notes: tuple[str, ...]
    header: tuple[str, ...] | None = None
    header_place: str = ""

    def __iter__(self) -> Iterator[Record]:
        return self.rows


def read_columns(path: Path) -> Columns:
    """Read the columns of a file; text files give text exactly as written, JSON and parquet keep
    their types.
    """
    ending = _ending(path)
    if ending in _SEPARATED:
        found = read_delimited(path, _SEPARATED[ending])
        table, notes = found.columns()
        by_name = {name: table.column(place) for place, name in enumerate(found.header)}
        return _filled(path, _lazy(by_name), table.num_rows, (*found.notes, *notes))
    if ending in _JSON:
        rows, said = _JSON[ending](path)
        columns, count = _by_column(rows)
        made = {name: _kept(pd.Series(column, dtype=object)) for name, column in columns.items()}
        return _filled(path, made, count, said)
    table = read_parquet(path)
    return _filled(
        path, _lazy({name: table.column(name) for name in table.column_names}), table.num_rows, ()
    )


def read_records(path: Path, wanted: Collection[str] | None = None) -> Records:
    """Read the rows of a file one by one; of a parquet file only the ``wanted`` columns have
    values, the others None.
    """
    ending = _ending(path)
    if ending in _SEPARATED:
        found = read_delimited(path, _SEPARATED[ending])
        rows = (
            Record(dict(zip(found.header, cells, strict=True)), f"{path}, line {line}", True)
            for line, cells in found.rows()
        )
        return Records(rows, found.notes, found.header, f"{path}, line {found.line}")
    if ending in _JSON:
        objects, notes = _JSON[ending](path)
        return Records((_bounded(Record(fields, place)) for place, fields in objects), notes)
    return Records(_parquet_records(path, read_parquet(path), wanted), ())


def _ending(path: Path) -> str:
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise WorkbenchError(
            f"{path}: unknown kind of file; use a name that ends in {', '.join(ENDINGS)}."
        )
    return ending


def _filled(
    path: Path, columns: Mapping[str, Callable[[], pd.Series]], rows: int, notes: tuple[str, ...]
) -> Columns:
    if not columns or not rows:
        raise WorkbenchError(
            f"{path}: the file holds no rows; write one row per answer below the column names."
        )
    return Columns(columns, rows, notes)


def _kept(column: pd.Series) -> Callable[[], pd.Series]:
    return lambda: column


def _lazy(columns: Mapping[str, pa.ChunkedArray]) -> dict[str, Callable[[], pd.Series]]:
    def made(name: str, column: pa.ChunkedArray) -> Callable[[], pd.Series]:
        def values() -> pd.Series:
            try:
                return series(column)
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                raise WorkbenchError(
                    f"column {name!r} holds values of type {column.type}, which are not read; "
                    "write numbers or text."
                ) from error

        return values

    return {name: made(name, column) for name, column in columns.items()}


def _by_column(rows: Iterator[tuple[str, dict[str, Any]]]) -> tuple[dict[str, list[object]], int]:
    columns: dict[str, list[object]] = {}
    count = 0
    for _, record in rows:
        for name, value in record.items():
            column = columns.setdefault(name, [])
            column.extend([None] * (count - len(column)))
            column.append(value)
        count += 1
    for column in columns.values():
        column.extend([None] * (count - len(column)))
    return columns, count


def _parquet_records(
    path: Path, table: pa.Table, wanted: Collection[str] | None
) -> Iterator[Record]:
    names = [name for name in table.column_names if wanted is None or name in wanted]
    blank = dict.fromkeys(table.column_names)
    chosen = pa.table({name: exact(table.column(name)) for name in names})
    number = 0
    for batch in chosen.to_batches(max_chunksize=10_000):
        try:
            rows = batch.to_pylist()
        except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
            raise WorkbenchError(
                f"{path}: holds values that are not read ({error}); write numbers or text."
            ) from error
        for fields in rows:
            number += 1
            yield _bounded(Record({**blank, **fields}, f"{path}, row {number}"))


def _bounded(record: Record) -> Record:
    for name, value in record.fields.items():
        if isinstance(value, str) and len(value) > MOST_CELL:
            raise WorkbenchError(
                f"{record.place}: field {name!r} holds {len(value):,} characters, more than the "
                f"{MOST_CELL:,} that are read; "
                "shorten the text."
            )
    return record
