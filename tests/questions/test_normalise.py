from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.questions.normalise import (
    choice_letter,
    fold,
    keys,
    number_of,
    numbers,
    question_key,
    tokens,
)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("Côte d’Ivoire", "Cote d’Ivoire"),
        ("Łódź", "Lodz"),
        ("Tromsø", "Tromso"),
        ("Straße", "Strasse"),
        ("H₂O", "H2O"),
    ],
)
def test_fold(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,000", [1000]),
        ("1000.0", [1000]),
        ("1,000,000.50", [Fraction("1000000.5")]),
        ("1,2 and 3", [1, 2, 3]),
        ("12,34", [Fraction("12.34")]),
        ("12,34 and 5", [12, 34, 5]),
        ("007", [7]),
        (".5", [Fraction(1, 2)]),
        ("1/2", [Fraction(1, 2)]),
        ("½ cup", [Fraction(1, 2)]),
        ("14/12/1972", [14, 12, 1972]),
        ("1/0", []),
        ("-5", [-5]),
        ("−5", [-5]),
        ("(-5)", [-5]),
        ("10-12", [10, 12]),
        ("312 - 145", [312, 145]),
        ("$18", [18]),
        ("30%", [30]),
        ("5kg", [5]),
        ("10²", [100]),
        ("12.", [12]),
        ("H2O", []),
        ("3rd of the 1990s, 12th", []),
        ("3.5.", [Fraction(7, 2)]),
    ],
)
def test_numbers(text: str, expected: list[Fraction]) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zero", [0]),
        ("twenty-one", [21]),
        ("one thousand", [1000]),
        ("Two Hundred and Five", [205]),
        ("three hundred twelve thousand and forty-two", [312042]),
        ("one million two thousand", [1002000]),
        ("a thousand", [1000]),
        ("one, two, three", [1, 2, 3]),
        ("twenty eleven", [20, 11]),
        ("nineteen eighty four", [19, 84]),
        ("No one knows which one of them", []),
        ("thousands of people", []),
        ("someone", []),
    ],
)
def test_number_words(text: str, expected: list[int]) -> None:
    assert numbers(text) == expected


def test_number_of_needs_the_number_alone() -> None:
    assert number_of(" $1,000. ") == 1000
    assert number_of("12 apples") is None
    assert number_of("apples") is None


def test_tokens_keep_spelling_and_join_initials() -> None:
    assert [token.spelling for token in tokens("The U.S. Army")] == ["The", "U", "S", "Army"]
    assert [token.spelling for token in tokens("The U.S. Army", "initials")] == [
        "The",
        "US",
        "Army",
    ]


@pytest.mark.parametrize(
    ("text", "letter"),
    [("B", "B"), ("(b)", "B"), ("B.", "B"), ("AB", None), ("A B", None), ("", None)],
)
def test_choice_letter(text: str, letter: str | None) -> None:
    assert choice_letter(text) == letter


def test_question_key_keeps_what_changes_the_question() -> None:
    assert question_key("  What is  the CAPITAL of Perú?") == question_key(
        "What is the capital of Peru"
    )
    assert question_key("What is 7 + 5?") != question_key("What is 7 - 5?")
    assert question_key("What is 1.5 + 5?") != question_key("What is 15 + 5?")
    assert question_key("???") == "???"


@settings(deadline=None, max_examples=60)
@given(st.integers(min_value=0, max_value=10**12), st.booleans())
def test_written_integers_read_back(value: int, grouped: bool) -> None:
    assert numbers(f"it is {value:,} units" if grouped else f"it is {value} units") == [value]


@settings(deadline=None, max_examples=60)
@given(st.text())
def test_any_text_has_tokens(text: str) -> None:
    assert all(key != "" for key in keys(text))


@settings(deadline=None, max_examples=60)
@given(st.integers(min_value=4000, max_value=9000))
def test_very_long_digit_strings_are_text(length: int) -> None:
    assert keys("9" * length) == ["9" * length]
