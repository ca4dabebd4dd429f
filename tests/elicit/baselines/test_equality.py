from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.elicit.baselines.equality import agrees, answer_key
from workbench.questions import Question


def question(kind: str, text: str = "What is 12 times 2?") -> Question:
    return Question("q", text, ("A" if kind == "choice" else "24",), "d", "s", "l", kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("kind", "one", "other", "same", "agreeing"),
    [
        ("open", "The Nile", "nile.", True, True),
        ("open", "São Paulo", "Sao Paulo!", True, True),
        ("open", "Paris", "Paris, France", False, True),
        ("open", "Paris", "Parisian", False, False),
        ("open", "Paris", "", False, False),
        ("open", "", " ", True, True),
        ("open", "1,000", "1000", True, True),
        ("numeric", "24", "It is 24.0", True, True),
        ("numeric", "12 times 2 = 24", "24", True, True),
        ("numeric", "24", "25", False, False),
        ("numeric", "24", "124", False, False),
        ("choice", "B", "(B)", True, True),
        ("choice", "B. the sea", "b", True, True),
        ("choice", "A", "B", False, False),
    ],
)
def test_sameness(kind: str, one: str, other: str, same: bool, agreeing: bool) -> None:
    asked = question(kind)
    assert (answer_key(one, asked) == answer_key(other, asked)) is same
    assert agrees(one, other, asked) is agreeing
    assert agrees(other, one, asked) is agreeing


@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from(["open", "numeric", "choice"]))
def test_agreement_is_symmetric_and_holds_with_oneself(one: str, other: str, kind: str) -> None:
    asked = question(kind)
    assert agrees(one, one, asked)
    assert agrees(one, other, asked) == agrees(other, one, asked)
    assert hash(answer_key(one, asked)) == hash(answer_key(one, asked))
