from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.transfer.evaluate import prepare_run
from workbench.experiments.transfer.question_sets import (
    graded_file_questions,
    save_as_test,
    unanswerable_questions,
)
from workbench.loop.questions import held_out_rows
from workbench.loop.run import Run
from workbench.pipeline.store import StageStore
from workbench.questions import Question


def other_run(context: Run, tmp_path: Path, **changes: Any) -> Run:
    questions = context.config.questions.model_copy(update=changes)
    return context.sibling(
        context.config.model_copy(update={"questions": questions}), tmp_path / "away", tmp_path
    )


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def graded(question: str, answer: str, correct: bool) -> dict[str, Any]:
    return {"prompt": "", "question": question, "answer": answer, "correct": correct}


def test_graded_answers_are_judged_but_for_questions_that_were_for_training(
    context: Run, tmp_path: Path
) -> None:
    table = context.stage("questions").table("questions")
    train, test = (table[table["split"] == side]["question"] for side in ("train", "test"))
    rows = [
        graded(train.iloc[0], "a", True),
        graded(test.iloc[0], "b", False),
        graded("Is this new?", "c", True),
    ]
    path = lines(tmp_path / "graded.jsonl", rows)
    away = prepare_run(
        other_run(context, tmp_path, graded_file=path), partial(graded_file_questions, home=context)
    )
    assert away.stage("questions").facts()["for_training_at_home"] == 1
    assert away.stage("questions").table("questions")["question"].tolist() == [
        test.iloc[0],
        "Is this new?",
    ]
    answered = away.stage("answer").table("answers")
    assert answered["answer"].tolist() == ["b", "c"]
    assert answered["correct"].tolist() == [False, True]
    assert len(away.stage("elicit").table("confidence")) == 2


def test_a_file_of_training_questions_alone_is_refused(context: Run, tmp_path: Path) -> None:
    table = context.stage("questions").table("questions")
    text = table[table["split"] == "train"]["question"].iloc[0]
    away = other_run(
        context, tmp_path, graded_file=lines(tmp_path / "graded.jsonl", [graded(text, "a", True)])
    )
    with pytest.raises(WorkbenchError, match=r"All questions of .*graded\.jsonl are for training"):
        graded_file_questions(away, StageStore(tmp_path / "stage", "key"), context)


def test_as_many_of_either_kind_as_are_held_out_at_home(context: Run, tmp_path: Path) -> None:
    most = len(held_out_rows(context))
    none = [
        {"question": f"Who reigns on moon {i}?", "answers": [], "answerable": False}
        for i in range(most + 5)
    ]
    some = [{"question": f"Who reigns in land {i}?", "answers": [f"King {i}"]} for i in range(4)]
    away = other_run(context, tmp_path, source=str(lines(tmp_path / "none.jsonl", none + some)))
    stage = StageStore(tmp_path / "stage", "key")
    unanswerable_questions(away, stage, context)
    table = stage.table("questions")
    assert table["answerable"].sum() == 4
    assert (~table["answerable"]).sum() == most
    assert set(table["split"]) == {"test"}


def test_a_source_in_which_everything_has_an_answer_is_refused(
    context: Run, tmp_path: Path
) -> None:
    path = lines(tmp_path / "some.jsonl", [{"question": "Who reigns?", "answers": ["A king"]}])
    with pytest.raises(
        WorkbenchError,
        match='holds no question without an answer; mark such questions with "answerable"',
    ):
        unanswerable_questions(
            other_run(context, tmp_path, source=str(path)),
            StageStore(tmp_path / "stage", "key"),
            context,
        )


def test_two_questions_of_one_id_are_refused(tmp_path: Path) -> None:
    twice = [Question("q", text, ("x",), "d", "s", "l") for text in ("One?", "Two?")]
    with pytest.raises(WorkbenchError, match="same id"):
        save_as_test(StageStore(tmp_path / "stage", "key"), twice)
