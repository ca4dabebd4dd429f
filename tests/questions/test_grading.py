from __future__ import annotations

import unicodedata
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from workbench.questions.grading import (
    chosen_letter,
    chosen_number,
    chosen_option,
    declines,
    grade,
    is_refusal,
)
from workbench.questions.normalise import choice_letter, number_of
from workbench.questions.schema import Kind, Question
from workbench.questions.words import CAPITONYMS, CLOSED_CLASS


def ask(text: str, *answers: str, kind: Kind = "open") -> Question:
    return Question(
        id="q", text=text, answers=answers, domain="d", source="s", licence="", kind=kind
    )


OPEN = [
    # whole words only
    ("Paris", ["Paris"], True),
    ("The capital of France is Paris.", ["Paris"], True),
    ("PARIS!", ["Paris"], True),
    ("Parisian", ["Paris"], False),
    ("comparison", ["Paris"], False),
    ("Oman", ["Roman"], False),
    ("Romania", ["Oman"], False),
    ("Niger", ["Nigeria"], False),
    ("Nigeria", ["Niger"], False),
    ("the ark", ["rk"], False),
    # accents and letters without decomposition
    ("Bogota", ["Bogotá"], True),
    ("Bogotá", ["Bogota"], True),
    ("Yaounde\u0301", ["Yaoundé"], True),
    ("Lodz", ["Łódź"], True),
    ("Tromso", ["Tromsø"], True),
    # punctuation
    ("Guinea Bissau", ["Guinea-Bissau"], True),
    ("Cote d'Ivoire", ["Côte d’Ivoire"], True),
    ("William Shakespeare's", ["Shakespeare"], True),
    ("N'Djamena.", ["N’Djamena"], True),
    ("St. John's", ["St John's"], True),
    # articles at the edge only
    ("It was Beatles", ["The Beatles"], True),
    ("The Nile", ["Nile"], True),
    ("Alexander Great", ["Alexander the Great"], False),
    ("vitamin C", ["vitamin A"], False),
    ("who knows", ["The Who"], False),
    ("It was The Who", ["The Who"], True),
    # initials
    ("the US", ["U.S."], True),
    ("in the U.S.A.", ["USA"], True),
    ("J.R.R. Tolkien", ["J. R. R. Tolkien"], True),
    ("ask us", ["U.S."], False),
    # several aliases, extra words
    ("It is in Holland, I think", ["Netherlands", "Holland"], True),
    ("Buenos", ["Buenos Aires"], False),
    ("Aires Buenos", ["Buenos Aires"], False),
    # answers that are punctuation
    ("?", ["?"], True),
    ("what", ["?"], False),
]


@pytest.mark.parametrize(("reply", "answers", "right"), OPEN)
def test_open(reply: str, answers: list[str], right: bool) -> None:
    assert grade(reply, ask("Which one is it?", *answers)) is right


SHORT = [
    ("Au", "Au", True),
    ("The symbol is Au.", "Au", True),
    ("Au is the symbol of gold", "Au", True),
    ("au", "Au", False),
    ("AU", "Au", False),
    ("Australia", "Au", False),
    ("the Au79 isotope", "Au", False),
    ("W", "W", True),
    ("w", "W", False),
    ("It is W, from wolfram", "W", True),
    ("Who knows", "W", False),
    ("In", "In", True),
    ("In.", "In", True),
    ("In (indium)", "In", True),
    ("The symbol is In", "In", True),
    ("In chemistry it is tin", "In", False),
    ("It is tin. In chemistry", "In", False),
    ("the element in question", "In", False),
    ("He is a chemist", "He", False),
    ("symbol: He", "He", True),
    ("I think it is Xe", "I", False),
    ("The symbol of iodine is I", "I", True),
    ("No, it is Xe", "No", False),
    ("No", "No", True),
]


@pytest.mark.parametrize(("reply", "alias", "right"), SHORT)
def test_short_aliases_are_exact(reply: str, alias: str, right: bool) -> None:
    assert grade(reply, ask("What is the chemical symbol?", alias)) is right


