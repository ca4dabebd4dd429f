from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.calibration.swapped_answers import (
    swap_answers,
    swapped_answers,
    swapped_questions,
)
from workbench.experiments.transfer.evaluate import prepare_run
from workbench.loop.questions import held_out_rows, load_questions
from workbench.loop.run import Run
from workbench.questions import Question, grade


def question(name: str, answer: str, domain: str = "capitals") -> Question:
    return Question(name, f"What is the capital of {name}?", (answer,), domain, "s", "l")


def test_another_answer_is_of_the_domain_wrong_here_and_not_ones_own() -> None:
    asked = [
        question("France", "Paris"),
        question("Gaul", "Paris"),
        question("Italy", "Rome"),
        question("7", "8", "sums"),
    ]
    said = ["Paris", "It is Paris.", "Milan", "9"]
    assert swap_answers(asked, said, 0) == ["Milan", "Milan", swap_answers(asked, said, 0)[2], None]
    assert swap_answers(asked, said, 0)[2] in ("Paris", "It is Paris.")


def test_empty_answers_and_refusals_stand_in_for_nothing() -> None:
    asked = [question("France", "Paris"), question("Italy", "Rome"), question("Spain", "Madrid")]
    assert swap_answers(asked, ["", " ", "I don't know."], 0) == [None, None, None]
    assert swap_answers(asked, ["", "Rome ", "I don't know."], 0) == ["Rome", None, "Rome"]


def test_the_draw_follows_seed_and_question_alone() -> None:
    names = [f"land {i}" for i in range(12)]
    asked, said = [question(name, "x") for name in names], [f"Town{i}" for i in range(12)]
    found = dict(zip(names, swap_answers(asked, said, 3), strict=True))
    assert dict(zip(names[::-1], swap_answers(asked[::-1], said[::-1], 3), strict=True)) == found
    assert swap_answers(asked, said, 4) != list(found.values())
    assert len(set(found.values())) > 4


def test_a_run_of_swapped_answers_holds_the_held_out_questions_all_answered_wrong(
    context: Run, tmp_path: Path
) -> None:
    away = prepare_run(
        context.sibling(context.config, tmp_path / "swapped", tmp_path),
        partial(swapped_questions, home=context),
        partial(swapped_answers, home=context),
        after={"answers": "key"},
    )
    table, questions = load_questions(away)
    _, own = load_questions(context)
    by_id = {
        own[row].id: context.stage("answer").table("answers")["answer"][row]
        for row in held_out_rows(context)
    }
    answers = away.stage("answer").table("answers")
    assert set(table["id"]) <= set(by_id)
    assert set(table["split"]) == {"test"}
    assert away.stage("answer").facts()["accuracy"] == 0
    for one, answer in zip(questions, answers["answer"], strict=True):
        assert answer != by_id[one.id].strip()
        assert answer in {said.strip() for said in by_id.values()}
        assert not grade(answer, one)
    assert len(away.stage("elicit").table("confidence")) == len(table)


def test_answers_of_a_file_are_not_swapped(context: Run, tmp_path: Path) -> None:
    questions: Any = context.config.questions.model_copy(
        update={"graded_file": tmp_path / "graded.jsonl"}
    )
    given = context.sibling(
        context.config.model_copy(update={"questions": questions}), tmp_path, tmp_path
    )
    with pytest.raises(WorkbenchError, match=r"leave questions\.graded_file out"):
        swapped_questions(context, context.stage("questions"), given)
