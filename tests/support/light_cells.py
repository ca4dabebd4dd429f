"""Cells whose run is three short stages without a model, in a run's own store: what an engine does
with cells, without what a model costs.

Every stage that is worked on leaves a file in ``work``, so that a test can count how often each was
done. ``pace``: seconds of a stage; ``fails``: the run refuses; ``dies``: its process kills itself in
the second stage, as often as that.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.errors import WorkbenchError
from workbench.files.writing import write_json
from workbench.grid.cells import Cell
from workbench.grid.tasks import GridFolder, Task, read_task
from workbench.grid.worker import perform
from workbench.pipeline.store import RunStore

STAGES = ("first", "second", "third")
KEY = "key"


def light_tasks(root: Path, cells: Mapping[str, Mapping[str, Any]]) -> list[tuple[Task, Path]]:
    """Tasks of cells, by their names and settings, and the paths of their files."""
    folders = GridFolder(root / "runs", root / "figures")
    folders.claim()
    made = [Cell(name, {"model": name, "seed": 0}, settings) for name, settings in cells.items()]
    return [(task, folders.write(task)) for task in map(folders.task, made)]


def run(task: Task) -> None:
    settings, store = task.cell.settings, RunStore(task.folder)
    if settings.get("fails"):
        raise WorkbenchError("This cell cannot be done.")
    if settings.get("breaks"):
        raise ZeroDivisionError("nobody expected this")
    for name in STAGES:
        stage = store.stage(name, KEY)
        if stage.done:
            continue
        stage.begin()
        work = task.folder.parent.parent / "work"
        work.mkdir(exist_ok=True)
        (work / f"{task.cell.name}.{name}.{secrets.token_hex(4)}").touch()
        time.sleep(settings.get("pace", 0.01))
        if name == "second" and worked(task.folder.parents[2])[
            task.cell.name, name
        ] <= settings.get("dies", 0):
            os.kill(os.getpid(), signal.SIGKILL)
        stage.finish({})
    write_json(task.summary, {"score": 0.5, "score.low": 0.4, "score.high": 0.6})


def finished(task: Task) -> bool:
    store = RunStore(task.folder)
    return task.summary.exists() and all(store.stage(name, KEY).done for name in STAGES)


def worked(root: Path) -> Counter[tuple[str, str]]:
    """How often each stage of each cell was begun."""
    parts = (path.name.split(".") for path in (root / "runs" / "work").glob("*"))
    return Counter((cell, stage) for cell, stage, _ in parts)


def perform_light(path: str, attempt: str) -> None:
    perform(read_task(Path(path)), attempt, run, finished)


COMMAND = (sys.executable, str(Path(__file__).resolve()))
"""What does a light cell as a process."""

if __name__ == "__main__":
    perform_light(*sys.argv[1:])
