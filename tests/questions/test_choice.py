from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.questions.choice import (
    open_variant,
    prompt_text,
    right_options,
    shuffled,
    stands_alone,
)
from workbench.questions.grading import grade
from workbench.questions.schema import Question


def choice(
    text: str = "What melts ice?",
    options: tuple[str, ...] = ("cold", "heat", "dark"),
    *letters: str,
) -> Question:
    return Question("q", text, letters or ("B",), "d", "s", "", "choice", options=options)


def test_asked_writes_options_one_a_line() -> None:
    assert prompt_text(choice()) == (
        "What melts ice?\nA. cold\nB. heat\nC. dark\nAnswer with the letter of the right option."
    )
    assert prompt_text(choice(), "bare") == "What melts ice?\nA) cold\nB) heat\nC) dark"
    assert (
        prompt_text(replace(choice(), options=(), kind="open", answers=("heat",)))
        == "What melts ice?"
    )
    with pytest.raises(
        WorkbenchError,
        match="Unknown choice template 'round'; choose one of bare, bracketed, dotted",
    ):
        prompt_text(choice(), "round")


OPTIONS = st.lists(st.text("abcdefgh", min_size=3, max_size=8), min_size=2, max_size=8, unique=True)


@given(OPTIONS, st.integers(0, 7), st.integers(0, 3))
def test_shuffling_moves_letters_and_keeps_what_is_right(
    options: list[str], right: int, seed: int
) -> None:
    before = choice("Which?", tuple(options), "ABCDEFGH"[right % len(options)])
    after = shuffled(before, seed)
    assert sorted(after.options) == sorted(options)
    assert right_options(after) == right_options(before)
    assert grade(after.answers[0], after)
    assert shuffled(shuffled(before, seed + 1), seed) == after


def test_the_right_letter_is_spread_evenly() -> None:
    """Published first throughout, as in TruthfulQA."""
    letters = Counter(
        shuffled(choice(f"Fact {i}?", ("w", "x", "y", "z"), "A"), 0).answers[0] for i in range(2000)
    )
    assert set(letters) == set("ABCD")
    assert all(abs(count - 500) < 5 * (2000 * 3 / 16) ** 0.5 for count in letters.values())


@pytest.mark.parametrize(
    "last", ["None of the above", "Both A and B", "A, B and C", "All of these options"]
)
def test_options_that_speak_of_others_stay_where_they_are(last: str) -> None:
    question = choice("What is wet?", ("rain", "snow", "sea", last), "D")
    assert all(shuffled(question, seed) == question for seed in range(20))
    assert not stands_alone(question)


@pytest.mark.parametrize("option", ["vitamin B", "a plan", "A man and a dog", "Group A", "B cells"])
def test_letters_that_are_part_of_an_option_do_not_stop_the_shuffle(option: str) -> None:
    question = choice("What is it?", ("rain", "snow", "sea", option), "D")
    assert any(shuffled(question, seed) != question for seed in range(20))


def test_the_open_variant_keeps_the_item_and_drops_the_options() -> None:
    variant = open_variant(choice(), ["warmth"])
    assert (variant.id, variant.text, variant.kind, variant.options) == (
        "q",
        "What melts ice?",
        "open",
        (),
    )
    assert variant.answers == ("heat", "warmth")
    assert grade("Heat does.", variant)
    assert not grade("B", variant)
    assert open_variant(variant) == variant


def test_the_open_variant_of_numbers_is_numeric() -> None:
    variant = open_variant(choice("1 + 1 =", ("1", "2"), "B"))
    assert (variant.kind, variant.answers) == ("numeric", ("2",))
    assert grade("1 + 1 = 2", variant)


def test_a_choice_without_options_of_its_own_has_no_open_variant() -> None:
    with pytest.raises(WorkbenchError, match="'q' is a choice without options of its own"):
        open_variant(Question("q", "A or B?", ("A",), "d", "s", "", "choice"))


@pytest.mark.parametrize(
    ("text", "alone"),
    [
        ("What melts ice?", True),
        ("Which of the following melts ice?", False),
        ("Which of these is not a metal?", False),
        ("All are mammals except", False),
        ("Ice ____ in heat.", False),
        ("Bees make", True),
        ("Following the rain, what did he do?", True),
    ],
)
def test_whether_a_wording_stands_alone(text: str, alone: bool) -> None:
    assert stands_alone(choice(text)) is alone
