"""Cells as jobs of submitit's local executor: real processes, without a queue."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.light_cells import STAGES, finished, light_tasks, perform_light, worked
from workbench.errors import WorkbenchError
from workbench.grid.driver import drive
from workbench.grid.engine import Resources
from workbench.grid.slurm_engine import SlurmEngine, import_submitit


def test_jobs_are_finished_once_and_a_killed_one_is_submitted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    tasks = light_tasks(tmp_path, {"a": {}, "b": {"dies": 1}, "c": {"fails": True}})
    engine = SlurmEngine(
        tmp_path / "submitit", Resources(1, 0, 2 << 30), local=True, perform=perform_light,
        parameters={"timeout_min": 5}, slots=2, wait=0.1,
    )  # fmt: skip
    found = drive(tasks, engine, finished=finished)
    assert found.finished == ("a", "b")
    assert dict(found.failed) == {"c": "This cell cannot be done."}
    once = {(cell, stage): 1 for cell in "ab" for stage in STAGES}
    assert worked(tmp_path) == {**once, ("b", "second"): 2}


def test_what_submitit_refuses_is_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(WorkbenchError, match="submitit refuses to submit here"),
        SlurmEngine(tmp_path, parameters={"no_such_parameter": 1}, local=True),
    ):
        pass


def test_without_submitit_it_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(WorkbenchError, match=r"confidence-workbench\[slurm\]"):
        import_submitit()
