"""Say of every cell of a grid where it stands, and why it is not finished. Nothing is changed.

| state | what it means |
|---|---|
| finished | its run's seals and summary are there, under the present settings, code and libraries |
| running | a process holds its folder and is alive |
| failed | its last attempt failed, with the reason; or what is there cannot be used |
| stopped | it was begun, and nobody is at work on it: the grid's command goes on from there |
| missing | nothing of it was done |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from workbench.errors import WorkbenchError
from workbench.files.locks import find_holder
from workbench.grid.attempts import Attempt, Outcome, read_attempts
from workbench.grid.tasks import Task
from workbench.grid.work import cell_finished, stages_done


class State(StrEnum):
    """Where a cell stands."""

    FINISHED = "finished"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"
    MISSING = "missing"


@dataclass(frozen=True)
class CellState:
    """Where a cell stands.

    Attributes:
        reason: why it failed, or where and how far it is; "" for one that is finished or missing.
    """

    name: str
    state: State
    reason: str = ""


def state_of(task: Task) -> CellState:
    """Return where a cell stands."""
    name = task.cell.name
    holder = find_holder(task.folder)
    if holder is not None:
        return CellState(name, State.RUNNING, f"{_how_far(task)}, {holder.said()}")
    try:
        if cell_finished(task):
            return CellState(name, State.FINISHED)
    except WorkbenchError as error:
        return CellState(name, State.FAILED, str(error))
    last = _last(list(read_attempts(task.attempts)))
    if last is not None and last.outcome == Outcome.FAILED:
        return CellState(name, State.FAILED, last.reason)
    begun = stages_done(task)[0] > 0 or last is not None
    return CellState(
        name, State.STOPPED if begun else State.MISSING, _how_far(task) if begun else ""
    )


def _last(attempts: Sequence[Attempt]) -> Attempt | None:
    """Return the last attempt that held the cell's folder, or was refused by its settings."""
    mine = [one for one in attempts if one.outcome != Outcome.IN_USE]
    return mine[-1] if mine else None


def _how_far(task: Task) -> str:
    done, count, following = stages_done(task)
    return f"{done} of {count} stages done" + (f", {following} is next" if following else "")
