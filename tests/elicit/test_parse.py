from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.elicit.parse import parse_confidence
from workbench.elicit.scales import (
    CERTAINTY,
    CERTAINTY_LETTERS,
    DIGIT,
    HUNDRED,
    HUNDREDTHS,
    PERCENT,
    ROMAN,
    TEN,
    TENTHS,
    WHICH,
    YES_NO,
    Scale,
)

SCALES = (
    CERTAINTY,
    CERTAINTY_LETTERS,
    DIGIT,
    HUNDRED,
    HUNDREDTHS,
    PERCENT,
    ROMAN,
    TEN,
    TENTHS,
    WHICH,
    YES_NO,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("95", 0.95),
        (" 95%", 0.95),
        ("95.", 0.95),
        ("7%.", 0.07),
        ("100%", 1.0),
        ("0", 0.0),
        (" 99.99", 0.9999),
        ("99.5%", 0.995),
        ("95 %", 0.95),
        ("95. I am sure", 0.95),
        ("95, since", 0.95),
        ("95)", 0.95),
        ("95!", 0.95),
        ("95\n", 0.95),
        ("95 out of 100", 0.95),
        ("007", 0.07),
        ("9 5", 0.09),
        ("1", 0.01),
        ("0.95%", 0.0095),
        ("1.0%", 0.01),
        ("1.5", 0.015),
        ("95 - I am sure", 0.95),
        ("80, or so", 0.8),
        ("80 and that is it", 0.8),
    ],
)
def test_a_number_that_stands_alone_is_the_confidence(text: str, value: float) -> None:
    assert parse_confidence(text, PERCENT) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "%",
        ".",
        "ninety",
        "-5",
        "+5",
        "101",
        "100.5",
        "1000",
        "1000%",
        "95/100",
        "95.5/100",
        "95.5x",
        "95-100",
        "95x",
        "95e1",
        "0,95",
        "9,5%",
        "1.2.3",
        "5:30",
        ".95",
        "about 95",
        "Confidence: 95",
        # a share of one, not less than one per cent
        "0.85",
        "0.85.",
        "1.0",
        "0.0",
        " 0.5 or so",
        # ranges
        "0 to 100",
        "0% to 100%",
        "80 - 90%",
        "80% - 90%",
        "80 – 90",
        "80%-90%",
        "80 ~ 90",
        "80 or 90",
        "80 and 90",
        "80 up to 90",
        "80 through 90",
        "80. to 90",
        "95 / 100",
    ],
)
def test_anything_else_is_a_format_failure(text: str) -> None:
    assert math.isnan(parse_confidence(text, PERCENT))


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [
        ("7", TEN, 0.7),
        (" 7.5.", TEN, 0.75),
        ("7 out of 10", TEN, 0.7),
        ("10", TEN, 1.0),
        ("9", DIGIT, 1.0),
        ("3, since", DIGIT, 1 / 3),
        ("0.85", HUNDREDTHS, 0.85),
        ("1", HUNDREDTHS, 1.0),
        ("0.855", TENTHS, 0.855),
        ("1.0\n", TENTHS, 1.0),
        ("1", HUNDRED, 0.01),
        ("99", HUNDRED, 0.99),
    ],
)
def test_numbers_of_other_scales_divide_by_their_own_certainty(
    text: str, scale: Scale, value: float
) -> None:
    assert parse_confidence(text, scale) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("10", DIGIT),
        ("7%", DIGIT),
        ("7 %", TEN),
        ("1%", TENTHS),
        ("0.8%", HUNDREDTHS),
        ("85", HUNDREDTHS),
        ("85%", HUNDREDTHS),
        ("1.01", HUNDREDTHS),
        ("0.0 to", TENTHS),
        ("0.0 to 1.0", TENTHS),
        ("0.5 - 0.7", TENTHS),
        ("0.5 – 0.7", HUNDREDTHS),
        ("7 or 8", TEN),
        ("7 / 10", TEN),
        ("0", HUNDRED),
        ("0.5", HUNDRED),
        ("7/10", TEN),
        ("seven", TEN),
    ],
)
def test_numbers_off_a_scale_or_in_another_unit_are_failures(text: str, scale: Scale) -> None:
    assert math.isnan(parse_confidence(text, scale))


