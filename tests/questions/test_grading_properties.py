"""Properties of grading that hold for any reply: it ends, it never raises, options are alike, a
number reads back as it is written.
"""

from __future__ import annotations

import time
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.elicit.parse import parse_confidence
from workbench.elicit.scales import CERTAINTY, PERCENT, TENTHS
from workbench.questions.chosen import choice_read
from workbench.questions.grading import Grade, grade_of
from workbench.questions.normalise import numeral_of, tokens
from workbench.questions.schema import Question
from workbench.questions.stated_number import stated_numbers

PIECES = [
    *"0123456789ABCDI", ".", ",", " ", "-", "−", "—", "+", "/", "^", "*", "**", "_", "(", ")", "[", "]", "{", "}", "'", "\"", "$", "€", "%",
    "=", "==", "!", "?", ":", ";", "&", "#", "~", "\\", "\\frac{1}{2}", "\\boxed{", "\\text{", "{,}", "\\,", "\\sqrt{2}", "½", "²", "⁻", "①", "٣",
    "\u2009", "\u00a0", "\u200b", "\u0301", "é", "ʻ", "√", "π", "°", "e5", "x10^", "million", "k", "one", "two", "hundred", "and a half", "half", "point",
    "minus", "not ", "but", "or ", "and ", "the answer is ", "Answer:", "I don't know", "because", "is", "Yes", "no", "May", "C++", "C#", "\n", "of",
]  # fmt: skip
MIXED = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.lists(
    st.sampled_from(PIECES), max_size=10
).map(" ".join)
OPTION_SETS = [
    ("cold", "heat", "dark"), ("Yes", "No"), ("Vitamin A", "Iron", "Vitamin C", "Vitamin C and iron"), ("10", "12", "14", "160"), ("UK", "US", "pH"),
    ("None", "Not enough information", "Unknown", "I do not know"), ("(0, 1)", "[0, 1]", "f(x)", "f'(x)"), ("CO", "Co", "5", "5!"),
]  # fmt: skip
FORMS = [
    "{L}", "{l}", "({L})", "{L}.", "{L}) {t}", "{L}: {t}", "{L}. {t}", "{L} because it is", "{L} is right", "{L} big house", "The answer is {L}.",
    "the answer is {t}.", "{t}", "{t}, I think", "I think {L}", "It could be {M} but the answer is {L}", "{L} or {M}", "{t} or {u}", "{L}, not {M}",
    "not {L}", "**{L}**", "\\boxed{{{L}}}", "{t} rather than {u}", "I don't know, but {L}", "I don't know", "{L}\n{M}", "a {t} thing", "{L}. 37 °C",
    "I would say {t}", "{l}) {t}", "{L} was", "{L}/{M}", "{L} {t}",
]  # fmt: skip


def ask(
    kind: str, *answers: str, options: tuple[str, ...] = (), text: str = "What is it?"
) -> Question:
    return Question("q", text, answers, "d", "s", "", kind, options=options)  # type: ignore[arg-type]


QUESTIONS = [
    ask("open", "C++", "[0, 1]", "f'(x)", "May", "Au", "No", "Simon & Garfunkel", "12"),
    ask("numeric", "-12.5", "2/3"),
    ask("choice", "B"),
    *(ask("choice", "B", options=options) for options in OPTION_SETS),
]


@settings(deadline=None, max_examples=150)
@given(reply=MIXED | st.text(max_size=40), answer=MIXED | st.text(max_size=20))
def test_any_text_is_graded(reply: str, answer: str) -> None:
    for question in QUESTIONS:
        assert isinstance(grade_of(reply, question), Grade)
    for scale in (PERCENT, TENTHS, CERTAINTY):
        parse_confidence(reply, scale)
    if answer.strip():
        question = ask("open", answer, text=reply.strip() or "?")
        assert grade_of(answer, question) is Grade.RIGHT
        grade_of(reply, question)


@settings(deadline=None, max_examples=100)
@given(MIXED | st.text(max_size=40))
def test_places_of_tokens_rise(text: str) -> None:
    found = tokens(text)
    assert all(one.start < one.end <= other.start for one, other in pairwise(found))
    assert all(
        isinstance(numeral.readings, frozenset)
        for numeral in stated_numbers(text, "What is 1 + 1?")
    )


@pytest.mark.parametrize("options", OPTION_SETS, ids=lambda options: options[0])
def test_no_option_is_treated_otherwise_than_another(options: tuple[str, ...]) -> None:
    """Move options to other letters and say the same of them: the grade stays."""
    count = len(options)
    orders = list(permutations(range(count)))[:: 1 if count < 4 else 5]
    for form in FORMS:
        for one, other in list(permutations(range(count), 2))[:6]:
            found: set[tuple[Grade, ...]] = set()
            for order in orders:
                letter = {option: "ABCD"[place] for place, option in enumerate(order)}
                said = form.format(
                    L=letter[one],
                    l=letter[one].lower(),
                    M=letter[other],
                    t=options[one],
                    u=options[other],
                )
                shown = tuple(options[option] for option in order)
                found.add(
                    tuple(
                        grade_of(said, ask("choice", letter[right], options=shown))
                        for right in range(count)
                    )
                )
            assert len(found) == 1, form


