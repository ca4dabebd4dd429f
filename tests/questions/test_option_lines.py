from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.questions.option_lines import Choice, choice_of, quoted, spelled_out

DOTTED = "Which is red?\nA. Sky\nB. Blood\nC. Grass\nAnswer with the letter of the right option."


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (DOTTED, ("A. Sky", "B. Blood", "C. Grass")),
        ("Which is red?\n\n(A) Sky\n(B) Blood\n(C) Grass", ("(A) Sky", "(B) Blood", "(C) Grass")),
        ("Which is red?\nA) Sky\n  B) Blood\nC: Grass", ("A) Sky", "B) Blood", "C: Grass")),
    ],
)
def test_options_are_found_in_their_usual_forms(text: str, lines: tuple[str, ...]) -> None:
    assert choice_of(text) == Choice("Which is red?", lines, ("Sky", "Blood", "Grass"))
    assert quoted(text, True) == "\n".join(["Which is red?", *lines])
    assert quoted(text, False) == "Which is red?"


@pytest.mark.parametrize(
    "text",
    [
        "Who?",
        "A. Who?",
        "Who?\nA. Ada",
        "Who?\nB. Ada\nC. Bob",
        "Who?\nA. Ada\nC. Bob",
        "Who? A. Ada B. Bob",
        "A.\nB.",
        "",
    ],
)
def test_other_texts_have_no_options(text: str) -> None:
    assert choice_of(text) == Choice(text, (), ())
    assert quoted(text, True) == quoted(text, False) == text


def test_a_list_inside_the_question_is_not_cut_off_where_the_options_are() -> None:
    text = "Read.\nA. First\nThen.\nA. Sky\nB. Blood"
    assert choice_of(text).stem == "Read.\nA. First\nThen."


@pytest.mark.parametrize(
    "answer", ["B", "(B)", "B.", "B)", " B ", "B. Blood", "(B) Blood", "B) something else"]
)
def test_a_letter_is_spelled_out(answer: str) -> None:
    assert spelled_out(DOTTED, answer) == "Blood"


@pytest.mark.parametrize("answer", ["D", "Blood", "b", "Because", "", "A or B", "B C"])
def test_any_other_answer_stays(answer: str) -> None:
    assert spelled_out(DOTTED, answer) == answer
    assert spelled_out("Who?", "A") == "A"


@given(st.text(max_size=40))
def test_no_text_breaks_it(text: str) -> None:
    choice = choice_of(text)
    assert len(choice.lines) == len(choice.texts) != 1
    assert choice.stem in text
