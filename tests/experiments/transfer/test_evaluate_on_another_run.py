from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.settings import written
from workbench.experiments.recipes.run import RecipeRun, run_trainings
from workbench.experiments.recipes.trainings import trainings
from workbench.experiments.transfer.evaluate import TransferredAdapter, evaluate_on, prepare_run
from workbench.loop.questions import held_out_rows
from workbench.loop.run import Run
from workbench.pipeline.store import RunStore
from workbench.teach.recipes import CALIBRATION, DOUBT, PROBE, Recipe

Taught = Callable[[Recipe, str], RecipeRun]


@pytest.fixture(scope="module")
def taught(finished_run: Any, tmp_path_factory: pytest.TempPathFactory) -> Taught:
    """Teaches one arm in a copy of the finished run, whose first stages it shares; one model for
    all.
    """
    folder = shutil.copytree(finished_run.folder, tmp_path_factory.mktemp("home") / "run")
    whole = {
        **finished_run.inputs.config.model_dump(mode="json"),
        "teach": {"epochs": 1, "lora": {"rank": 4}},
    }
    resolved = written(whole)
    context = Run(resolved.config, RunStore(folder), folder.parent / "figures")
    found: dict[str, RecipeRun] = {}

    def recipe_run(recipe: Recipe, arm: str) -> RecipeRun:
        if arm not in found:
            found[arm] = run_trainings(
                context,
                recipe,
                trainings(resolved, recipe, [recipe.arm(arm)], 1, False, controls=False),
            )
        return found[arm]

    return recipe_run


@pytest.fixture(scope="module")
def asked_anew(taught: Taught, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run at home asked once more, in a folder of its own; whoever visits it has a stage of
    its own there.
    """
    home, folder = taught(DOUBT, "log").context, tmp_path_factory.mktemp("away")
    return prepare_run(home.sibling(home.config, folder / "elicit_tuned", folder / "figures"))


@pytest.mark.parametrize(
    ("recipe", "arm"), [(DOUBT, "log"), (PROBE, "primary"), (CALIBRATION, "head")]
)
def test_at_home_a_visitor_says_what_it_said_there(
    taught: Taught, asked_anew: Run, recipe: Recipe, arm: str
) -> None:
    """An adapter on the reply, one on the whole conversation, and a head; the other run is the
    same one asked anew.
    """
    recipe_run = taught(recipe, arm)
    home, (training,) = recipe_run.context, recipe_run.trainings
    found = evaluate_on(recipe_run, asked_anew)[arm].set_index("row")
    own = home.stage(training.stage("elicit")).table("confidence").set_index("row").loc[found.index]
    assert found.index.tolist() == held_out_rows(home).tolist()
    np.testing.assert_allclose(found["expected"], own["expected"], atol=1e-5)
    assert found["stated"].equals(own["stated"])
    base = home.stage("elicit").table("confidence").set_index("row").loc[found.index]
    assert np.abs(found["expected"] - base["expected"]).max() > 1e-3


def test_other_questions_are_judged_without_being_split(taught: Taught, tmp_path: Path) -> None:
    """Out-of-domain transfer: the transferred reads a run on other questions, whose model is not
    loaded again.
    """
    recipe_run = taught(DOUBT, "log")
    rows = [
        {"question": f"Which sea of {i} is deep?", "answers": ["x"], "domain": "seas"}
        for i in range(20)
    ]
    path = tmp_path / "seas.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = recipe_run.context.config
    questions = config.questions.model_copy(update={"source": str(path)})
    other = config.model_copy(update={"questions": questions})
    away = prepare_run(recipe_run.context.sibling(other, tmp_path / "seas", tmp_path / "figures"))
    assert away.lm is recipe_run.context.lm
    found = evaluate_on(recipe_run, away, arms=["log"])["log"]
    table = away.stage("questions").table("questions")
    assert found["row"].tolist() == np.flatnonzero(table["split"] == "test").tolist()
    assert found["expected"].between(0, 1).all()
    stage = away.stage(TransferredAdapter(recipe_run.context, recipe_run.trainings[0]).stage())
    before = (stage.folder / "done.json").stat().st_mtime_ns
    assert evaluate_on(recipe_run, away)["log"].equals(found)
    assert (stage.folder / "done.json").stat().st_mtime_ns == before
    assert evaluate_on(recipe_run, away, arms=["tokenised-brier"]) == {}
