from __future__ import annotations

from pathlib import Path

import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.text_bottleneck.subjects import Subject, find_subjects
from workbench.loop import STAGES, SUMMARY


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The run "whole" that went through, "half" that did not, and "other" that is no run."""
    for name, stages in (("whole", STAGES), ("half", STAGES[:4])):
        for stage in stages:
            (tmp_path / name / stage.name).mkdir(parents=True)
            (tmp_path / name / stage.name / "done.json").write_text("{}")
    (tmp_path / "whole" / SUMMARY).write_text("{}")
    (tmp_path / "other").mkdir()
    return tmp_path


def test_runs_are_named_by_name_or_folder_and_models_as_elsewhere(
    runs: Path, tiny_folder: Path
) -> None:
    given = ["whole", "org/some-model", str(tiny_folder), "default"]
    assert find_subjects(given, runs, teaching=True) == [
        Subject("whole", runs),
        Subject("some-model", runs, "org/some-model"),
        Subject(tiny_folder.name, runs, str(tiny_folder)),
        Subject("default", runs, "default"),
    ]
    (alone,) = find_subjects([str(runs / "whole")], runs / "elsewhere", teaching=True)
    assert alone == Subject("whole", runs)
    (named,) = find_subjects(["org/some-model"], runs, teaching=True, name="mine")
    assert named == Subject("mine", runs, "org/some-model")


def test_a_run_is_named_before_a_model_of_its_name(runs: Path) -> None:
    (runs / "whole").rename(runs / "default")
    assert find_subjects(["default"], runs, teaching=True) == [Subject("default", runs)]


def test_another_name_asks_for_a_run_of_the_model(runs: Path) -> None:
    (runs / "whole").rename(runs / "default")
    found = find_subjects(["default"], runs, teaching=True, name="again")
    assert found == [Subject("again", runs, "default")]
    same = find_subjects(["default"], runs, teaching=True, name="default")
    assert same == [Subject("default", runs)]


def test_a_run_that_stopped_is_enough_without_teaching(runs: Path) -> None:
    assert find_subjects(["half"], runs, teaching=False) == [Subject("half", runs)]
    with pytest.raises(WorkbenchError, match="finish it with 'workbench run --name half'"):
        find_subjects(["half"], runs, teaching=True)


def test_what_is_neither_is_refused_by_name(runs: Path) -> None:
    with pytest.raises(WorkbenchError, match="There is no run 'hole' in"):
        find_subjects(["hole"], runs, teaching=True)
    with pytest.raises(WorkbenchError, match="holds neither a run of the loop nor a model"):
        find_subjects([str(runs / "other")], runs, teaching=True)
    with pytest.raises(WorkbenchError, match="there is no model at"):
        find_subjects(["./nowhere"], runs, teaching=True)
    with pytest.raises(WorkbenchError, match="Two of these are called 'whole'"):
        find_subjects(["whole", str(runs / "whole")], runs, teaching=True)
