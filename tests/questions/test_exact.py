from __future__ import annotations

import threading

import pytest

from workbench.errors import WorkbenchError
from workbench.questions import exact
from workbench.questions.exact import math_grade
from workbench.questions.grading import Grade, grade_of
from workbench.questions.schema import Question

pytest.importorskip("math_verify")


def ask(*answers: str) -> Question:
    return Question("q", "Simplify.", answers, "d", "s", "", "math")


@pytest.mark.parametrize(
    ("reply", "answer", "grade"),
    [
        ("$\\frac{1}{2}$", "0.5", Grade.RIGHT),
        ("The answer is $x^2 + 2x + 1$", "$(x+1)^2$", Grade.RIGHT),
        ("\\boxed{2\\sqrt{3}}", "\\sqrt{12}", Grade.RIGHT),
        ("$x^2 + 1$", "$(x+1)^2$", Grade.WRONG),
        ("$\\{1, 2\\}$", "$\\{2, 1\\}$", Grade.RIGHT),
        ("I don't know", "1", Grade.WRONG),
        ("", "1", Grade.WRONG),
        ("no idea at all", "7", Grade.WRONG),
        ("$(0, 1)$", "$[0, 1]$", Grade.WRONG),
        ("7" * 30_000, "7", Grade.UNGRADED),
    ],
)
def test_expressions_are_compared_exactly(reply: str, answer: str, grade: Grade) -> None:
    assert grade_of(reply, ask(answer)) is grade


def test_any_thread_may_ask() -> None:
    found: list[Grade] = []
    threads = [
        threading.Thread(target=lambda: found.append(math_grade("$1/2$", ["0.5"])))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Grade.RIGHT] * 3


def test_what_takes_too_long_is_ungraded_and_the_next_reply_graded() -> None:
    assert math_grade("$1/2$", ["0.5"]) is Grade.RIGHT
    assert math_grade("$9^{9^{9^{9}}}$", ["$9^{9^{9}}$"], limit=0.01) is Grade.UNGRADED
    assert math_grade("$1/2$", ["0.5"]) is Grade.RIGHT


def test_without_the_package_the_question_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "find_spec", lambda name: None)
    with pytest.raises(
        WorkbenchError, match=r"'math' need math-verify.*confidence-workbench\[math\]"
    ):
        ask("1")