@pytest.mark.parametrize("letter", "ABCDEFGHI")
def test_no_letter_is_treated_otherwise_than_another(letter: str) -> None:
    shown = tuple(
        f"number {word}"
        for word in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    )
    for form in (
        "{L}",
        "{L} because it is",
        "{L} is right",
        "{L}, I think",
        "{L}. x",
        "The answer is {L}",
    ):
        assert choice_read(form.format(L=letter), shown).letter == letter, form
    for form in ("{L} big house", "{L} think so"):
        read = choice_read(form.format(L=letter), shown)
        assert (read.letters, read.certain) == ({letter}, False), form


def indian(value: int) -> str:
    head, tail = (str(value)[:-3], str(value)[-3:]) if value >= 1000 else ("", str(value))
    pairs = []
    while head:
        head, pair = head[:-2], head[-2:]
        pairs.insert(0, pair)
    return ",".join([*pairs, tail])


WHOLE = [
    str, "{:,}".format, "{:_}".format, lambda n: f"{n:,}".replace(",", "'"), lambda n: f"{n:,}".replace(",", "\u202f"),
    lambda n: f"{n:,}".replace(",", "\\,"), lambda n: f"{n:,}".replace(",", "{,}"), indian, lambda n: f"${n:,}", lambda n: f"**{n}**",
    lambda n: f"\\boxed{{{n}}}", lambda n: f"{n}.0", lambda n: "".join(chr(0x660 + int(c)) for c in str(n)),
    lambda n: f"{n}e0", lambda n: f"{n} × 10⁰", lambda n: f"{n} km²", lambda n: f"= {n} m s-2", lambda n: f"\\frac{{{n}}}{{1}}",
]  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    value=st.integers(0, 10**12),
    sign=st.sampled_from(["", "-", "−", "–", "minus "]),
    form=st.sampled_from(WHOLE),
)
def test_a_whole_number_reads_back_in_every_spelling(value: int, sign: str, form) -> None:  # type: ignore[no-untyped-def]
    written = form(value)
    if "frac" in written and sign == "minus ":
        sign = "-"
    said = (
        written.replace(str(value), f"{sign}{value}", 1)
        if "\\" in written or "=" in written
        else f"{sign}{written}"
    )
    expected = -value if sign and said != written else value
    question = ask("numeric", str(expected))
    assert grade_of(said, question) is Grade.RIGHT, said
    assert grade_of(said, ask("numeric", str(expected + 1))) is not Grade.RIGHT


@settings(deadline=None, max_examples=60)
@given(value=st.decimals(-(10**6), 10**6, places=4), exponent=st.integers(-9, 9))
def test_scientific_spellings_are_the_decimal(value: Decimal, exponent: int) -> None:
    expected = Fraction(value) * Fraction(10) ** exponent
    for said in (
        f"{value}e{exponent}",
        f"{value}E{exponent:+d}",
        f"{value}*10^{exponent}",
        f"{value} \\times 10^{{{exponent}}}",
        f"{value} × 10**{exponent}",
    ):
        numeral = numeral_of(said)
        assert numeral is not None, said
        assert numeral.value == expected, said


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 999),
    st.integers(1, 9),
    st.integers(2, 12),
    st.sampled_from(["{w} {a}/{b}", "{w}\\frac{{{a}}}{{{b}}}", "{w} and {a}/{b}"]),
)
def test_mixed_numbers_are_sums(whole: int, over: int, under: int, form: str) -> None:
    numeral = numeral_of(form.format(w=whole, a=over, b=under))
    assert numeral is not None or over >= under
    if numeral is not None and over < under:
        assert numeral.value == whole + Fraction(over, under)


LONG = ["1,", "10 000 ", "- ", "one ", "and a half ", "A ", "A. x\n", "=1 ", "2^", "\\frac{1}{2}", "\\boxed{", "{", "I don't know but ", "answer is A ", "not ",
        "a\u0301", "a.b.", "it's ", "5 m-2 ", "cold ", "½", "**", "What is it? "]  # fmt: skip


@pytest.mark.parametrize(
    ("piece", "size"),
    [*((piece, 100_000) for piece in ("9", "1/", "((((")), *((piece, 20_000) for piece in LONG)],
)
def test_a_long_reply_takes_time_in_proportion(piece: str, size: int) -> None:
    """A rule that goes over the whole reply at each of its characters takes minutes."""
    reply = (piece * (size // len(piece) + 1))[:size]
    for question in (
        ask("open", "cold"),
        ask("numeric", "12"),
        ask("choice", "B", options=OPTION_SETS[0]),
    ):
        start = time.process_time()
        grade_of(reply, question)
        assert time.process_time() - start < 4
    start = time.process_time()
    parse_confidence(reply, PERCENT)
    assert time.process_time() - start < 1
