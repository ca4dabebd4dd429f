from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.questions.schema import Question

GOOD: dict[str, Any] = {
    "id": "q-1",
    "text": "What is the capital of France?",
    "answers": ("Paris",),
    "domain": "capitals",
    "source": "hand",
    "licence": "CC0-1.0",
}


def test_defaults_and_frozen() -> None:
    question = Question(**GOOD)
    assert (question.kind, question.answerable) == ("open", True)
    with pytest.raises(dataclasses.FrozenInstanceError):
        question.text = "other"  # type: ignore[misc]


def test_unanswerable_question_may_have_no_answers() -> None:
    assert Question(**{**GOOD, "answers": (), "answerable": False}).answers == ()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": " "}, "'id'"),
        ({"text": ""}, "'text'"),
        ({"domain": "\n"}, "'domain'"),
        ({"answers": ()}, "'answers'"),
        ({"answers": ("Paris", "  ")}, "'answers'"),
        ({"answers": ("Paris", "Paris")}, "'answers'"),
        ({"answers": ["Paris"]}, "'answers'"),
        ({"kind": "essay"}, "'kind'"),
        ({"kind": "numeric", "answers": ("12 apples",)}, "'answers'"),
        ({"kind": "choice", "answers": ("BC",)}, "'answers'"),
        ({"options": ("Paris", "Rome")}, "'options' belongs to kind 'choice'"),
        (
            {"kind": "choice", "answers": ("A",), "options": ["x", "y"]},
            "'options' belongs to kind 'choice'",
        ),
        ({"kind": "choice", "answers": ("A",), "options": ("x",)}, "'options' needs 2 to 26"),
        ({"kind": "choice", "answers": ("A",), "options": ("x", " ")}, "'options' holds a blank"),
        (
            {"kind": "choice", "answers": ("A",), "options": ("x", " x ")},
            "'options' holds a blank option or the same",
        ),
        (
            {"kind": "choice", "answers": ("C",), "options": ("x", "y")},
            "'answers' holds 'C'; with 2 options the letters",
        ),
    ],
)
def test_broken_question_names_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(WorkbenchError, match=field):
        Question(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("numeric", "1,000"),
        ("numeric", "$18.50"),
        ("numeric", "seven"),
        ("choice", "(b)"),
        ("choice", "C"),
    ],
)
def test_answers_that_fit_their_kind(kind: str, answer: str) -> None:
    assert Question(**{**GOOD, "kind": kind, "answers": (answer,)}).answers == (answer,)


def test_letters_follow_the_options() -> None:
    question = Question(
        **{**GOOD, "kind": "choice", "answers": ("(c)",), "options": ("x", "y", "z")}
    )
    assert question.letters == ("A", "B", "C")
    assert Question(**GOOD).letters == ()
