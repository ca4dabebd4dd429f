"""Read delimited text as rows or as columns of text, header and rows by the same parser.

A text with quotes is read by Python's strict ``csv``. One without is read by Arrow, many times
faster: there a row is a line and nothing else can be meant; whatever Arrow refuses is read again by
``csv``, which names the line. Cells stay text exactly as written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from workbench.errors import WorkbenchError
from workbench.tables.dialect import BLANK, SEPARATORS, Dialect, find_dialect, rows
from workbench.tables.source import read_text

_BATCH = 20_000


@dataclass(frozen=True)
class Delimited:
    """A delimited text: its ``header`` (names stripped), which is in ``line``; ``kept`` columns are
    those with a name or content.
    """

    path: Path
    data: bytes
    dialect: Dialect
    header: tuple[str, ...]
    line: int
    notes: tuple[str, ...]

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield, for each row below the header, the line where it begins and its cells, as many as
        the header has.

        Raises:
            WorkbenchError: for a row with another number of cells.
        """
        found = rows(self.path, self.data, self.dialect)
        next(found, None)
        for line, cells in found:
            if len(cells) != len(self.header):
                raise self._uneven(line, len(cells))
            yield line, cells

    def columns(self) -> tuple[pa.Table, tuple[str, ...]]:
        """Return all rows below the header as columns of text, and notes on them."""
        fast = None if b'"' in self.data else self._by_arrow()
        return (fast, ()) if fast is not None else self._by_csv()

    def _by_csv(self) -> tuple[pa.Table, tuple[str, ...]]:
        names = [str(place) for place in range(len(self.header))]
        schema = pa.schema([(name, pa.string()) for name in names])
        parts, broken, example = [], 0, ""
        found = (cells for _, cells in self.rows())
        while batch := list(islice(found, _BATCH)):
            columns = list(zip(*batch, strict=True))
            for name, column in zip(self.header, columns, strict=True):
                # Line breaks in cells are fine, and how an open quote that swallows rows looks.
                many = sum("\n" in cell or "\r" in cell for cell in column)
                broken, example = broken + many, example or (name if many else "")
            parts.append(
                pa.record_batch(
                    [pa.array(column, pa.string()) for column in columns], schema=schema
                )
            )
        table = pa.Table.from_batches(parts, schema=schema)
        note = (
            f"{broken:,} cells hold line breaks (the first in column {example!r}): rows were "
            "counted by quotes, not by lines."
        )
        return table, (note,) if broken else ()

    def _by_arrow(self) -> pa.Table | None:
        """Return the same rows where every line is one; None where Arrow cannot tell."""
        names = [str(place) for place in range(len(self.header))]

        start = self._below_header()
        if start >= len(self.data):
            return None
        try:
            table = pyarrow.csv.read_csv(
                pa.BufferReader(pa.py_buffer(self.data).slice(start)),
                # One thread, because several do not keep what they refuse in order.
                read_options=pyarrow.csv.ReadOptions(column_names=names, use_threads=False),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=self.dialect.separator, quote_char=False
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
        except pa.ArrowInvalid:
            return None
        filled = None
        for name in names:
            empty = pc.equal(pc.utf8_trim(table.column(name), BLANK), "")
            filled = empty if filled is None else pc.and_(filled, empty)
            if not pc.any(filled).as_py():
                return table
        return table.filter(pc.invert(filled))

    def _below_header(self) -> int:
        """Return the byte after the header's line: without quotes a row ends where its line
        does.
        """
        place = self.dialect.start
        for _ in range(self.line - self.dialect.lines):
            ends = [at for mark in (b"\n", b"\r") if (at := self.data.find(mark, place)) >= 0]
            if not ends:
                return len(self.data)
            end = min(ends)
            place = end + (2 if self.data[end : end + 2] == b"\r\n" else 1)
        return place

    def _uneven(self, line: int, cells: int) -> WorkbenchError:
        separator = SEPARATORS[self.dialect.separator]
        return WorkbenchError(
            f"{self.path}, line {line}: the row has {cells} cells and the header "
            f"{len(self.header)}; quote texts that hold "
            f"a {separator}."
        )


def read_delimited(path: Path, usual: str) -> Delimited:
    """Read the delimited text of ``path``; ``usual`` is the separator that the file's ending means.

    Raises:
        WorkbenchError: for columns without a name, and two of one name.
    """
    data, encoding = read_text(path)
    dialect = find_dialect(path, data, usual)
    line, header = next(rows(path, data, dialect), (1, []))
    names = tuple(name.strip() for name in header)
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise WorkbenchError(
            f"{path}, line {line}: two columns are called {twice[0]!r}; rename one."
        )
    if names.count("") > 1:
        raise WorkbenchError(
            f"{path}, line {line}: {names.count('')} columns have no name; name them in the first "
            "line or delete them."
        )
    notes = [f"the file is {encoding}."] if encoding else []
    if dialect.separator != usual or dialect.declared:
        how = ", as its first line says" if dialect.declared else ""
        notes.append(f"the file is read as separated by {SEPARATORS[dialect.separator]}s{how}.")
    return Delimited(path, data, dialect, names, line, tuple(notes))
