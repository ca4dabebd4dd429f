"""The stage that finds the ceiling's writers, on a tiny run before and after teaching."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.bottleneck.ceiling_writers import ABLATION
from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.ceiling import (
    ATTRIBUTED,
    DOSES,
    SETS,
    TOLD,
    CeilingQuestions,
    ceiling_stage,
    find_writers,
)
from workbench.experiments.text_bottleneck.ceiling_results import measure_ceiling
from workbench.experiments.text_bottleneck.ceiling_sets import RANDOM_SETS, sets_of
from workbench.experiments.text_bottleneck.conditions import AFTER, BEFORE
from workbench.experiments.text_bottleneck.page import page_of
from workbench.experiments.text_bottleneck.read import split_of
from workbench.experiments.text_bottleneck.results import BottleneckResults
from workbench.experiments.text_bottleneck.run import BottleneckParameters, run_bottleneck
from workbench.loop import open_run
from workbench.loop.run import Run
from workbench.report import write_page


@pytest.fixture(scope="module")
def place(followed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished run whose steps were followed."""
    return Path(shutil.copytree(followed_run, tmp_path_factory.mktemp("copy") / "run"))


@pytest.fixture(scope="module")
def results(place: Path) -> BottleneckResults:
    parameters = BottleneckParameters(
        lens=False,
        interventions=False,
        geometry=False,
        ceiling_conditions=("after",),
        ceiling_questions=3,
        ceiling_told=6,
    )
    return run_bottleneck(None, place, parameters, figures=place.parent / "figures")


def test_the_ceiling_is_attributed_on_training_questions_and_tested_on_held_out_ones(
    place: Path, results: BottleneckResults
) -> None:
    run = open_run(place, place.parent / "figures")
    split = split_of(run)
    assert [each.condition for each in results.ceilings] == [BEFORE, AFTER]
    assert results.ceilings[0].ceiling == results.ceilings[1].ceiling
    for each in results.ceilings:
        stage = run.store.stage(ceiling_stage(each.condition.name), "")
        attributed = stage.table(ATTRIBUTED)["row"].tolist()
        assert len(attributed) == each.attributed == 3
        assert {*attributed} <= {*split.train.tolist()}
        for name, count in ((DOSES, 3), (TOLD, 6)):
            rows = stage.table(name)["row"].tolist()
            assert {*rows} <= {*split.test.tolist()}
            assert len(rows) == count
        sets = sets_of(stage.table(SETS))
        found = stage.tensors(DOSES)["distribution"]
        assert found.shape[:2] == (3, 1 + len(sets))
        readings = run.store.stage(each.condition.readings, "").tensors("readings")
        np.testing.assert_allclose(
            found[:, 0], readings["distribution"][stage.table(DOSES)["row"]], atol=1e-5
        )
        assert [dose.size for dose in each.doses[ABLATION]] == [1, 2, 4, 8]
        assert len(each.doses[ABLATION][0].random_removed) == RANDOM_SETS
        assert [one.size for one in each.discrimination] == [4, 8]
        assert len(each.writers) == 15
    first, second = (each.shares[ABLATION] for each in results.ceilings)
    assert not np.allclose(first, second)


def test_a_model_that_cannot_be_attributed_is_said(
    place: Path, results: BottleneckResults, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise WorkbenchError("not this one")

    monkeypatch.setattr("workbench.experiments.text_bottleneck.ceiling.require_pair", refuse)
    run = open_run(place, place.parent / "figures")
    stage = run.store.stage("unattributed", "")
    facts = find_writers(run, stage, condition=BEFORE, count=CeilingQuestions(2, 2, 2))
    assert facts == {"why_not": "not this one"}
    stage.begin()
    stage.finish(facts)
    monkeypatch.setattr(Run, "stage", lambda *_: stage)
    assert measure_ceiling(run, BEFORE) == "not this one"
    page = page_of(replace(results, ceilings=(), no_ceiling="not this one"))
    assert "Who writes the ceiling is not said: not this one" in page.notes
    assert not [name for name in page.tables if name.startswith("ceiling")]


def test_conditions_that_are_not_followed_are_refused(place: Path) -> None:
    wrong = BottleneckParameters(ceiling_conditions=("first_stage",))
    with pytest.raises(WorkbenchError, match="ceiling_conditions names 'first_stage'"):
        run_bottleneck(None, place, wrong, figures=place.parent / "figures")


def test_the_page_draws_it_and_holds_its_numbers(
    results: BottleneckResults, tmp_path: Path
) -> None:
    index = write_page(page_of(results), tmp_path / "page")
    assert {"ceiling_writers.html", "ceiling_doses.html"} <= {
        path.name for path in index.parent.iterdir()
    }
    tables = {path.stem: pd.read_csv(path) for path in index.parent.glob("ceiling_*.csv")}
    assert len(tables["ceiling_writers"]) == 2 * 15
    assert len(tables["ceiling_agreement"]) == 2 * 3
    assert len(tables["ceiling_doses"]) == 2 * 3 * 4
    assert list(tables["ceiling_told"]["size"]) == [4, 8, 4, 8]
    first = results.ceilings[0].doses[ABLATION][0]
    assert results.summary()["before.ceiling.removed.1"] == first.removed.value
    doses = tables["ceiling_doses"]
    kept = doses[(doses["condition"] == "before") & (doses["chosen_by"] == ABLATION)]
    assert kept["removed"].iloc[0] == pytest.approx(first.removed.value)
