"""Anyone's table of answers as columns: CSV, JSON lines and parquet, read whole but nothing interpreted yet.

CSV values stay text exactly as written (a group called "NA" is a group), JSON and parquet values keep their type. A broken file
stops the reading with an error that names the file and, for text, the line. Nothing in a file is executed or unpickled.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from workbench.errors import WorkbenchError

Columns = Mapping[str, "pd.Series"]


def read_columns(path: Path) -> dict[str, pd.Series]:
    """Every column of a ``.csv``, ``.tsv``, ``.jsonl`` or ``.parquet`` file by its name, all of one length above zero."""
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise WorkbenchError(f"{path}: unknown kind of file; use a name that ends in {', '.join(_READERS)}.")
    if not path.is_file():
        raise WorkbenchError(f"{path}: there is no such file; check the path.")
    try:
        columns = reader(path)
    except UnicodeDecodeError as error:
        raise WorkbenchError(f"{path}: the text is not UTF-8; save the file as UTF-8.") from error
    if not columns or not len(next(iter(columns.values()))):
        raise WorkbenchError(f"{path}: the file holds no rows; write one row per answer below the column names.")
    return columns


def _csv(path: Path, delimiter: str = ",") -> dict[str, pd.Series]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = [name.strip() for name in next(csv.reader(file, delimiter=delimiter), [])]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise WorkbenchError(f"{path}: two columns are called {twice[0]!r}; rename one.")
    if not names:
        return {}
    try:
        table = pyarrow.csv.read_csv(
            path,
            # One thread, because several do not know the number of a broken row.
            read_options=pyarrow.csv.ReadOptions(column_names=names, skip_rows=1, use_threads=False),
            parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV" in str(error):
            return {}
        raise WorkbenchError(f"{path}: not readable as CSV: {error}") from error
    return _series(table)


def _jsonl(path: Path) -> dict[str, pd.Series]:
    columns: dict[str, list[object]] = {}
    count = 0
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise WorkbenchError(
                    f"{path}, line {number}: not readable as JSON; write one object a line."
                ) from error
            if not isinstance(record, dict):
                raise WorkbenchError(f"{path}, line {number}: not an object; write one object a line.")
            for name, value in record.items():
                column = columns.setdefault(name, [])
                column.extend([None] * (count - len(column)))
                column.append(value)
            count += 1
    for column in columns.values():
        column.extend([None] * (count - len(column)))
    return {name: pd.Series(column, dtype=object) for name, column in columns.items()}


def _parquet(path: Path) -> dict[str, pd.Series]:
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise WorkbenchError(f"{path}: not readable as parquet: {error}") from error
    return _series(table)


def _series(table: pa.Table) -> dict[str, pd.Series]:
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise WorkbenchError(f"two columns are called {twice[0]!r}; rename one.")
    return {name: table.column(name).to_pandas() for name in table.column_names}


_READERS: Mapping[str, Callable[[Path], dict[str, pd.Series]]] = {
    ".csv": _csv,
    ".tsv": lambda path: _csv(path, "\t"),
    ".jsonl": _jsonl,
    ".parquet": _parquet,
}
