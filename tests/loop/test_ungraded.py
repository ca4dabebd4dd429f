"""Replies that cannot be graded: counted, shown, and in nothing that is fitted or measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.config import RunConfig
from workbench.elicit.answer_table import grade_column
from workbench.errors import WorkbenchError
from workbench.experiments.elicitation import pair_summary, summary_of
from workbench.experiments.transfer.evaluate import held_out_rows, training_question_keys
from workbench.loop.answer_stability import answer_accuracy
from workbench.loop.answers import right_answers, save_answers
from workbench.loop.conditions import AFTER, Readouts
from workbench.loop.questions import load_questions, save_questions
from workbench.loop.run import Run
from workbench.measure import Bootstrap, flat_summary
from workbench.pipeline.store import RunStore
from workbench.questions import Grade, Question, grade_of
from workbench.teach.on_policy import rewards_of
from workbench.teach.replies import Judgement, Replies

COUNT = 12
NOT_GRADED = {1, 4, 9}


def question(number: int) -> Question:
    return Question(
        f"q{number}", f"What is number {number}?", (str(number),), "d", "s", "", "numeric"
    )


def grades_column(grades: Sequence[Grade]) -> pd.Series[bool]:
    """The grades as a table of answers holds them."""
    return grade_column([grade.correct for grade in grades])


class _Model:
    revision = "r"
    notes = ()
    precision = "float32"
    dtype = "torch.float32"
    device = "cpu"

    def base(self) -> _Model:
        return self


@pytest.fixture
def context(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    import torch

    model: Any = _Model()
    model.device = torch.device("cpu")
    made = Run(
        RunConfig(),
        RunStore(tmp_path),
        tmp_path,
        {"questions": "key", "answer": "key", "elicit_tuned": "key"},
    )
    made.loaded.lm = model
    questions = [question(number) for number in range(COUNT)]
    stage = made.stage("questions")
    stage.begin()
    stage.finish(
        save_questions(
            stage, questions, {q.id: "train" if n % 2 else "test" for n, q in enumerate(questions)}
        )
    )
    grades = [
        Grade.UNGRADED if n in NOT_GRADED else Grade.RIGHT if n % 3 else Grade.WRONG
        for n in range(COUNT)
    ]
    table = pd.DataFrame(
        {
            "row": range(COUNT),
            "answer": [f"a{n}" for n in range(COUNT)],
            "correct": grades_column(grades),
        }
    )
    answered = made.stage("answer")
    answered.begin()
    answered.finish(save_answers(made, answered, table))
    return made


def test_they_are_counted_and_stand_on_no_side(context: Run) -> None:
    facts = context.stage("answer").facts()
    assert (facts["ungraded"], facts["accuracy"]) == (3, pytest.approx(6 / 9))
    table, questions = load_questions(context)
    assert len(questions) == COUNT
    assert table["row"].tolist() == list(range(COUNT))
    expected = [
        "ungraded" if n in NOT_GRADED else "train" if n % 2 else "test" for n in range(COUNT)
    ]
    assert table["split"].tolist() == expected
    assert table["side"].tolist() == ["train" if n % 2 else "test" for n in range(COUNT)]


def test_before_the_answers_every_question_has_its_side(context: Run) -> None:
    table, _ = load_questions(
        Run(context.config, context.store, context.figures, {"questions": "key"})
    )
    assert set(table["split"]) == {"train", "test"}


def test_grades_are_those_of_graded_rows_alone(context: Run) -> None:
    rows = held_out_rows(context)
    assert rows.tolist() == [0, 2, 6, 8, 10]
    assert right_answers(context, rows).tolist() == [False, True, False, True, True]
    with pytest.raises(WorkbenchError, match="neither right nor wrong"):
        right_answers(context, np.array([0, 4]))


def test_a_held_out_question_does_not_become_a_taught_one(context: Run) -> None:
    assert training_question_keys(context) == {f"what is number {n}" for n in range(1, COUNT, 2)}


def test_answers_none_of_which_can_be_graded_are_refused(context: Run) -> None:
    table = pd.DataFrame({"row": [0], "answer": ["x"], "correct": grades_column([Grade.UNGRADED])})
    with pytest.raises(WorkbenchError, match="None of the 1 answers could be graded"):
        save_answers(context, context.stage("answer"), table)


def test_accuracy_is_of_graded_answers_before_and_after(context: Run) -> None:
    table, _ = load_questions(context)
    test = table[table["split"] == "test"].reset_index(drop=True)
    again = context.stage("elicit_tuned")
    again.begin()
    off = pd.DataFrame(
        {
            "row": [0, 2],
            "answer": ["a0", "b2"],
            "correct": grades_column([Grade.WRONG, Grade.UNGRADED]),
        }
    )
    again.save_table("answers", off)
    readouts = Readouts(test, right_answers(context, test["row"].to_numpy()), {}, {}, {})
    measures = answer_accuracy(context, readouts, "elicit_tuned", AFTER, Bootstrap(100, 0))
    found = flat_summary(measures)
    assert found["accuracy.before"] == pytest.approx(3 / 5)
    assert found["accuracy.after"] == pytest.approx(2 / 4)
    assert found["accuracy.ungraded.after"] == 1
    assert "accuracy.ungraded.before" not in found


def test_elicited_tables_are_summed_up_without_them() -> None:
    rng = np.random.default_rng(0)
    correct = grades_column([Grade.RIGHT, Grade.WRONG, Grade.UNGRADED] * 8)
    table = pd.DataFrame(
        {
            "correct": correct,
            "mass": 1.0,
            "stated": rng.random(24),
            "expected": rng.random(24),
        }
    )
    found, graded = (
        summary_of(each, seed=0, resamples=100) for each in (table, table[correct.notna()])
    )
    assert (found["n"], found["ungraded"], found["accuracy"]) == (24, 8, 0.5)
    assert found["auroc2.expected"] == graded["auroc2.expected"]
    assert found["ece.stated"] == graded["ece.stated"]


def test_a_pair_of_which_one_is_not_graded_says_nothing() -> None:
    columns = (
        "p_first",
        "p_first_swapped",
        "mass",
        "mass_swapped",
        "chose_first",
        "chose_first_swapped",
    )
    table = pd.DataFrame(
        {name: [0.5] * 3 for name in columns} | {"combined": [0.9, 0.9, 0.9], "consistent": True}
    )
    table["correct_1"] = grades_column([Grade.RIGHT, Grade.UNGRADED, Grade.RIGHT])
    table["correct_2"] = grades_column([Grade.WRONG, Grade.WRONG, Grade.RIGHT])
    found = pair_summary(table)
    assert (found["mixed_pairs"], found["ungraded_pairs"], found["agreement"]) == (1, 1, 1)


def test_a_sampled_reply_that_is_not_graded_pulls_neither_way() -> None:
    judged = {
        "right": Judgement(1.0, 1.0),
        "wrong": Judgement(1.0, 0.0),
        "unsure": Judgement(1.0, math.nan),
    }
    replies = Replies([(0,), (0,)], 1, lambda row, text: judged[text])
    plan: Any = type(
        "Plan",
        (),
        {"reward": staticmethod(lambda p, y: -((p - y) ** 2)), "scale": 1.0, "wrong_format": -2.0},
    )
    found = rewards_of(["right", "wrong", "unsure", "unsure"], [0, 0, 0, 1], replies, plan)
    assert found == [0.0, -1.0, -0.5, 0.0]


def test_grades_as_a_column() -> None:
    assert grade_of("12 or 13", replace(question(12), text="How many?")) is Grade.UNGRADED
    assert grades_column([Grade.RIGHT, Grade.WRONG]).tolist() == [True, False]
    assert grades_column([Grade.UNGRADED]).isna().all()
