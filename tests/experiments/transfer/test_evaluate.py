from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.transfer.evaluate import (
    TransferredAdapter,
    check_same_model_and_format,
    drop_training_questions,
    evaluate_transferred,
    question_keys,
    training_question_keys,
)
from workbench.loop.run import Run
from workbench.pipeline.store import StageStore
from workbench.questions import Question, question_key


def edited(context: Run, folder: Path, **changes: Any) -> Run:
    """The run with other settings or facts, for comparing only."""
    config, facts = context.config, context.stage("answer").facts()
    for name in ("model", "elicit"):
        config = config.model_copy(
            update={name: getattr(config, name).model_copy(update=changes.get(name, {}))}
        )
    other = replace(context, config=config, store=replace(context.store, folder=folder))
    for name in ("questions", "answer"):
        other.stage(name).begin()
    other.stage("answer").save_table("answers", context.stage("answer").table("answers"))
    other.stage("answer").finish({**facts, **changes.get("facts", {})})
    table = context.stage("questions").table("questions")
    other.stage("questions").save_table("questions", changes.get("table", table))
    return other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model": {"name": "another"}},
            "the model is .* there and 'another' here; set model.name alike",
        ),
        ({"facts": {"model_revision": "0000"}}, "the model's revision is .* and '0000' here"),
        ({"model": {"chat_template": Path("plain.jinja")}}, "the chat template is None there"),
        (
            {"elicit": {"format": "i-ii"}},
            "the format is 'percent' there and 'i-ii' here; set elicit.format alike",
        ),
    ],
)
def test_an_adapter_for_another_model_or_format_is_refused(
    context: Run, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    check_same_model_and_format(context, context)
    with pytest.raises(WorkbenchError, match=message):
        check_same_model_and_format(context, edited(context, tmp_path / "away", **changes))


def test_a_question_that_was_for_training_at_home_is_no_held_out_one(
    context: Run, tmp_path: Path
) -> None:
    """The split is by the question's hash; a run split by other shares would test on what was
    taught.
    """
    table = context.stage("questions").table("questions")
    first = table[table["split"] == "train"].index[0]
    table.loc[first, "split"] = "test"
    away = edited(context, tmp_path / "away", table=table)
    with pytest.raises(
        WorkbenchError, match=r"is held out in .*away and for training in .*; split both runs alike"
    ):
        evaluate_transferred(
            away, StageStore(tmp_path / "stage", "key"), TransferredAdapter(context, None)
        )  # type: ignore[arg-type]


def test_what_was_taught_is_found_by_its_wording(context: Run) -> None:
    table = context.stage("questions").table("questions")
    train, test = (table[table["split"] == side]["question"] for side in ("train", "test"))
    asked_anew = [
        Question(id=str(i), text=text, answers=("x",), domain="d", source="s", licence="l")
        for i, text in enumerate([train.iloc[0].upper(), test.iloc[0], "Is this new?"])
    ]
    assert [question.id for question in drop_training_questions(context, asked_anew)] == ["1", "2"]
    assert training_question_keys(context) == {question_key(text) for text in train}
    choice = Question("c", "Who?", ("A",), "d", "s", "l", "choice", options=("x", "y"))
    assert question_keys(choice) == {
        question_key("Who?"),
        question_key("Who?\nA. x\nB. y\nAnswer with the letter of the right option."),
    }


def test_runs_share_a_model_only_with_the_same_settings_of_it(context: Run, tmp_path: Path) -> None:
    config = context.config
    model = config.model.model_copy(update={"dtype": "bfloat16"})
    with pytest.raises(WorkbenchError, match="share a model only if their settings"):
        context.sibling(config.model_copy(update={"model": model}), tmp_path, tmp_path)
    one = context.sibling(config, tmp_path / "one", tmp_path)
    two = one.sibling(config, tmp_path / "two", tmp_path)
    assert two.lm is one.lm is context.lm
    assert two.reply_cache is not one.reply_cache
