"""Odd and broken tables of answers, by name: the right numbers, or the message that names the
mistake and the mend.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.measure import read_answers

HEAD = "id,confidence,correct\n"
PLAIN = [("a", 0.9, True), ("b", 0.5, False), ("c", 0.7, True)]
TEXT = "id,confidence,correct\na,0.9,1\nb,0.5,0\nc,0.7,1\n"


def put(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def rows(path: Path, **options: Any) -> list[tuple[str, float, bool]]:
    found = read_answers(path, **options)
    assert found.id is not None
    stated = [round(value, 12) for value in found.confidence.tolist()]
    return list(zip(found.id.tolist(), stated, found.correct.tolist(), strict=True))


SAME: dict[str, tuple[str, str | bytes, str]] = {
    "comma": ("t.csv", TEXT, ""),
    "semicolon": ("t.csv", TEXT.replace(",", ";"), "separated by semicolons"),
    "tab in csv": ("t.csv", TEXT.replace(",", "\t"), "separated by tabs"),
    "pipe": ("t.csv", TEXT.replace(",", "|"), "separated by pipes"),
    "tsv": ("t.tsv", TEXT.replace(",", "\t"), ""),
    "comma in tsv": ("t.tsv", TEXT, "separated by commas"),
    "sep line": ("t.csv", "sep=;\n" + TEXT.replace(",", ";"), "semicolons, as its first line says"),
    "sep line of the usual": ("t.csv", "sep=,\r\n" + TEXT, "commas, as its first line says"),
    "quoted sep line": (
        "t.csv",
        '"sep=\t"\n' + TEXT.replace(",", "\t"),
        "tabs, as its first line says",
    ),
    "sep line behind a mark": ("t.csv", "\ufeffsep=|\n" + TEXT.replace(",", "|"), "pipes"),
    "blank first line": ("t.csv", "\n" + TEXT, ""),
    "blank first lines of CRLF": ("t.csv", "\r\n \r\n" + TEXT.replace("\n", "\r\n"), ""),
    "blank rows between and behind": ("t.csv", TEXT.replace("b,", "\n  \n,,\nb,") + "\n,,\n\n", ""),
    "no last line end": ("t.csv", TEXT.rstrip("\n"), ""),
    "CRLF": ("t.csv", TEXT.replace("\n", "\r\n"), ""),
    "CR": ("t.csv", TEXT.replace("\n", "\r"), ""),
    "mark of UTF-8": ("t.csv", "\ufeff" + TEXT, ""),
    "UTF-16 little": ("t.csv", b"\xff\xfe" + TEXT.encode("utf-16-le"), "UTF-16"),
    "UTF-16 big, tabs": (
        "t.csv",
        b"\xfe\xff" + TEXT.replace(",", "\t").encode("utf-16-be"),
        "UTF-16",
    ),
    "UTF-32": ("t.csv", b"\xff\xfe\0\0" + TEXT.encode("utf-32-le"), "UTF-32"),
    "all quoted": (
        "t.csv",
        '"id","confidence","correct"\n"a","0.9","1"\n"b","0.5","0"\n"c","0.7","1"\n',
        "",
    ),
    "line break in the header": (
        "t.csv",
        '"text\nof it",' + HEAD + "q,a,0.9,1\nq,b,0.5,0\nq,c,0.7,1\n",
        "",
    ),
    "line breaks in texts": (
        "t.csv",
        'text,id,confidence,correct\n"a\nb",a,0.9,1\nx,b,0.5,0\n"a\n\nb",c,0.7,1\n',
        "2 cells hold line breaks",
    ),
    "commas in quoted texts": (
        "t.csv",
        'text,id,confidence,correct\n"a, b",a,0.9,1\n"c;d;e",b,0.5,0\n"""e""",c,0.7,1\n',
        "",
    ),
    "other separators in texts": (
        "t.csv",
        "text,id,confidence,correct\na;b|c,a,0.9,1\nd,b,0.5,0\ne;;,c,0.7,1\n",
        "",
    ),
    "a column without a name": (
        "t.csv",
        ",id,confidence,correct\n0,a,0.9,1\n1,b,0.5,0\n2,c,0.7,1\n",
        "",
    ),
    "spaces round names and numbers": (
        "t.csv",
        " id , confidence , correct \na, 0.9 ,1\nb,0.5,0 \nc,0.7, 1\n",
        "",
    ),
    "decimal commas": (
        "t.csv",
        "id;confidence;correct\na;0,9;1\nb;0,5;0\nc;0,7;1\n",
        "decimal commas (such as '0,9')",
    ),
    "per cent": ("t.csv", HEAD + "a,90,1\nb,50,0\nc,70,1\n", "read as 0-100"),
    "per cent signs": ("t.csv", HEAD + "a,90%,1\nb,50 %,0\nc,70％,1\n", "read as 0-100"),
    "one sign among fractions": ("t.csv", HEAD + "a,90%,1\nb,0.5,0\nc,0.7,1\n", "read as 0-1."),
    "one sign among per cent": ("t.csv", HEAD + "a,90%,1\nb,50,0\nc,70,1\n", "read as 0-100"),
    "words of grades": ("t.csv", HEAD + "a,0.9,Yes\nb,0.5,wrong\nc,0.7,1.00\n", ""),
    "json lines": (
        "t.jsonl",
        "".join(json.dumps({"id": i, "confidence": c, "correct": y}) + "\n" for i, c, y in PLAIN),
        "",
    ),
    "json lines of CR": (
        "t.jsonl",
        "\r".join(json.dumps({"id": i, "confidence": c, "correct": y}) for i, c, y in PLAIN),
        "",
    ),
    "json lines of UTF-16": (
        "t.ndjson",
        b"\xff\xfe"
        + "".join(
            json.dumps({"id": i, "confidence": c, "correct": y}) + "\n" for i, c, y in PLAIN
        ).encode("utf-16-le"),
        "UTF-16",
    ),
    "a list in json": (
        "t.json",
        json.dumps([{"id": i, "confidence": c, "correct": y} for i, c, y in PLAIN], indent=1),
        "",
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_the_same_table_in_every_dress(tmp_path: Path, name: str) -> None:
    file, content, note = SAME[name]
    path = put(tmp_path, content, file)
    assert rows(path) == PLAIN
    assert note in " ".join(read_answers(path).notes)


BROKEN: dict[str, tuple[str, str | bytes, str]] = {
    "empty": ("t.csv", "", "the file holds no rows"),
    "blank": ("t.csv", "\n\n , \n", "the file holds no rows"),
    "header alone": ("t.csv", HEAD, "the file holds no rows"),
    "empty json": ("t.json", "[]", "the file holds no rows"),
    "empty objects": ("t.jsonl", "{}\n{}\n", "the file holds no rows"),
    "a row too long": (
        "t.csv",
        HEAD + "a,0.9,1\nb,0.5,0,\n",
        "line 3: the row has 4 cells and the header 3; quote texts that hold a comma",
    ),
    "a row too short": ("t.csv", HEAD + "a,0.9\n", "line 2: the row has 2 cells and the header 3"),
    "a row too long with semicolons": (
        "t.csv",
        "id;confidence;correct\na;0,9;1\nb;0,9;1;2\n",
        "line 3: the row has 4 cells and the header 3; quote texts that hold a semicolon",
    ),
    "an open quote": (
        "t.csv",
        HEAD + 'a,0.9,1\n"b,0.5,0\nc,0.7,1\n',
        "lines 3 to 4: not readable as CSV (a quote is opened and never closed)",
    ),
    "quotes that swallow rows": (
        "t.csv",
        'n,who,confidence,correct\n1,"Paris,50,1\n2,Rome,60,0\n3,"Berlin,70,1\n4,Bonn,80,0\n',
        "lines 2 to 4: not readable as CSV (characters follow a closing quote)",
    ),
    "text behind a quote": (
        "t.csv",
        HEAD + '"a"x,0.9,1\n',
        "line 2: not readable as CSV (characters follow a closing quote)",
    ),
    "a cell beyond the bound": (
        "t.csv",
        HEAD + f'"{"x" * 1_100_000}",0.9,1\n',
        "line 2: a cell holds more than 1,048,576 characters",
    ),
    "a line beyond the bound": ("t.csv", HEAD + "x" * 17_000_000, "a line is longer than 16 MiB"),
    "a json line beyond the bound": (
        "t.jsonl",
        '{"id": "' + "x" * 17_000_000 + '"}',
        "a line is longer than 16 MiB",
    ),
    "two columns of a name": (
        "t.csv",
        "id,correct,correct\na,1,0\n",
        "line 1: two columns are called 'correct'; rename one",
    ),
    "two columns of a name but spaces": (
        "t.csv",
        "id,correct, correct\na,1,0\n",
        "line 1: two columns are called 'correct'",
    ),
    "two columns without a name": ("t.csv", "id,,\na,1,0\n", "line 1: 2 columns have no name"),
    "one name twice in an object": (
        "t.jsonl",
        '{"confidence": 0.9, "confidence": 90, "correct": 1}\n',
        "line 1: an object names 'confidence' twice",
    ),
    "names that differ by spaces": (
        "t.jsonl",
        '{"correct": 0, "correct ": 1}\n',
        "line 1: two fields have one name apart from spaces",
    ),
    "a foreign sep": (
        "t.csv",
        "sep=#\na#b\n",
        "line 1: 'sep=#' names a separator that is not read",
    ),
    "latin-1": (
        "t.csv",
        "id,confidence,correct\nü,0.9,1\n".encode("latin-1"),
        "line 2: not UTF-8 text; save the file as UTF-8",
    ),
    "latin-1 with quotes": (
        "t.csv",
        'id,confidence,correct\n"x",0.9,1\n"ü",0.9,1\n'.encode("latin-1"),
        "line 3: not UTF-8 text",
    ),
    "latin-1 json": ("t.jsonl", '{"id": "ü"}\n'.encode("latin-1"), "line 1: not UTF-8 text"),
    "UTF-16 without a mark": (
        "t.csv",
        TEXT.encode("utf-16-le"),
        "holds NUL bytes, so it is no text (or UTF-16 without its byte order mark)",
    ),
    "half of UTF-16": (
        "t.csv",
        b"\xff\xfe" + TEXT.encode("utf-16-le")[:-1],
        "begins as UTF-16 and is not",
    ),
    "NUL bytes": ("t.csv", TEXT.replace("b", "b\0"), "holds NUL bytes"),
    "a broken object": ("t.jsonl", '{"a": 1}\n{"a"\n', "line 2: not readable as JSON"),
    "no object": (
        "t.jsonl",
        "[1]\n",
        "line 1: a row is a JSON object with named fields, not '[1]'",
    ),
    "a list of numbers": ("t.json", "[1, 2]", "item 1: a row is a JSON object"),
    "too deep": ("t.jsonl", "[" * 100_000, "line 1: not readable as JSON"),
    "too many digits": ("t.jsonl", '{"a": ' + "9" * 5000 + "}", "line 1: not readable as JSON"),
    "no parquet": ("t.parquet", "nothing", "not readable as parquet"),
    "half a parquet": (
        "t.parquet",
        b"PAR1" + b"\0" * 50 + b"\x10\0\0\0PAR1",
        "not readable as parquet",
    ),
    "an unknown ending": (
        "t.txt",
        TEXT,
        "unknown kind of file; use a name that ends in .csv, .tsv, .jsonl, .ndjson, .json, "
        ".parquet",
    ),
    "mixed scales": (
        "t.csv",
        HEAD + "".join(f"q,{c},1\n" for c in [0.6, 0.7, 0.8, 60, 70, 80]),
        "mixes 0-1 and 0-100",
    ),
    "one per cent among fractions": (
        "t.csv",
        HEAD + "a,0.9,1\nb,0.95,0\nc,85,1\n",
        "most values lie between 0 and 1, row 3 holds 85 (1 such)",
    ),
    "40 of 100 fractions among per cent": (
        "t.csv",
        HEAD + "q,0.5,1\n" * 4 + "q,50,1\n" * 6,
        "most values lie above 1, row 1 holds 0.5 (4 such)",
    ),
    "called percent and on 0-1": (
        "t.csv",
        "id,confidence_percent,correct\na,0.9,1\nb,1,0\n",
        "column 'confidence_percent' is called percent and its largest value is 1; if its values "
        "are on 0-1, say so with --scale 1",
    ),
    "signs behind fractions": (
        "t.csv",
        HEAD + "a,0.9%,1\nb,0.5%,0\n",
        "holds per cent signs and its largest value is 0.9",
    ),
    "above the scale": (
        "t.csv",
        HEAD + "a,90,1\nb,150,0\n",
        "row 2: the confidence 150 lies outside 0-100 (1 such)",
    ),
    "above the scale with a sign": (
        "t.csv",
        HEAD + "a,90%,1\nb,150%,0\n",
        "row 2: the confidence 150% lies outside 0-100",
    ),
    "below the scale": (
        "t.csv",
        HEAD + "a,-0.1,1\n",
        "row 1: the confidence -0.1 lies outside 0-1",
    ),
    "infinite": ("t.csv", HEAD + "a,0.5,1\nb,inf,1\n", "row 2: the confidence is infinite"),
    "infinite in json": (
        "t.jsonl",
        '{"confidence": Infinity, "correct": 1}\n',
        "row 1: the confidence is infinite",
    ),
    "a missing grade": (
        "t.csv",
        HEAD + "a,0.9,1\nb,0.5,\n",
        "column 'correct', row 2: the grade is missing (1 such)",
    ),
    "half a grade": (
        "t.csv",
        HEAD + "a,0.9,0.5\n",
        "row 1: the grade is '0.5', neither right (1) nor wrong (0)",
    ),
    "lists in a column": (
        "t.jsonl",
        '{"confidence": [0.9], "correct": 1}\n',
        "column 'confidence' holds lists or objects",
    ),
    "label beside prediction": (
        "t.csv",
        "prediction,label,confidence\nx,1,0.5\n",
        "column 'label' beside 'prediction' may be the right class and not whether the answer was "
        "right",
    ),
    "accuracy beside predicted": (
        "t.csv",
        "Predicted,accuracy,confidence\nx,1,0.5\n",
        "column 'accuracy' beside 'Predicted'",
    ),
    "uncertainties alone": (
        "t.csv",
        "uncertainty,correct\n0.1,1\n",
        "for uncertainties: --confidence uncertainty --higher-is-less-sure",
    ),
    "text throughout": (
        "t.csv",
        HEAD + "a,>90,1\nb,very sure,0\n",
        "column 'confidence' holds no number at all, only text such as '>90'",
    ),
    "a per cent sign in the name": (
        "t.csv",
        "confidence_pct,correct\n0.9,1\n",
        "column 'confidence_pct' is called percent",
    ),
    "two confidences": (
        "t.csv",
        "confidence,prob,correct\n0.1,0.2,1\n",
        "could all be the confidence of each answer; choose one with --confidence NAME",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_for_sure_is_said(tmp_path: Path, name: str) -> None:
    file, content, message = BROKEN[name]
    with pytest.raises(WorkbenchError) as caught:
        read_answers(put(tmp_path, content, file))
    assert message in str(caught.value)


def test_header_and_rows_are_counted_by_one_parser(tmp_path: Path) -> None:
    header = '"question\ntext",confidence,correct\n'
    graded = [(93, 1)] * 22 + [(50, 0)] * 18
    found = read_answers(put(tmp_path, header + "".join(f"q,{c},{y}\n" for c, y in graded)))
    assert (len(found), found.correct.mean()) == (40, 0.55)
