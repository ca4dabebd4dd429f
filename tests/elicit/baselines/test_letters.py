from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.elicit.baselines.letters import lettered, letters_of
from workbench.errors import WorkbenchError
from workbench.questions import Question, grade

CAPITALS = [
    Question(f"q{i}", f"What is the capital of {country}?", (city,), "capitals", "test", "none")
    for i, (country, city) in enumerate(
        (("France", "Paris"), ("Spain", "Madrid"), ("Italy", "Rome"), ("Austria", "Vienna"), ("Poland", "Warsaw"))
    )
]


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("Which?\nA. one\nB. two\nC. three\nAnswer with a letter.", ("A", "B", "C")),
        ("Which?\n(A) one\n(B) two", ("A", "B")),
        ("Which?\nB) two\nA) one", ("A",)),
        ("Which of A. and B. is it?", ()),
    ],
)
def test_letters_stand_at_the_head_of_lines(text: str, letters: tuple[str, ...]) -> None:
    assert letters_of(Question("q", text, ("A",), "d", "s", "l", "choice")) == letters
    assert letters_of(Question("q", text, ("A",), "d", "s", "l")) == ()


def test_made_choices_hold_the_right_answer_once_behind_its_letter() -> None:
    made = lettered(CAPITALS, 4, seed=0)
    assert [question.id for question in made] == [question.id for question in CAPITALS]
    for question, source in zip(made, CAPITALS, strict=True):
        assert letters_of(question) == ("A", "B", "C", "D")
        options = {line[0]: line[3:] for line in question.text.split("\n")[1:5]}
        assert options[question.answers[0]] == source.answers[0]
        assert len(set(options.values())) == 4
        assert grade(question.answers[0], question)
    assert len({question.answers for question in made}) > 1


def test_choices_depend_on_seed_and_question_alone() -> None:
    texts = {question.id: question.text for question in lettered(CAPITALS, 3, seed=0)}
    assert {question.id: question.text for question in lettered(CAPITALS[::-1], 3, seed=0)} == texts
    assert {question.id: question.text for question in lettered(CAPITALS, 3, seed=1)} != texts


def test_an_option_that_would_be_right_is_never_a_wrong_one() -> None:
    twin = replace(CAPITALS[0], answers=("Paris", "Madrid", "Rome", "Vienna"))
    made = lettered([twin, *CAPITALS[1:]], 2, seed=0)
    assert "Warsaw" in made[0].text
    with pytest.raises(WorkbenchError, match="fewer options"):
        lettered([twin, *CAPITALS[1:4]], 5, seed=0)
