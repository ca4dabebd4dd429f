"""Run a grid from its file to its table and page, or say where its cells stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from workbench.files.names import folder_named
from workbench.files.ownership import is_own
from workbench.files.writing import write_atomically, write_json
from workbench.grid.cells import Cell, cells_of
from workbench.grid.driver import GridOutcome, drive
from workbench.grid.engine import Engine
from workbench.grid.grid_file import GridFile, read_grid
from workbench.grid.state import CellState, state_of
from workbench.grid.tasks import GridFolder, Task
from workbench.pipeline.stages import STRICT, Reuse
from workbench.report import Page, write_page


@dataclass(frozen=True)
class Grid:
    """A grid that was read: its file, its cells and its folders.

    Attributes:
        name: of its folder below those of runs and figures.
    """

    name: str
    file: GridFile
    cells: Sequence[Cell]
    folders: GridFolder
    reuse: Reuse = STRICT

    def tasks(self) -> dict[str, Task]:
        """Return the tasks of all cells, by name."""
        return {cell.name: self.folders.task(cell, self.reuse) for cell in self.cells}

    def states(self) -> list[CellState]:
        """Say of every cell where it stands."""
        return [state_of(task) for task in self.tasks().values()]

    def left_over(self) -> list[str]:
        """Return the names of runs in the folder that the grid does not have (any more); they are
        neither counted nor touched.
        """
        known, place = {cell.name for cell in self.cells}, self.folders.folder / "cells"
        there = place.iterdir() if place.is_dir() else ()
        return sorted(path.name for path in there if is_own(path) and path.name not in known)


def open_grid(
    path: Path,
    name: str | None,
    runs: Path,
    figures: Path,
    reuse: Reuse = STRICT,
    changes: Mapping[str, Any] = MappingProxyType({}),
) -> Grid:
    """Read a grid file and expand it; nothing is written.

    Args:
        name: of the grid; None for that of the file.
        changes: dotted keys of the file and values in place of its own.

    Raises:
        WorkbenchError: for a file that is no grid (:func:`workbench.grid.grid_file.read_grid`,
            :func:`workbench.grid.cells.cells_of`).
    """
    file = read_grid(path, changes)
    chosen = path.stem if name is None else name
    folders = GridFolder(folder_named(runs, chosen), folder_named(figures, chosen))
    return Grid(chosen, file, cells_of(file), folders, reuse)


def run_grid(grid: Grid, engine: Engine, *, retries: int) -> GridOutcome:
    """Run what is not finished of a grid, and write its table and page.

    Raises:
        WorkbenchError: before anything is run, where a folder is somebody else's.
    """
    grid.folders.claim()
    write_json(grid.folders.folder / "grid.json", grid.file.model_dump(mode="json"))
    tasks = [(task, grid.folders.write(task)) for task in grid.tasks().values()]
    outcome = drive(tasks, engine, retries=retries)
    write_grid_page(grid, outcome.failed)
    return outcome


def write_grid_page(grid: Grid, failed: Mapping[str, str] | None = None) -> tuple[Page, Path]:
    """Gather the finished cells; write ``grid.parquet`` in the grid's folder, and the page with the
    same table; return the page and its path.

    Args:
        failed: why cells failed, where that is known better than their folders tell it.
    """
    from workbench.grid.page import grid_page

    grid.folders.claim()
    states = [
        CellState(one.name, one.state, (failed or {}).get(one.name, one.reason))
        for one in grid.states()
    ]
    page = grid_page(grid.file, grid.tasks(), states, grid.name)
    table = page.tables["grid.parquet"]
    write_atomically(
        grid.folders.folder / "grid.parquet", lambda path: table.to_parquet(path, index=False)
    )
    return page, write_page(page, grid.folders.figures)
