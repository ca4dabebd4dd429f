"""Lay out a grid's folder and write what a worker needs to do one cell as a JSON file.

A worker, on whatever machine, gets the path of that file and the name of its attempt, two texts,
and reads the rest. The folder lies on a file system that all workers share:

| path | what it holds |
|---|---|
| ``tasks/<cell>.json`` | a cell: its settings, and where its run goes |
| ``cells/<cell>/`` | the folder of its run, as ``workbench run`` writes it |
| ``attempts/<cell>/<attempt>.json`` | what became of one attempt (:mod:`.attempts`) |
| ``logs/<cell>.log`` | the progress lines of local processes |
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workbench.config import RunConfig
from workbench.errors import WorkbenchError
from workbench.files.json_files import read_json
from workbench.files.ownership import FIGURES, claim_folder, require_claimable
from workbench.files.writing import write_json
from workbench.grid.cells import Cell
from workbench.grid.grid_file import LOOP
from workbench.pipeline.stages import STRICT, Reuse

SUMMARY = "summary.json"
_MEND = "give the grid's command again"


@dataclass(frozen=True)
class Task:
    """A cell and its places.

    Attributes:
        folder: of its run.
        figures: of its page.
        attempts: where each attempt at it writes what became of it.
        log: the file for progress lines.
        working_folder: to which relative paths in its settings refer.
        reuse: the rules for results that no longer fit.
    """

    cell: Cell
    folder: Path
    figures: Path
    attempts: Path
    log: Path
    working_folder: Path
    reuse: Reuse = STRICT

    @property
    def config(self) -> RunConfig:
        """All settings of the run."""
        return self.cell.config

    @property
    def summary(self) -> Path:
        """The file with the run's numbers."""
        if self.cell.recipe == LOOP:
            return self.folder / SUMMARY
        return self.folder / "recipes" / self.cell.recipe / SUMMARY


@dataclass(frozen=True)
class GridFolder:
    """The folder of a grid, and that of its pages."""

    folder: Path
    figures: Path

    def task(self, cell: Cell, reuse: Reuse = STRICT) -> Task:
        """Return the task of a cell, with absolute paths."""
        root = self.folder.absolute()
        return Task(
            cell,
            root / "cells" / cell.name,
            self.figures.absolute() / cell.name,
            root / "attempts" / cell.name,
            root / "logs" / f"{cell.name}.log",
            Path.cwd(),
            reuse,
        )

    def task_file(self, cell: Cell) -> Path:
        """Return the path of a cell's task file."""
        return self.folder.absolute() / "tasks" / f"{cell.name}.json"

    def claim(self) -> None:
        """Make both folders and mark them as the workbench's.

        Raises:
            WorkbenchError: where one is somebody else's.
        """
        require_claimable(self.figures, FIGURES)
        claim_folder(self.folder, "another --name or --runs")
        claim_folder(self.figures, FIGURES)
        for name in ("tasks", "cells", "attempts", "logs"):
            (self.folder / name).mkdir(exist_ok=True)

    def write(self, task: Task) -> Path:
        """Write a task's file; return its path."""
        path = self.task_file(task.cell)
        cell = task.cell
        content = {
            "cell": {**asdict(cell), "axes": dict(cell.axes), "settings": dict(cell.settings)},
            "folder": str(task.folder),
            "figures": str(task.figures),
            "attempts": str(task.attempts),
            "log": str(task.log),
            "working_folder": str(task.working_folder),
            "reuse": asdict(task.reuse),
        }
        write_json(path, content, sync=False)
        return path


def read_task(path: Path) -> Task:
    """Read a task's file.

    Raises:
        WorkbenchError: where it is not there or not readable.
    """
    content: dict[str, Any] = read_json(path, _MEND)
    if not content:
        raise WorkbenchError(
            f"There is no task {path} on this machine; keep the grid's folder on a file system "
            "that all machines share, under the same path."
        )
    cell = content["cell"]
    return Task(
        cell=Cell(**{**cell, "arms": tuple(cell["arms"])}),
        folder=Path(content["folder"]),
        figures=Path(content["figures"]),
        attempts=Path(content["attempts"]),
        log=Path(content["log"]),
        working_folder=Path(content["working_folder"]),
        reuse=Reuse(**content["reuse"]),
    )
