from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.questions.files import read_questions, write_questions
from workbench.questions.schema import Question

ROW: dict[str, Any] = {
    "id": "q-1",
    "question": "Who wrote Emma?",
    "answers": ["Jane Austen", "Austen"],
    "domain": "books",
}


def jsonl(folder: Path, *rows: Any, name: str = "set.jsonl") -> Path:
    path = folder / name
    path.write_text(
        "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows),
        encoding="utf-8",
    )
    return path


def csv_file(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "set.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_jsonl_with_extra_columns(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path,
        {**ROW, "source": "nq", "solution": "long text", "extra": {"deep": [1]}},
        "",
        {
            "id": 7,
            "question": " How many? ",
            "answers": [18, "18", 2.5],
            "kind": "numeric",
            "licence": "MIT",
        },
        {
            "id": "s",
            "question": "What will be?",
            "answers": [],
            "answerable": False,
            "domain": None,
        },
    )
    first, second, third = read_questions(path)
    assert first == Question("q-1", "Who wrote Emma?", ("Jane Austen", "Austen"), "books", "nq", "")
    assert second == Question("7", "How many?", ("18", "2.5"), "set", "set.jsonl", "MIT", "numeric")
    assert third == Question("s", "What will be?", (), "set", "set.jsonl", "", answerable=False)


def test_missing_id_is_a_hash_of_the_question(tmp_path: Path) -> None:
    one, two = read_questions(
        jsonl(
            tmp_path,
            {"question": "Who?", "answers": ["a"]},
            {"question": "When?", "answers": ["b"]},
        )
    )
    again = read_questions(
        jsonl(tmp_path, {"question": " Who? ", "answers": ["c"]}, name="other.jsonl")
    )[0]
    assert one.id != two.id
    assert one.id == again.id


def test_questions_that_differ_by_a_bracket_have_ids_of_their_own(tmp_path: Path) -> None:
    rows = [
        {"question": text, "answers": ["a"]}
        for text in ("Is 3 in (1, 3]?", "Is 3 in (1, 3)?", "is 3 in (1, 3)?")
    ]
    assert len({question.id for question in read_questions(jsonl(tmp_path, *rows))}) == 3


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.00001, "0.00001"),
        (1e22, "10000000000000000000000"),
        (0.1, "0.1"),
        (3, "3"),
        (-2.50, "-2.5"),
        (1e-7, "0.0000001"),
    ],
)
def test_numbers_become_digits_without_an_exponent(
    tmp_path: Path, number: float, text: str
) -> None:
    row = {"question": "How much?", "answers": [number], "kind": "numeric"}
    assert read_questions(jsonl(tmp_path, row))[0].answers == (text,)


def test_options_are_read_from_every_format_and_written_back(tmp_path: Path) -> None:
    row = {
        "id": "c",
        "question": "Who?",
        "answers": ["B"],
        "kind": "choice",
        "options": ["Ann", "Bob", 3],
        "domain": "d",
    }
    (one,) = read_questions(jsonl(tmp_path, row))
    assert (one.options, one.letters) == (("Ann", "Bob", "3"), ("A", "B", "C"))
    (two,) = read_questions(
        csv_file(tmp_path, "id,question,answers,kind,options,domain\nc,Who?,B,choice,Ann|Bob|3,d\n")
    )
    pd.DataFrame([{**row, "options": ["Ann", "Bob", "3"]}]).to_parquet(tmp_path / "set.parquet")
    (three,) = read_questions(tmp_path / "set.parquet")
    assert one.options == two.options == three.options
    write_questions(tmp_path / "back.jsonl", [one])
    assert read_questions(tmp_path / "back.jsonl") == [one]