NUMERIC = [
    ("What is 7 + 5?", "12", "12", True),
    ("What is 7 + 5?", "12", "12.0", True),
    ("What is 7 + 5?", "12", "twelve", True),
    ("What is 7 + 5?", "12", "112", False),
    ("What is 7 + 5?", "12", "1.2", False),
    ("What is 7 + 5?", "12", "7 + 5 = 12", True),
    ("What is 7 + 5?", "12", "7 + 5 = 13", False),
    ("What is 7 + 5?", "12", "7 + 5 equals 12.", True),
    ("What is 7 + 5?", "5", "7 + 5", False),
    ("What is 7 + 5?", "5", "What is 7 + 5?", False),
    ("What is 7 + 5?", "12", "What is 7 + 5? 12", True),
    ("What is 7 + 5?", "12", "The answer is 12, not 13", True),
    ("What is 7 + 5?", "13", "The answer is 12, not 13", False),
    ("What is 7 + 5?", "12", "7 + 5 =", False),
    ("What is 312 - 145?", "167", "312 - 145 = 167", True),
    ("What is 312 - 145?", "-145", "312 - 145", False),
    ("What is 6 - 3?", "3", "3", True),
    ("What is 6 - 3?", "3", "6 - 3 is 3", True),
    ("What is 6 - 3?", "3", "6 - 3", False),
    ("What is 3 - 6?", "-3", "-3", True),
    ("What is 3 - 6?", "-3", "3", False),
    ("What is 500 + 500?", "1000", "1,000", True),
    ("What is 500 + 500?", "1,000", "1000.0", True),
    ("What is 500 + 500?", "1000", "one thousand", True),
    ("What is 500 + 500?", "1000", "1,000,000", False),
    ("What is 3 times 4?", "12", "3 x 4 = 12 cm²", True),
    ("What is 2 times 6?", "12", "2 * 6 = 3 * 4 = 12", True),
    ("What is half of 1?", "0.5", "1/2", True),
    ("How much in dollars?", "18", "$18.00", True),
    ("How much in dollars?", "18", "18 dollars", True),
    ("How much in dollars?", "18", "none of it", False),
    ("How much in dollars?", "18", "", False),
]


@pytest.mark.parametrize("kind", ["numeric", "open"])
@pytest.mark.parametrize(("text", "answer", "reply", "right"), NUMERIC)
def test_numeric(text: str, answer: str, reply: str, right: bool, kind: Kind) -> None:
    assert grade(reply, ask(text, answer, kind=kind)) is right


def test_numbers_inside_phrases_are_compared_as_numbers() -> None:
    question = ask("When was it?", "14 December 1972", "one season")
    assert grade("on 14 December 1972", question)
    assert grade("1 season", question)
    assert not grade("on 14 December 1973", question)


CHOICE = [
    ("B", True),
    ("b", True),
    ("(B)", True),
    ("B.", True),
    ("B) Paris", True),
    ("B: Paris", True),
    ("The answer is B", True),
    ("The answer is (B).", True),
    ("B is right", True),
    ("Answer: **B**", True),
    ("A", False),
    ("A B", False),
    ("B, not C", True),
    ("A. B.", False),
    ("AB", False),
    ("Because", False),
    ("b is what I think", False),
    ("A big house", False),
    ("I'm not a cat", False),
    ("", False),
]


@pytest.mark.parametrize(("reply", "right"), CHOICE)
def test_choice(reply: str, right: bool) -> None:
    assert grade(reply, ask("Which one, A, B or C?", "B", kind="choice")) is right


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("A cat sat", None),
        ("A is right", "A"),
        ("A) a cat", "A"),
        ("A", "A"),
        ("I think C", "C"),
        ("I'm for D", "D"),
        ("U.S.", None),
    ],
)
def test_article_and_pronoun_are_not_choices(reply: str, letter: str | None) -> None:
    assert chosen_letter(reply) == letter


