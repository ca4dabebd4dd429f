from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.elicit.parse import parse_confidence
from workbench.elicit.scales import PERCENT


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
    ],
)
def test_anything_else_is_a_format_failure(text: str) -> None:
    assert math.isnan(parse_confidence(text, PERCENT))


def test_other_scales_divide_by_their_own_certainty() -> None:
    assert parse_confidence("7", 10) == pytest.approx(0.7)
    assert parse_confidence("9", 9) == 1.0
    assert math.isnan(parse_confidence("10", 9))


@given(
    whole=st.integers(0, 99),
    decimals=st.text("0123456789", max_size=4),
    front=st.sampled_from(["", " ", "\n", "\t "]),
    ending=st.sampled_from(["", "%", " %", ".", "%.", " sure", ", so", "; so", ": so", "!", ")", "\n1"]),
)
def test_a_written_number_is_read_back(whole: int, decimals: str, front: str, ending: str) -> None:
    number = f"{whole}.{decimals}" if decimals else f"{whole}"
    assert parse_confidence(f"{front}{number}{ending}", 100) == pytest.approx(float(number) / 100)


@given(st.text("0123456789.,:%-/ x\n", max_size=10))
def test_what_is_read_is_the_leading_number_or_nothing(text: str) -> None:
    """The number read is the longest run of digits and points the text opens with, less a closing point."""
    found = parse_confidence(text, PERCENT)
    if math.isnan(found) or ".." in text:
        return
    body = text.lstrip()
    run = body[: next((i for i, c in enumerate(body) if c not in "0123456789."), len(body))].rstrip(".")
    assert found == pytest.approx(float(run) / 100)
    assert 0 <= found <= 1
    rest = body[len(run) :]
    assert not rest or rest[0] in "%.,:" or rest[0].isspace()
    assert not rest[1:2].isdigit() or rest[0] == "%" or rest[0].isspace()
