from __future__ import annotations

import pytest

from workbench.errors import WorkbenchError
from workbench.questions import builtin_questions, grade, prompt_text, right_options
from workbench.questions.distractors import choice_questions
from workbench.questions.normalise import number_of
from workbench.questions.schema import Question


def ask(name: str, *answers: str, domain: str = "d") -> Question:
    return Question(name, f"Who is {name}?", answers, domain, "s", "CC0-1.0")


POOL = [
    ask(name, *answers)
    for name, *answers in [("u", "Ann"), ("v", "Bob"), ("w", "Cid"), ("x", "Dan"), ("y", "7")]
]


def test_distractors_are_answers_of_the_same_domain_and_kind() -> None:
    other = [ask("o", "Eve", domain="e"), ask("p", "Fay", domain="e"), ask("r", "8")]
    made = choice_questions([*POOL[:4], *other[:2]], 2, 0)
    for question in made[:4]:
        assert set(question.options) <= {"Ann", "Bob", "Cid", "Dan"}
    for question in made[4:]:
        assert set(question.options) == {"Eve", "Fay"}
    numbers = choice_questions([*POOL, other[2]], 2, 0)
    assert [set(q.options) for q in numbers if number_of(q.options[0]) is not None] == [
        {"7", "8"}
    ] * 2


def test_an_accepted_answer_is_never_a_distractor() -> None:
    """Also not one that only another question of the same text accepts, or that grading would
    accept.
    """
    twin = Question("t", "who is u", ("Cid",), "d", "s", "")
    pool = [
        ask("u", "Ann", "Annie Lee"),
        ask("v", "Annie Lee"),
        ask("w", "Ann Boleyn"),
        *POOL[1:4],
        twin,
    ]
    for seed in range(30):
        (question, *_, other) = choice_questions(pool, 3, seed)
        assert right_options(question) == ("Ann",)
        assert set(question.options) == {"Ann", "Bob", "Dan"}
        assert not set(other.options) & {"Ann", "Ann Boleyn", "Annie Lee"}


def test_the_order_of_the_set_does_not_count_and_the_seed_does() -> None:
    forwards, backwards = choice_questions(POOL[:4], 3, 0), choice_questions(POOL[3::-1], 3, 0)
    assert forwards == backwards[::-1]
    assert [q.options for q in forwards] != [q.options for q in choice_questions(POOL[:4], 3, 1)]


def test_too_few_answers_and_none_are_named() -> None:
    with pytest.raises(
        WorkbenchError, match="The domain 'd' has too few other answers for 5 options"
    ):
        choice_questions(POOL[:4], 5, 0)
    with pytest.raises(WorkbenchError, match="Question 'n' has no answer"):
        choice_questions(
            [*POOL[:4], Question("n", "Why?", (), "d", "s", "", answerable=False)], 2, 0
        )
    with pytest.raises(WorkbenchError, match="options is 1"):
        choice_questions(POOL, 1, 0)


def test_the_built_in_set_yields_choice_questions() -> None:
    source = builtin_questions()
    made = choice_questions(source, 4, 0)
    assert [q.id for q in made] == [q.id for q in source]
    for question, original in zip(made, source, strict=True):
        assert (question.text, question.domain, len(question.options)) == (
            original.text,
            original.domain,
            4,
        )
        accepted = [option for option in question.options if grade(option, original)]
        assert accepted == list(right_options(question)) == [original.answers[0]]
        assert grade(question.answers[0], question)
        # The symbols of boron and carbon are letters of other options as well.
        assert grade(original.answers[0], question) or original.answers[0] in ("B", "C")
        assert question.options[0] in prompt_text(question)