def test_line_separators_inside_a_text_do_not_end_the_row(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text('\ufeff{"question": "a\u2028b\x85c?", "answers": ["x"]}\r\n', encoding="utf-8")
    assert read_questions(path)[0].text == "a\u2028b\x85c?"


def test_csv(tmp_path: Path) -> None:
    text = (
        "\ufeffid,question,answers,domain,answerable\r\n"
        'q1,"Who wrote ""Emma"", the novel?",Jane Austen | Austen,books,\r\n'
        "\r\n"
        'q2,"Two\nlines?","[""a|b"", ""c""]",,true\r\n'
        "q3,Nothing?,,books,no\r\n"
    )
    first, second, third = read_questions(csv_file(tmp_path, text))
    assert first.text == 'Who wrote "Emma", the novel?'
    assert first.answers == ("Jane Austen", "Austen")
    assert (second.text, second.answers, second.domain) == ("Two\nlines?", ("a|b", "c"), "set")
    assert (third.answers, third.answerable) == ((), False)


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "facts.parquet"
    pd.DataFrame(
        {
            "id": ["a", "b"],
            "question": ["Who?", "Why?"],
            "answers": [["x", "y"], ["z"]],
            "kind": ["open", None],
            "other": [1, 2],
        }
    ).to_parquet(path)
    first, second = read_questions(path)
    assert (first.answers, first.domain, first.kind) == (("x", "y"), "facts", "open")
    assert (second.answers, second.kind) == (("z",), "open")


BROKEN = [
    ({"answers": ["a"]}, "line 2: field 'question' is missing"),
    ({"qestion": "Who?", "answers": ["a"]}, "rename 'qestion' to 'question'"),
    ({"question": "Who?", "answer": ["a"]}, "rename 'answer' to 'answers'"),
    ({"question": "Who?", "Answers": ["a"]}, "rename 'Answers' to 'answers'"),
    ({"question": " ", "answers": ["a"]}, "line 2: field 'question' is empty"),
    ({"question": 5, "answers": ["a"]}, "field 'question' is 5"),
    ({"question": "Who?", "answers": "a"}, "field 'answers' is 'a'; write a list"),
    ({"question": "Who?", "answers": []}, "field 'answers' is empty"),
    ({"question": "Who?", "answers": None}, "field 'answers' is empty"),
    ({"question": "Who?", "answers": ["a", " "]}, "field 'answers' holds ' '"),
    ({"question": "Who?", "answers": [True]}, "field 'answers' holds True"),
    ({"question": "Who?", "answers": ["a"], "kind": "essay"}, "field 'kind' is 'essay'"),
    (
        {"question": "Who?", "answers": ["a"], "kind": "numeric"},
        "field 'answers' holds 'a', which is not a number",
    ),
    (
        {"question": "Who?", "answers": ["a"], "answerable": "maybe"},
        "field 'answerable' is 'maybe'",
    ),
    ({"question": "Who?", "answers": ["a"], "domain": 3}, "field 'domain' is 3"),
    (
        {"question": "Who?", "answers": ["a"], "id": "q-1"},
        "field 'id' is 'q-1', already used at .*line 1",
    ),
    (
        {"question": "Who?", "answers": ["A"], "options": ["x", "y"]},
        "field 'options' belongs to kind 'choice'",
    ),
    (
        {"question": "Who?", "answers": ["A"], "kind": "choice", "options": "x"},
        "field 'options' is 'x'; write a list",
    ),
    (
        {"question": "Who?", "answers": ["A"], "kind": "choice", "options": ["x", None]},
        "field 'options' holds None",
    ),
    (
        '{"question": "Who?", "answers": ["\\ud800"]}',
        "field 'answers' holds half of a Unicode character",
    ),
    ('{"question": "Who?"', "line 2: not readable as JSON"),
    ('["Who?"]', "line 2: a row is a JSON object"),
    ("[" * 100_000, "line 2: not readable as JSON"),
]


@pytest.mark.parametrize(("row", "message"), BROKEN)
def test_broken_row_names_file_line_and_field(tmp_path: Path, row: Any, message: str) -> None:
    with pytest.raises(WorkbenchError, match=message) as caught:
        read_questions(jsonl(tmp_path, ROW, row))
    assert str(tmp_path / "set.jsonl") in str(caught.value)


BROKEN_CSV = [
    (
        "question,answer\nWho?,a\n",
        r"line 1: field 'answers' is missing in the header; rename 'answer'",
    ),
    ("Question,answers\nWho?,a\n", "rename 'Question' to 'question'"),
    ("question,answers,answers\nWho?,a,b\n", "line 1: two columns are called 'answers'"),
    ("question,answers\nWho, then?,a\n", "line 2: the row has 3 cells and the header 2"),
    ("question,answers,domain\nWho?,a\n", "line 2: the row has 2 cells and the header 3"),
    ('question,answers\n"a\nb",x\nWho?,\n', "line 4: field 'answers' is empty"),
    ("question,answers\nWho?,[1\n", "line 2: field 'answers' starts with"),
    ('question,answers\n"Who?,a\n', "not readable as CSV"),
    ("question,answers\n", "holds no questions"),
    ("", "holds no questions"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN_CSV)
def test_broken_csv(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        read_questions(csv_file(tmp_path, text))


def test_broken_parquet(tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(WorkbenchError, match="not readable as parquet"):
        read_questions(path)
    pd.DataFrame({"question": ["Who?", "Why?"], "answers": [["a"], []]}).to_parquet(path)
    with pytest.raises(WorkbenchError, match="row 2: field 'answers' is empty"):
        read_questions(path)


def test_broken_files(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match="no such file"):
        read_questions(tmp_path / "none.jsonl")
    with pytest.raises(WorkbenchError, match="unknown kind of file"):
        read_questions(tmp_path / "set.txt")
    with pytest.raises(WorkbenchError, match="holds no questions"):
        read_questions(jsonl(tmp_path, ""))
    latin = tmp_path / "latin.jsonl"
    latin.write_bytes('{"question": "Où?"}'.encode("latin-1"))
    with pytest.raises(WorkbenchError, match="line 1: not UTF-8"):
        read_questions(latin)
    with pytest.raises(WorkbenchError, match="not UTF-8"):
        read_questions(csv_file(tmp_path, "question,answers\nOù?,a\n", encoding="latin-1"))
    with pytest.raises(WorkbenchError, match=r"\.jsonl"):
        write_questions(tmp_path / "set.csv", [])


WORDS = (
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
    .map(str.strip)
    .filter(bool)
)
QUESTIONS = st.lists(
    st.builds(
        Question,
        id=WORDS,
        text=WORDS,
        answers=st.lists(WORDS, min_size=1, max_size=3, unique=True).map(tuple),
        domain=WORDS,
        source=WORDS,
        licence=WORDS | st.just(""),
        answerable=st.booleans(),
    ),
    min_size=1,
    max_size=4,
    unique_by=lambda question: question.id,
)


@settings(deadline=None, max_examples=60)
@given(QUESTIONS)
def test_what_is_written_reads_back(
    tmp_path_factory: pytest.TempPathFactory, questions: list[Question]
) -> None:
    path = tmp_path_factory.mktemp("set") / "set.jsonl"
    write_questions(path, questions)
    assert read_questions(path) == questions
    assert [child.name for child in path.parent.iterdir()] == ["set.jsonl"]
