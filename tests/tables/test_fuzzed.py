"""Whatever bytes a file holds, a reader ends in values or in the one documented error; what is
written in any dialect is read back.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.measure import read_answers
from workbench.questions.files import read_questions
from workbench.questions.graded_answers import read_graded
from workbench.tables import read_columns, read_records
from workbench.tables.delimited import read_delimited
from workbench.tables.parquet import shortest

READERS: dict[str, Callable[[Path], object]] = {
    "measure": read_answers,
    "questions": read_questions,
    "graded": read_graded,
    "records": lambda path: list(read_records(path)),
}
ENDINGS = ("csv", "tsv", "jsonl", "json", "parquet")
PIECES = st.sampled_from(
    [
        *(
            b",",
            b";",
            b"\t",
            b"|",
            b'"',
            b'""',
            b"\n",
            b"\r",
            b"\r\n",
            b" ",
            b"sep=;\n",
            b"\xef\xbb\xbf",
            b"\xff\xfe",
            b"\0",
            b"\xe4",
        ),
        *(
            b"confidence",
            b"correct",
            b"id",
            b"question",
            b"answers",
            b"prompt",
            b"answer",
            b"options",
            b"kind",
            b"choice",
        ),
        *(
            b"0.9",
            b"90",
            b"90%",
            b"1",
            b"0",
            b"-1",
            b"1e999",
            b"nan",
            b"inf",
            b"0,9",
            b"NA",
            b"true",
            b"x",
            b"[",
            b"]",
            b"{",
            b"}",
            b":",
        ),
        *(
            b'{"question": "Who?", "answers": ["a"]}\n',
            b'{"confidence": 0.5, "correct": 1}\n',
            b"[1e400]",
            b'{"a": {"a": [null]}}',
        ),
        *(b"confidence,correct\n0.5,1\n", b"question;answers\nWho?;a|b\n", b"PAR1", b"\xd8\x00"),
    ]
)
BYTES = st.lists(PIECES, max_size=14).map(b"".join) | st.binary(max_size=60)
SETTINGS = settings(
    deadline=None, max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def outcome(reader: Callable[[Path], object], path: Path) -> str:
    """The message of the documented error, empty where there is none; any other error is a
    failure.
    """
    try:
        reader(path)
    except WorkbenchError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("reader", READERS)
@SETTINGS
@given(content=BYTES, ending=st.sampled_from(ENDINGS))
def test_any_bytes_end_in_values_or_in_one_sentence(
    tmp_path: Path, reader: str, content: bytes, ending: str
) -> None:
    path = tmp_path / f"t.{ending}"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        said = outcome(READERS[reader], path)
    assert len(said.splitlines()) <= 1, said


CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
NAMES = st.lists(
    st.text("abcxyzäß_ 09?", min_size=1, max_size=6).filter(lambda name: name.strip()),
    min_size=2,
    max_size=4,
    unique_by=str.strip,
)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[list[str]]]:
    names = draw(NAMES)
    row = st.lists(CELL, min_size=len(names), max_size=len(names)).filter(
        lambda cells: any(cell.strip(" \t") for cell in cells)
    )
    return names, draw(st.lists(row, min_size=1, max_size=6))


@SETTINGS
@given(
    table=tables(),
    separator=st.sampled_from(",;\t|"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    declared=st.booleans(),
)
@example((["a", "b"], [[";", "x;y"]]), ";", "\n", csv.QUOTE_ALL, "utf-8", False)
def test_any_dialect_is_read_back(
    tmp_path: Path,
    table: tuple[list[str], list[list[str]]],
    separator: str,
    end: str,
    quoting: int,
    encoding: str,
    declared: bool,
) -> None:
    names, rows = table
    # Python's writer quotes only the line ends that it writes itself.
    assume(
        quoting != csv.QUOTE_MINIMAL
        or end == "\r\n"
        or not any(mark in cell for row in rows for cell in row for mark in "\r\n")
    )
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(names)
    writer.writerows(rows)
    path = tmp_path / "t.csv"
    path.write_bytes(
        ((f"sep={separator}{end}" if declared else "") + text.getvalue()).encode(encoding)
    )
    found = read_columns(path)
    assert list(found) == [name.strip() for name in names]
    assert [
        list(row) for row in zip(*(found[name].tolist() for name in found), strict=True)
    ] == rows
    assert [list(record.fields.values()) for record in read_records(path)] == rows


@SETTINGS
@given(
    lines=st.lists(st.text("ab,; \t1.é", max_size=8), max_size=10),
    separator=st.sampled_from(",;"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_both_parsers_read_a_text_without_quotes_alike(
    tmp_path: Path, lines: list[str], separator: str, end: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(end.join([f"a{separator}b", *lines]).encode())
    text = read_delimited(path, ",")
    fast = text._by_arrow()
    try:
        slow = text._by_csv()[0]
    except WorkbenchError:
        assert fast is None
        return
    assert fast is None or fast.to_pylist() == slow.to_pylist()


@given(
    st.lists(st.floats(width=32, allow_nan=False), min_size=1),
    st.lists(st.floats(width=16, allow_nan=False), min_size=1),
)
def test_the_shortest_decimal_is_that_of_numpy(wide: list[float], narrow: list[float]) -> None:
    for kind, values in ((np.float32, wide), (np.float16, narrow)):
        array = np.array(values, dtype=kind)
        assert shortest(array).tolist() == [float(str(value)) for value in array]


def test_missing_values_stay_missing_in_narrow_floats() -> None:
    assert np.isnan(shortest(np.array([np.nan, 0.5], dtype=np.float32))).tolist() == [True, False]
