"""Names of fields that others use: refused with the rename, for every field, and only where the
field itself is missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.questions.files import read_questions
from workbench.questions.synonyms import FIELDS, NAMES, OPPOSITE, misnamed

ROW: dict[str, Any] = {"question": "Which?\nA. x\nB. y", "answers": ["B"], "kind": "choice"}


def test_a_name_stands_for_one_field_and_is_none_itself() -> None:
    names = [name for table in (NAMES, OPPOSITE) for found in table.values() for name in found]
    assert len(set(names)) == len(names)
    assert not set(names) & set(FIELDS)
    assert set(NAMES) == set(FIELDS)


@pytest.mark.parametrize(
    ("field", "name"), [(field, name) for field, names in NAMES.items() for name in names]
)
def test_every_usual_name_is_refused_with_its_rename(field: str, name: str) -> None:
    present = [other for other in FIELDS if other != field]
    assert misnamed([*present, name.title()]) == (
        field,
        name.title(),
        f"rename {name.title()!r} to '{field}'",
    )
    assert misnamed([*FIELDS, name]) is None


@pytest.mark.parametrize(
    "name",
    ["Domain", "OPTIONS", "optoins", "licence ", "Source", "domains", "answerable?", "option s"],
)
def test_near_spellings_are_refused(name: str) -> None:
    assert misnamed(["question", "answers", name]) is not None


@pytest.mark.parametrize(
    "name",
    [
        "solution",
        "explanation",
        "difficulty",
        "context",
        "url",
        "year",
        "extra",
        "notes",
        "answer_type_id",
        "passage",
    ],
)
def test_other_names_are_no_concern(name: str) -> None:
    assert misnamed([*FIELDS, name]) is None
    assert name == "solution" or misnamed(["question", "answers", name]) is None


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {**ROW, "choices": ["x", "y"]},
            "field 'options' is missing while there is 'choices'; rename 'choices' to 'options', "
            "or to a name of its own",
        ),
        (
            {**ROW, "answers": [2], "kind": None, "Choices": ["x", "y"]},
            "rename 'Choices' to 'options'",
        ),
        (
            {**ROW, "category": "x"},
            "field 'domain' is missing while there is 'category'; rename 'category' to 'domain'",
        ),
        ({**ROW, "license": "MIT"}, "rename 'license' to 'licence'"),
        (
            {**ROW, "is_impossible": True},
            "rename 'is_impossible' to 'answerable' and turn its values round",
        ),
        (
            {**ROW, "Is Impossible": True},
            "rename 'Is Impossible' to 'answerable' and turn its values round",
        ),
        ({**ROW, "doc_id": 3}, "rename 'doc_id' to 'id'"),
        (
            {"prompt": "Who?", "answers": ["a"]},
            "field 'question' is missing; rename 'prompt' to 'question'",
        ),
        (
            {"question": "Who?", "targets": ["a"]},
            "field 'answers' is missing; rename 'targets' to 'answers'",
        ),
        (
            {"question": "Who?", "x": ["a"]},
            r"field 'answers' is missing \(the row has: question, x\)",
        ),
        (
            {**ROW, "question": "Which?"},
            "field 'options' is missing: the question is a choice and its text shows no lines 'A. "
            "...', 'B. ...'",
        ),
        ({**ROW, "question": "Which? A. x B. y"}, "its text shows no lines"),
        (
            {**ROW, "answers": ["C"]},
            "field 'answers' holds 'C'; the options in the text are A to B",
        ),
        (
            {"question": "How many?", "answers": [float("inf")], "kind": "numeric"},
            "field 'answers' holds inf",
        ),
    ],
)
def test_rows_are_refused_by_line(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(WorkbenchError, match=f"line 2: .*{message}"):
        read_questions(path)


def test_headers_are_refused_before_any_row(tmp_path: Path) -> None:
    path = tmp_path / "set.csv"
    path.write_text("question,answers,subject\n,,\nWho?,,x\n")
    with pytest.raises(
        WorkbenchError,
        match=(
            "line 1: field 'domain' is missing in the header while there is 'subject'; rename "
            "'subject'"
        ),
    ):
        read_questions(path)


def test_a_field_beside_its_usual_name_is_read(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(
        json.dumps({**ROW, "domain": "d", "category": "c", "options": ["x", "y"], "choices": []})
        + "\n"
    )
    (found,) = read_questions(path)
    assert (found.domain, found.options) == ("d", ("x", "y"))


def test_numbers_are_written_as_people_write_them(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(
        '{"question": "How far?", "answers": [0.00001, 2.50, 1e21, 7, -3e-7], "kind": "numeric"}\n'
    )
    wanted = ("0.00001", "2.5", "1000000000000000000000", "7", "-0.0000003")
    assert read_questions(path)[0].answers == wanted
    table = pd.DataFrame({"question": ["How far?"], "kind": ["numeric"]})
    table["answers"] = pd.Series(
        [[0.9]], dtype=pd.ArrowDtype(__import__("pyarrow").list_(__import__("pyarrow").float32()))
    )
    table.to_parquet(tmp_path / "set.parquet")
    assert read_questions(tmp_path / "set.parquet")[0].answers == ("0.9",)


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_read_and_said(tmp_path: Path, separator: str) -> None:
    path = tmp_path / "set.csv"
    path.write_text(
        "question,answers\nWho, then?,x\n".replace("Who, then?", '"Who; then?"').replace(
            ",", separator
        )
    )
    with pytest.warns(UserWarning, match="the file is read as separated by"):
        (found,) = read_questions(path)
    assert (found.text, found.answers) == ("Who; then?", ("x",))


def test_sources_of_other_endings(tmp_path: Path) -> None:
    rows = [{"question": "Who?", "answers": ["a"]}]
    (tmp_path / "set.json").write_text(json.dumps(rows))
    (tmp_path / "set.tsv").write_text("question\tanswers\nWho?\ta\n")
    assert (
        read_questions(tmp_path / "set.json")[0].answers
        == read_questions(tmp_path / "set.tsv")[0].answers
        == ("a",)
    )
