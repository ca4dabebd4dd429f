from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from workbench.config import RunConfig, SetBy
from workbench.errors import WorkbenchError
from workbench.experiments.catalogue import (
    EXPERIMENTS,
    Experiment,
    Request,
    experiment_named,
    perform,
)
from workbench.experiments.parameters import Parameters
from workbench.mechanisms.catalogue import WORKS
from workbench.pipeline.stages import Reuse
from workbench.report import Page


class Few(Parameters):
    items: int = 3


def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Lets every experiment keep what it was called with instead of its work."""
    asked: list[tuple[Any, ...]] = []

    def run(*given: Any, **more: Any) -> None:
        asked.append((*given, more))

    monkeypatch.setattr(Experiment, "parameters", Few)
    monkeypatch.setattr(Experiment, "run", property(lambda self: run))
    page = Page("t", [], {}, {})
    monkeypatch.setattr(Experiment, "page_of", property(lambda self: lambda results: page))
    return asked


@pytest.mark.parametrize("row", EXPERIMENTS.values(), ids=str)
def test_every_row_names_what_there_is(row: Experiment) -> None:
    assert issubclass(row.parameters, Parameters)
    assert isinstance(row.parameters(), Parameters)
    assert callable(row.run)
    assert callable(row.page_of)
    assert row.about.endswith("?")


def test_each_analysis_has_an_experiment() -> None:
    scripts = {path.stem for path in (Path(__file__).parents[2] / "analyses").glob("*.py")}
    stands_for = {"recipes": {"league"}, "mechanisms": {*WORKS}}
    named = {name for script in scripts for name in stands_for.get(script, {script})}
    assert set(EXPERIMENTS) - named == {"elicitation"}
    assert named <= set(EXPERIMENTS)


def test_parameters_settings_and_folders_reach_the_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = calls(monkeypatch)
    request = Request("mine", None, {"items": 5, "seed": 2}, Reuse(replace=True))
    done = perform(
        EXPERIMENTS["transfer"], request, runs=tmp_path / "runs", figures=tmp_path / "figures"
    )
    ((resolved, folder, parameters, more),) = asked
    assert (resolved.config.seed, resolved.config.questions.limit) == (2, 800)
    assert resolved.origins["questions.limit"] is SetBy.RECIPE
    assert folder == tmp_path / "runs" / "mine"
    assert parameters == Few(items=5)
    assert more == {"figures": tmp_path / "figures" / "mine", "reuse": Reuse(replace=True)}
    assert done.index == tmp_path / "figures" / "mine" / "transfer" / "index.html"
    assert done.index.exists()
    places = {"runs": tmp_path / "runs", "figures": tmp_path / "figures"}
    perform(EXPERIMENTS["transfer"], Request(), parameters=Few(items=9), **places)
    assert asked[1][1:3] == (tmp_path / "runs" / "transfer", Few(items=9))


def test_a_finished_run_is_taken_as_it_is_unless_settings_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = calls(monkeypatch)
    places = {"runs": tmp_path / "runs", "figures": tmp_path / "figures"}
    for assignments in ({"items": 5}, {"seed": 2}):
        perform(EXPERIMENTS["steering"], Request(assignments=assignments), **places)
    assert asked[0][0] is None
    assert asked[1][0] == RunConfig(seed=2)


def test_mistakes_are_told_before_anything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(
        WorkbenchError, match="no experiment 'steerin'; choose from confidence_loop"
    ):
        experiment_named("steerin")
    asked = calls(monkeypatch)
    places = {"runs": tmp_path / "runs", "figures": tmp_path / "figures"}
    for assignments, said in (({"item": 1}, "'item'"), ({"items": "x"}, "Parameter 'items'")):
        with pytest.raises(WorkbenchError, match=said):
            perform(EXPERIMENTS["steering"], Request(assignments=assignments), **places)
    with pytest.raises(WorkbenchError, match="holds a separator"):
        perform(EXPERIMENTS["steering"], Request("a/b"), **places)
    (tmp_path / "figures" / "mine" / "steering").mkdir(parents=True)
    (tmp_path / "figures" / "mine" / "steering" / "own.txt").write_text("mine")
    with pytest.raises(WorkbenchError, match="figures"):
        perform(EXPERIMENTS["steering"], Request("mine"), **places)
    assert asked == []
    assert not (tmp_path / "runs").exists()
