"""Cells driven to their end by processes of this machine: each stage once, whatever is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.light_cells import (
    COMMAND,
    STAGES,
    finished,
    light_tasks,
    run,
    worked,
)
from workbench.files.locks import EXPIRED, HOLDER, LOCK, find_holder
from workbench.grid.attempts import Outcome, read_attempts
from workbench.grid.driver import drive
from workbench.grid.local_engine import LocalEngine
from workbench.grid.worker import perform

DRIVER = """
import sys
from pathlib import Path
from tests.support.light_cells import COMMAND, finished, light_tasks
from workbench.grid.driver import drive
from workbench.grid.local_engine import LocalEngine
import json
tasks = light_tasks(Path(sys.argv[1]), json.loads(sys.argv[2]))
drive(tasks, LocalEngine(2, command=COMMAND), finished=finished)
"""


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))


def engine(jobs: int = 2) -> LocalEngine:
    return LocalEngine(jobs, command=COMMAND, wait=0.02)


def outcomes(task: Any) -> list[Outcome]:
    return [one.outcome for one in read_attempts(task.attempts)]


def wait_for(condition: Any, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_fails_is_told_with_its_reason_and_does_not_stop_the_others(tmp_path: Path) -> None:
    tasks = light_tasks(
        tmp_path,
        {"bad": {"fails": True}, "broken": {"breaks": True}, "good": {}, "killed": {"dies": 9}},
    )
    found = drive(tasks, engine(), retries=1, finished=finished)
    assert found.finished == ("good",)
    assert found.failed["bad"] == "This cell cannot be done."
    assert found.failed["broken"] == "ZeroDivisionError: nobody expected this"
    assert found.failed["killed"].startswith("lost 2 times: its process was killed by SIGKILL")
    (broken,) = read_attempts(tasks[1][0].attempts)
    assert "raise ZeroDivisionError" in broken.trace


def test_a_killed_worker_is_replaced_and_goes_on_at_its_last_finished_stage(tmp_path: Path) -> None:
    tasks = light_tasks(tmp_path, {"a": {"dies": 1}})
    found = drive(tasks, engine(), finished=finished)
    assert (found.finished, dict(found.failed)) == (("a",), {})
    assert worked(tmp_path) == {("a", "first"): 1, ("a", "second"): 2, ("a", "third"): 1}
    assert outcomes(tasks[0][0]) == [Outcome.STARTED, Outcome.FINISHED]


def test_a_killed_driver_is_started_again_and_adopts_what_runs_and_what_is_finished(
    tmp_path: Path,
) -> None:
    cells = {"a": {}, "b": {"pace": 1.0}, "c": {"pace": 0.01}}
    tasks = light_tasks(tmp_path, cells)
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path), json.dumps(cells)])
    wait_for(lambda: finished(tasks[0][0]) and worked(tmp_path)["b", "first"])
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert not finished(tasks[1][0])
    found = drive(tasks, engine(), finished=finished)
    assert found.finished == ("a", "b", "c")
    assert found.done_before >= 1
    assert worked(tmp_path) == {(cell, stage): 1 for cell in cells for stage in STAGES}
    for task, _ in tasks:
        assert outcomes(task).count(Outcome.FINISHED) == 1


def test_two_drivers_at_once_do_every_stage_once(tmp_path: Path) -> None:
    cells: dict[str, Any] = {f"cell{i}": {"pace": 0.05} for i in range(4)}
    tasks = light_tasks(tmp_path, cells)
    other = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path), json.dumps(cells)])
    found = drive(tasks, engine(), finished=finished)
    assert other.wait() == 0
    assert len(found.finished) == 4
    assert worked(tmp_path) == {(cell, stage): 1 for cell in cells for stage in STAGES}


def test_a_second_worker_leaves_a_cell_alone_that_is_in_use_or_finished(tmp_path: Path) -> None:
    ((task, path),) = light_tasks(tmp_path, {"a": {"pace": 0.5}})
    first = subprocess.Popen([*COMMAND, str(path), "first"])
    wait_for(lambda: find_holder(task.folder) is not None)
    assert perform(task, "second", run, finished) == Outcome.IN_USE
    assert first.wait() == 0
    assert perform(task, "third", run, finished) == Outcome.FOUND
    assert worked(tmp_path) == {("a", stage): 1 for stage in STAGES}


def beat(folder: Path, host: str, pid: int, age: float) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / LOCK).touch()
    (folder / HOLDER).write_text(json.dumps({"host": host, "pid": pid, "since": "then"}))
    os.utime(folder / HOLDER, (time.time() - age, time.time() - age))


def test_the_claim_of_a_dead_machine_is_waited_for_until_it_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a file system passes no locks on, the heartbeat alone tells."""
    ((task, path),) = light_tasks(tmp_path, {"a": {}})
    from workbench.pipeline.store import RunStore

    with RunStore(task.folder).hold():
        pass
    beat(task.folder, "elsewhere 1", 7, age=EXPIRED - 2.0)
    assert find_holder(task.folder) is not None
    began = time.monotonic()
    found = drive([(task, path)], engine(), finished=finished)
    assert found.finished == ("a",)
    assert time.monotonic() - began > 1.5
    assert outcomes(task) == [Outcome.FINISHED]
