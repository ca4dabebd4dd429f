from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.questions.graded_answers import Graded, graded_questions, read_graded, write_graded

ONE = {"prompt": "Q: two and two?", "question": "two and two?", "answer": "4", "correct": True}
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)))


@given(
    st.lists(
        st.builds(Graded, texts, texts, texts, st.booleans(), texts, texts), min_size=1, max_size=4
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, answers: list[Graded]
) -> None:
    path = tmp_path_factory.mktemp("graded") / "answers.jsonl"
    write_graded(path, answers)
    assert read_graded(path) == answers


def test_ones_and_zeros_are_grades_and_blank_lines_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        json.dumps({**ONE, "correct": 1})
        + "\n\n"
        + json.dumps({**ONE, "correct": 0, "id": "b"})
        + "\n"
    )
    assert [(g.correct, g.id) for g in read_graded(path)] == [(True, ""), (False, "b")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not readable as JSON"),
        ("[1]", "line 2: a row is a JSON object"),
        (
            json.dumps({k: v for k, v in ONE.items() if k != "answer"}),
            "line 2: the field 'answer' is missing",
        ),
        (json.dumps({**ONE, "grade": 1}), "line 2: unknown field 'grade'"),
        (
            json.dumps({**ONE, "correct": 0.5}),
            "line 2: the field 'correct' must be true or false, it is 0.5",
        ),
        (json.dumps({**ONE, "question": 3}), "line 2: the field 'question' must be text, it is 3"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(ONE) + "\n" + line + "\n")
    with pytest.raises(WorkbenchError, match=message):
        read_graded(path)


def test_tables_of_other_kinds_are_read_alike(tmp_path: Path) -> None:
    wanted = [
        Graded("Q: two and two?", "two and two?", "4", True, "1"),
        Graded("a;b", "c", "", False),
    ]
    rows = [
        {**ONE, "id": 1},
        {"prompt": "a;b", "question": "c", "answer": "", "correct": False, "id": None},
    ]
    pd.DataFrame(rows).astype({"id": "Int64"}).to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "marked.jsonl").write_text(
        "\ufeff" + "\r\n".join(map(json.dumps, rows)), encoding="utf-8"
    )
    (tmp_path / "a.csv").write_text(
        "prompt,question,answer,correct,id\nQ: two and two?,two and two?,4,yes,1\na;b,c,,wrong,\n"
    )
    for name in ("a.parquet", "a.json", "marked.jsonl", "a.csv"):
        assert read_graded(tmp_path / name) == wanted, name


def test_an_empty_or_missing_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(WorkbenchError, match="holds no graded answers"):
        read_graded(tmp_path / "empty.jsonl")
    with pytest.raises(WorkbenchError, match="there is no such file"):
        read_graded(tmp_path / "absent.jsonl")


def test_questions_keep_their_order_and_get_ids() -> None:
    found = graded_questions(
        [Graded("p", "one?", "1", True, "first", "sums"), Graded("p", "two?", " ", False)]
    )
    assert [(q.id, q.text, q.domain) for q in found] == [
        ("first", "one?", "sums"),
        ("2", "two?", "graded"),
    ]
