from __future__ import annotations

import pytest

from tests.support.nasty_replies import GROUPS, Group
from workbench.questions.grading import grade_of
from workbench.questions.schema import Question

ROWS = [
    pytest.param(group, *row, id=f"{group.name}: {row[0][:40]!r} for {row[1]}")
    for group in GROUPS
    for row in group.rows
]


def test_there_are_enough() -> None:
    assert len(ROWS) >= 300


@pytest.mark.parametrize(("group", "reply", "answer", "right"), ROWS)
def test_grade(group: Group, reply: str, answer: str, right: str) -> None:
    question = Question("q", group.text, (answer,), "d", "s", "", group.kind, options=group.options)  # type: ignore[arg-type]
    assert grade_of(reply, question).value == right