@pytest.mark.parametrize(
    "reply",
    ["", "  \n", "...", "I don't know", "I don’t know.", "I do not know the capital of Italy", "Unknown", "I'm not sure.",
     "I cannot answer that: Rome is out of reach", "As an AI I have no capital, Rome or not", "N/A", "I have no idea"],
)  # fmt: skip
def test_refusals_and_empty_replies_are_wrong(reply: str) -> None:
    assert is_refusal(reply)
    assert not grade(reply, ask("What is the capital of Italy?", "Rome", "7"))


def test_answer_after_a_refusal_counts() -> None:
    question = ask("What is the capital of Italy?", "Rome")
    assert grade("I'm not sure, but it may be Rome", question)
    assert not grade("I'm not sure about Rome but I do not know", question)


def test_refusal_that_is_the_answer_is_right() -> None:
    assert grade("unknown", ask("Which word did he write?", "Unknown"))


COPIED = [
    ("Is Paris or Rome the capital of Italy?", False),
    ("Is Paris or Rome", False),
    ("Rome", True),
    ("Rome is the capital of Italy.", True),
    ("The capital of Italy is Rome.", True),
    ("Is Paris or Rome the capital of Italy? Rome", True),
    ("Paris", False),
]


@pytest.mark.parametrize(("reply", "right"), COPIED)
def test_words_copied_from_the_question_do_not_count(reply: str, right: bool) -> None:
    assert grade(reply, ask("Is Paris or Rome the capital of Italy?", "Rome")) is right


def test_options_with_articles() -> None:
    question = ask("Is a salmon a mammal, a bird or a fish?", "fish")
    assert grade("A salmon is a fish.", question)
    assert grade("a fish", question)
    assert not grade("a mammal, a bird or a fish", question)


UNANSWERABLE = [
    ("I don't know.", True),
    ("Nobody knows.", True),
    ("No one can know that.", True),
    ("It is unknown.", True),
    ("The answer to this question is still unknown.", True),
    ("There is no definitive answer to this.", True),
    ("That is impossible to say.", True),
    ("As an AI, I have no opinion.", True),
    ("unknown", True),
    ("I can't predict the future.", True),
    ("It is hard to say.", True),
    ("It is hard work.", False),
    ("I don't know, but probably amen.", False),
    ("It is unclear, but it will be amen", False),
    ("amen", False),
    ("42", False),
    ("The unknown soldier said it.", False),
    ("Everyone knows that it is amen.", False),
    ("", False),
    ("  \n", False),
]


@pytest.mark.parametrize(("reply", "right"), UNANSWERABLE)
def test_a_question_without_an_answer_is_answered_by_a_refusal(reply: str, right: bool) -> None:
    question = Question("q", "What will the last word be?", (), "d", "s", "", answerable=False)
    assert grade(reply, question) is right
    assert declines(reply) is right


def test_saying_that_there_is_no_answer_is_wrong_where_there_is_one() -> None:
    assert not grade("Nobody knows.", ask("Who wrote Emma?", "Jane Austen"))
    assert grade("It is unclear who, but Jane Austen.", ask("Who wrote Emma?", "Jane Austen"))


VITAMINS = ("Vitamin A", "Iron", "Vitamin C", "Vitamin C and iron")
OPTION_REPLIES = [
    ("C", True),
    ("c)", True),
    ("The answer is (C).", True),
    ("C. Vitamin C", True),
    ("Vitamin C", True),
    ("It is vitamin c.", True),
    ("B. Vitamin C", False),
    ("Vitamin A", False),
    ("Vitamin C and iron", False),
    ("Vitamin C or Vitamin A", False),
    ("C or D", False),
    ("E", False),
    ("E or C", True),
    ("I don't know", False),
    ("", False),
]


@pytest.mark.parametrize(("reply", "right"), OPTION_REPLIES)
def test_a_choice_with_its_options_is_graded_by_letter(reply: str, right: bool) -> None:
    question = Question(
        "q", "What is missing in scurvy?", ("C",), "d", "s", "", "choice", options=VITAMINS
    )
    assert grade(reply, question) is right


