from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.config import RunConfig
from workbench.elsewhere_run import asked_run, judge_elsewhere
from workbench.errors import WorkbenchError
from workbench.loop.context import Context
from workbench.loop.elsewhere import Visitor, check_visit, held_out_rows, judge, taught_wordings, untaught, wordings
from workbench.loop.pupils import pupils
from workbench.questions import Question, question_key
from workbench.recipe_run import School, attend
from workbench.store import RunStore, StageStore
from workbench.teach.recipes import CALIBRATION, DOUBT, PROBE, Recipe

Taught = Callable[[Recipe, str], School]


@pytest.fixture(scope="module")
def taught(finished_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Taught:
    """Teaches one arm in a copy of the finished run, whose first stages it shares; one model for all."""
    folder = shutil.copytree(finished_run.folder, tmp_path_factory.mktemp("home") / "run")
    whole = {**finished_run.inputs.config.model_dump(mode="json"), "teach": {"epochs": 1, "lora": {"rank": 4}}}
    config = RunConfig.model_validate(whole)
    context = Context(config, RunStore(folder), folder.parent / "figures")
    found: dict[str, School] = {}

    def school(recipe: Recipe, arm: str) -> School:
        if arm not in found:
            found[arm] = attend(context, recipe, pupils(config, recipe, [recipe.arm(arm)], 1, False, twins=False))
        return found[arm]

    return school


@pytest.mark.parametrize(("recipe", "arm"), [(DOUBT, "log"), (PROBE, "primary"), (CALIBRATION, "head")])
def test_at_home_a_visitor_says_what_it_said_there(taught: Taught, tmp_path: Path, recipe: Recipe, arm: str) -> None:
    """An adapter on the reply, one on the whole conversation, and a head; the other run is the same one asked anew."""
    school = taught(recipe, arm)
    home, (pupil,) = school.context, school.pupils
    away = asked_run(home.beside(home.config, tmp_path / "again", tmp_path / "figures"))
    found = judge_elsewhere(school, away)[arm].set_index("row")
    own = home.stage(pupil.stage("read")).table("confidence").set_index("row").loc[found.index]
    assert found.index.tolist() == held_out_rows(home).tolist()
    np.testing.assert_allclose(found["expected"], own["expected"], atol=1e-5)
    assert found["stated"].equals(own["stated"])
    base = home.stage("elicit").table("confidence").set_index("row").loc[found.index]
    assert np.abs(found["expected"] - base["expected"]).max() > 1e-3


def test_other_questions_are_judged_without_being_split(taught: Taught, tmp_path: Path) -> None:
    """Out-of-domain transfer: the visitor reads a run on other questions, whose model is not loaded again."""
    school = taught(DOUBT, "log")
    rows = [{"question": f"Which sea of {i} is deep?", "answers": ["x"], "domain": "seas"} for i in range(20)]
    path = tmp_path / "seas.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = school.context.config
    questions = config.questions.model_copy(update={"source": str(path)})
    other = config.model_copy(update={"questions": questions})
    away = asked_run(school.context.beside(other, tmp_path / "seas", tmp_path / "figures"))
    assert away.lm is school.context.lm
    found = judge_elsewhere(school, away, arms=["log"])["log"]
    table = away.stage("questions").table("questions")
    assert found["row"].tolist() == np.flatnonzero(table["split"] == "test").tolist()
    assert found["expected"].between(0, 1).all()
    stage = away.stage(Visitor(school.context, school.pupils[0]).stage())
    before = (stage.folder / "done.json").stat().st_mtime_ns
    assert judge_elsewhere(school, away)["log"].equals(found)
    assert (stage.folder / "done.json").stat().st_mtime_ns == before
    assert judge_elsewhere(school, away, arms=["tokenised-brier"]) == {}


def edited(context: Context, folder: Path, **changes: Any) -> Context:
    """The run with other settings or facts, for comparing only."""
    config, facts = context.config, context.stage("answer").facts()
    for name in ("model", "elicit"):
        config = config.model_copy(update={name: getattr(config, name).model_copy(update=changes.get(name, {}))})
    other = replace(context, config=config, store=replace(context.store, folder=folder))
    for name in ("questions", "answer"):
        other.stage(name).begin()
    other.stage("answer").finish({**facts, **changes.get("facts", {})})
    table = context.stage("questions").table("questions")
    other.stage("questions").save_table("questions", changes.get("table", table))
    return other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"name": "another"}}, "the model is .* there and 'another' here; set model.name alike"),
        ({"facts": {"model_revision": "0000"}}, "the model's revision is .* and '0000' here"),
        ({"model": {"chat_template": Path("plain.jinja")}}, "the chat template is None there"),
        ({"elicit": {"format": "i-ii"}}, "the format is 'percent' there and 'i-ii' here; set elicit.format alike"),
    ],
)
def test_an_adapter_for_another_model_or_format_is_refused(
    context: Context, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    check_visit(context, context)
    with pytest.raises(WorkbenchError, match=message):
        check_visit(context, edited(context, tmp_path / "away", **changes))


def test_a_question_that_was_for_training_at_home_is_no_held_out_one(context: Context, tmp_path: Path) -> None:
    """The split is by the question's hash; a run split by other shares would test on what was taught."""
    table = context.stage("questions").table("questions")
    first = table[table["split"] == "train"].index[0]
    table.loc[first, "split"] = "test"
    away = edited(context, tmp_path / "away", table=table)
    with pytest.raises(WorkbenchError, match=r"is held out in .*away and for training in .*; split both runs alike"):
        judge(away, StageStore(tmp_path / "stage", "key"), Visitor(context, None))  # type: ignore[arg-type]


def test_what_was_taught_is_found_by_its_wording(context: Context) -> None:
    table = context.stage("questions").table("questions")
    train, test = (table[table["split"] == side]["question"] for side in ("train", "test"))
    asked_anew = [
        Question(id=str(i), text=text, answers=("x",), domain="d", source="s", licence="l")
        for i, text in enumerate([train.iloc[0].upper(), test.iloc[0], "Is this new?"])
    ]
    assert [question.id for question in untaught(context, asked_anew)] == ["1", "2"]
    assert taught_wordings(context) == {question_key(text) for text in train}
    choice = Question("c", "Who?", ("A",), "d", "s", "l", "choice", options=("x", "y"))
    assert wordings(choice) == {
        question_key("Who?"),
        question_key("Who?\nA. x\nB. y\nAnswer with the letter of the right option."),
    }


def test_runs_share_a_model_only_with_the_same_settings_of_it(context: Context, tmp_path: Path) -> None:
    config = context.config
    model = config.model.model_copy(update={"dtype": "bfloat16"})
    with pytest.raises(WorkbenchError, match="share a model only if their settings"):
        context.beside(config.model_copy(update={"model": model}), tmp_path, tmp_path)
    one = context.beside(config, tmp_path / "one", tmp_path)
    two = one.beside(config, tmp_path / "two", tmp_path)
    assert two.lm is one.lm is context.lm
    assert two.prefixes is not one.prefixes