@pytest.mark.parametrize(
    ("text", "scale", "value"),
    [
        ("very certain", CERTAINTY, 1.0),
        (" Very Certain.", CERTAINTY, 1.0),
        ("very\n certain", CERTAINTY, 1.0),
        ("very uncertain, as", CERTAINTY, 0.0),
        ("not certain that it is", CERTAINTY, 0.2),
        ("Somewhat certain!", CERTAINTY, 0.4),
        ("A", CERTAINTY_LETTERS, 1.0),
        (" B) fairly", CERTAINTY_LETTERS, 0.8),
        ("C (moderately", CERTAINTY_LETTERS, 0.6),
        ("D. somewhat certain", CERTAINTY_LETTERS, 0.4),
        ("F\nmore", CERTAINTY_LETTERS, 0.0),
        ("yes", YES_NO, 1.0),
        ("Yes, it is", YES_NO, 1.0),
        ("NO.", YES_NO, 0.0),
        (" ii) yes", ROMAN, 1.0),
        ("i", ROMAN, 0.0),
        (" (ii) Yes.", ROMAN, 1.0),
        ("(B) fairly certain", CERTAINTY_LETTERS, 0.8),
        ("Q1", WHICH, 1.0),
        ("Q2: Who?", WHICH, 0.0),
    ],
)
def test_words_of_a_scale(text: str, scale: Scale, value: float) -> None:
    assert parse_confidence(text, scale) == pytest.approx(value)


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("certain", CERTAINTY),
        ("very", CERTAINTY),
        ("very certainly", CERTAINTY),
        ("very uncertainty", CERTAINTY),
        ("I am very certain", CERTAINTY),
        ("quite certain", CERTAINTY),
        ("1.0", CERTAINTY),
        ("a", CERTAINTY_LETTERS),
        ("A very good guess", CERTAINTY_LETTERS),
        ("AB", CERTAINTY_LETTERS),
        ("G", CERTAINTY_LETTERS),
        ("Nothing", YES_NO),
        ("No one knows", YES_NO),
        ("Yes and no", YES_NO),
        ("I", ROMAN),
        ("iii", ROMAN),
        ("i think", ROMAN),
        ("1", WHICH),
        ("Q12", WHICH),
        ("", YES_NO),
    ],
)
def test_other_words_are_failures(text: str, scale: Scale) -> None:
    assert math.isnan(parse_confidence(text, scale))


@given(
    place=st.sampled_from([(row, i) for row in SCALES for i in range(len(row.texts))]),
    front=st.sampled_from(["", " ", "\n", "  "]),
    ending=st.sampled_from(["", ".", "!", "\n", "\nAnswer: x", ", so", "; so"]),
)
def test_what_a_scale_has_is_read_back(place: tuple[Scale, int], front: str, ending: str) -> None:
    scale, index = place
    assert parse_confidence(f"{front}{scale.texts[index]}{ending}", scale) == pytest.approx(
        scale.shares[index]
    )


@given(st.sampled_from(SCALES), st.text("ABFQYNesoivertcn 0129.,%()\n", max_size=14))
def test_nothing_else_than_a_share_or_nan_is_read(scale: Scale, text: str) -> None:
    found = parse_confidence(text, scale)
    assert math.isnan(found) or 0 <= found <= 1
    if scale.reader == "words" and not math.isnan(found):
        said = " ".join(text.split()).removeprefix("(").casefold()
        assert said.startswith(scale.texts[scale.shares.index(found)].casefold())


@given(
    whole=st.integers(0, 99),
    decimals=st.text("0123456789", max_size=4),
    front=st.sampled_from(["", " ", "\n", "\t "]),
    ending=st.sampled_from(
        ["", "%", " %", ".", "%.", " sure", ", so", "; so", ": so", "!", ")", "\n1"]
    ),
)
def test_a_written_number_is_read_back(whole: int, decimals: str, front: str, ending: str) -> None:
    number = f"{whole}.{decimals}" if decimals else f"{whole}"
    if decimals and float(number) <= 1 and "%" not in ending:
        assert math.isnan(parse_confidence(f"{front}{number}{ending}", PERCENT))
        return
    assert parse_confidence(f"{front}{number}{ending}", PERCENT) == pytest.approx(
        float(number) / 100
    )


@given(st.text("0123456789.,:%-/ x\n", max_size=10))
def test_what_is_read_is_the_leading_number_or_nothing(text: str) -> None:
    """The number read is the longest run of digits and points the text opens with, less a
    closing point.
    """
    found = parse_confidence(text, PERCENT)
    if math.isnan(found) or ".." in text:
        return
    body = text.lstrip()
    run = body[: next((i for i, c in enumerate(body) if c not in "0123456789."), len(body))].rstrip(
        "."
    )
    assert found == pytest.approx(float(run) / 100)
    assert 0 <= found <= 1
    rest = body[len(run) :]
    assert not rest or rest[0] in "%.,:" or rest[0].isspace()
    assert not rest[1:2].isdigit() or rest[0] == "%" or rest[0].isspace()