def test_options_as_short_as_letters_do_not_hide_letters() -> None:
    assert chosen_option("B. He", ("H", "He", "C", "Li")) == "B"
    assert chosen_option("C", ("H", "He", "C", "Li")) == "C"
    assert chosen_option("li", ("H", "He", "C", "Li")) == "D"
    assert chosen_option("H", ("H", "He", "C", "Li")) == "A"
    assert chosen_option("K", ("H", "He", "C", "Li")) is None
    assert chosen_option("B or C", ()) is None


def test_chosen_number() -> None:
    assert chosen_number("= 1, I mean 2", "") is None
    assert chosen_number("from 3 to 4", "Is it 4?") == 3
    assert chosen_number("none", "Is it 4?") is None
    assert chosen_number("1/3", "") == Fraction(1, 3)


TEXT = st.text(max_size=60)
ANSWER = TEXT.filter(lambda text: bool(text.strip()))


@settings(deadline=None, max_examples=60)
@given(reply=TEXT, answer=ANSWER, text=ANSWER)
def test_never_raises(reply: str, answer: str, text: str) -> None:
    assert grade(reply, ask(text, answer)) in (True, False)


@settings(deadline=None, max_examples=60)
@given(
    reply=st.text(alphabet="aA1,.=-/ one thousand I'mB()", max_size=40),
    number=st.integers(-2000, 2000),
)
def test_never_raises_on_number_like_text(reply: str, number: int) -> None:
    assert grade(reply, ask(f"What is {number}?", str(number), kind="numeric")) in (True, False)


@settings(deadline=None, max_examples=60)
@given(answer=ANSWER, text=ANSWER)
def test_an_answer_itself_is_right(answer: str, text: str) -> None:
    assert grade(answer, ask(text, answer))
    if number_of(answer) is not None:
        assert grade(answer, ask(text, answer, kind="numeric"))
    if choice_letter(answer) is not None:
        assert grade(answer, ask(text, answer, kind="choice"))


LETTERS = "abcdeghknoprsuvzABCDEGHéèüñçáÅÖ"
WORD = st.text(alphabet=LETTERS, min_size=4, max_size=12)


def variants(text: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return [text.upper(), text.lower(), text.swapcase(), unicodedata.normalize("NFD", text), plain]


@settings(deadline=None, max_examples=60)
@given(words=st.lists(WORD, max_size=6), answer=WORD)
def test_case_and_accents_do_not_matter_for_long_aliases(words: list[str], answer: str) -> None:
    # Capitalised words of every day, as May and None, need their case.
    assume(variants(answer)[-1].lower() not in CLOSED_CLASS | CAPITONYMS)
    question = ask("Which word?", answer)
    reply = " ".join(words)
    assert {grade(variant, question) for variant in variants(reply)} == {grade(reply, question)}
    assert {grade(reply, ask("Which word?", variant)) for variant in variants(answer)} == {
        grade(reply, question)
    }


@settings(deadline=None, max_examples=60)
@given(before=st.lists(WORD, max_size=4), after=st.lists(WORD, max_size=4), answer=WORD)
def test_an_answer_among_other_words_is_right(
    before: list[str], after: list[str], answer: str
) -> None:
    assert grade(" ".join([*before, answer, *after]), ask("?", answer))


@settings(deadline=None, max_examples=60)
@given(prefix=WORD, answer=WORD)
def test_an_answer_inside_a_longer_word_is_wrong(prefix: str, answer: str) -> None:
    assume(answer.casefold() not in (prefix.casefold(),))
    assert not grade(prefix + answer, ask("?", answer))


@settings(deadline=None, max_examples=60)
@given(value=st.integers(0, 10**9), wrong=st.integers(1, 10**6))
def test_numbers_are_compared_as_numbers(value: int, wrong: int) -> None:
    question = ask("How many?", str(value), kind="numeric")
    assert grade(f"There are {value:,}.", question)
    assert grade(f"{value}.00", question)
    assert not grade(f"{value + wrong}", question)
