"""Find which character separates the cells of a delimited text, from its rows.

Candidates are comma, semicolon, tab and pipe. One is *consistent* if the first rows all have as
many cells as the header, at least two. The separator of the file's ending wins if it is consistent,
then the one with most cells. A first line ``sep=;``, as spreadsheets write it, decides.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.tables.source import MOST_CELL, undecodable

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
BLANK = " \t"
_SAMPLE = 200
_DECLARED = re.compile(rb'\s*"?sep=([^"\r\n])"?[;,\t| ]*(?:\r\n|\r|\n|$)', re.IGNORECASE)


@dataclass(frozen=True)
class Dialect:
    """The dialect of a delimited text: the ``separator`` of the cells. The table begins at byte
    ``start``, after ``lines`` lines.
    """

    separator: str
    start: int = 0
    lines: int = 0
    declared: bool = False


def find_dialect(path: Path, data: bytes, usual: str) -> Dialect:
    """Find the dialect of the text ``data``, whose file's ending means the separator ``usual``.

    Raises:
        WorkbenchError: for a first line that names another separator.
    """
    declared = _DECLARED.match(data)
    if declared:
        separator = declared.group(1).decode("latin-1")
        if separator not in SEPARATORS:
            raise WorkbenchError(
                f"{path}, line 1: 'sep={separator}' names a separator that is not read; use one of "
                ", ; | or a tab."
            )
        lines = len(re.findall(rb"\r\n|\r|\n", declared.group()))
        return Dialect(separator, declared.end(), lines, True)
    sizes = {
        separator: _sizes(path, data, separator)
        for separator in (usual, *(s for s in SEPARATORS if s != usual))
    }
    consistent = [
        separator for separator, found in sizes.items() if len(set(found)) == 1 and found[0] > 1
    ]
    if usual in consistent:
        return Dialect(usual)
    # A text with a broken row has no consistent separator: the header's alone says which row is
    # broken.
    return Dialect(
        max(
            consistent or sizes,
            key=lambda separator: sizes[separator][0] if sizes[separator] else 0,
        )
    )


def rows(path: Path, data: bytes, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """Yield, for each row, the line where it begins and its cells, the header first. Rows without
    any content are left out.

    Raises:
        WorkbenchError: for quotes that are open or misplaced, a cell beyond the bound and text that
            is not UTF-8.
    """
    text = io.TextIOWrapper(io.BytesIO(memoryview(data)[dialect.start :]), "utf-8", newline="")
    reader = csv.reader(text, delimiter=dialect.separator, strict=True)
    line = dialect.lines + 1
    with _cell_bound():
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise _broken(path, line, dialect.lines + reader.line_num, error) from error
            except UnicodeDecodeError as error:
                raise undecodable(path, data) from error
            if cells is None:
                return
            place, line = line, dialect.lines + reader.line_num + 1
            if any(cell.strip(BLANK) for cell in cells):
                yield place, cells


def _broken(path: Path, first: int, last: int, error: csv.Error) -> WorkbenchError:
    where = f"line {first}" if first >= last else f"lines {first} to {last}"
    if "field larger" in str(error):
        return WorkbenchError(
            f"{path}, {where}: a cell holds more than {MOST_CELL:,} characters; close its quotes "
            "or shorten the text."
        )
    what = str(error)
    if "unexpected end" in what:
        what = "a quote is opened and never closed"
    elif "expected after" in what:
        what = "characters follow a closing quote"
    return WorkbenchError(
        f"{path}, {where}: not readable as CSV ({what}); check its quotes, a quote in a text is "
        "doubled."
    )


@contextmanager
def _cell_bound() -> Iterator[None]:
    # The bound belongs to the whole process; others may have set theirs.
    before = csv.field_size_limit(MOST_CELL)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _sizes(path: Path, data: bytes, separator: str) -> list[int]:
    """Return the numbers of cells of the first rows, up to a broken row."""
    found: list[int] = []
    try:
        found.extend(
            len(cells) for _, cells in islice(rows(path, data, Dialect(separator)), _SAMPLE)
        )
    except WorkbenchError:
        found.append(-1)
    return found
