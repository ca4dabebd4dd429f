"""Drive a grid to its end: start what is not finished, wait for what others are at, start again
what was lost, and go on past what failed.

The driver keeps nothing that matters. Whether a cell is finished it reads from the run's own seals,
so a driver that was killed is started again with the same command: finished cells are counted as
they are, runs that still go on are waited for, the rest is begun or resumed at its last finished
stage. Two drivers may work on one grid.

An attempt whose worker was lost (a node, a kill, a queue's limit) is started again up to
``retries`` times; a run that failed by itself would fail again, and is told at the end.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from workbench import progress
from workbench.errors import WorkbenchError
from workbench.files.locks import find_holder
from workbench.grid.attempts import Outcome, new_attempt, read_attempt
from workbench.grid.engine import Engine, Job
from workbench.grid.tasks import Task
from workbench.grid.work import cell_finished


@dataclass(frozen=True)
class GridOutcome:
    """How a grid ended: the ``finished`` cells, and by the name of every other one why it is not.

    Attributes:
        done_before: cells that had been finished before.
    """

    finished: tuple[str, ...]
    failed: Mapping[str, str]
    done_before: int


@dataclass
class _Driver:
    tasks: Mapping[str, tuple[Task, Path]]
    engine: Engine
    retries: int
    finished: Callable[[Task], bool]
    pending: deque[str] = field(default_factory=deque)
    waiting: set[str] = field(default_factory=set)
    running: dict[str, tuple[str, Job]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)

    def look(self) -> int:
        """Sort all cells by what is there; return how many are finished."""
        for name, (task, _) in self.tasks.items():
            holder = find_holder(task.folder)
            if holder is not None:
                self._tell(name, f"is being worked on by {holder.said()}; waiting for it")
                self.waiting.add(name)
            elif self._is_finished(name):
                self.done.append(name)
            else:
                self.pending.append(name)
        return len(self.done)

    def step(self) -> None:
        """Start what may be started, and look at what has ended."""
        while self.pending and (self.engine.slots is None or len(self.running) < self.engine.slots):
            self._start(self.pending.popleft())
        for name, (attempt, job) in list(self.running.items()):
            how = job.ending()
            if how is not None:
                del self.running[name]
                self._end(name, attempt, how)
        for name in sorted(self.waiting):
            if find_holder(self.tasks[name][0].folder) is None:
                self.waiting.remove(name)
                if self._is_finished(name):
                    self._finish(name)
                else:
                    self.pending.append(name)

    @property
    def over_count(self) -> int:
        """How many cells are finished or have failed."""
        return len(self.done) + len(self.failed)

    @property
    def over(self) -> bool:
        """Whether every cell is finished or has failed."""
        return not (self.pending or self.running or self.waiting)

    def _start(self, name: str) -> None:
        """Start an attempt, unless another driver has come first since the cell was looked at."""
        task, path = self.tasks[name]
        if find_holder(task.folder) is not None:
            self.waiting.add(name)
            return
        if self._is_finished(name):
            self._finish(name)
            return
        attempt = new_attempt()
        self.running[name] = attempt, self.engine.start(path, attempt, task.log)

    def _end(self, name: str, attempt: str, how: str) -> None:
        task, _ = self.tasks[name]
        found = read_attempt(task.attempts, attempt)
        outcome = None if found is None else found.outcome
        if outcome == Outcome.FAILED:
            assert found is not None
            self.failed[name] = found.reason
            self._tell(name, f"failed: {found.reason}")
        elif outcome == Outcome.IN_USE:
            self.waiting.add(name)
        elif self._is_finished(name):
            self._finish(name)
        elif self.lost[name] < self.retries:
            self.lost[name] += 1
            self._tell(name, f"was lost ({how or 'no reason is known'}); it is started again")
            self.pending.append(name)
        else:
            tries = self.lost[name] + 1
            self.failed[name] = f"lost {tries} {'time' if tries == 1 else 'times'}: {how}"
            self._tell(name, f"failed: {self.failed[name]}")

    def _is_finished(self, name: str) -> bool:
        """Return whether a cell is finished; what cannot be told is left to its worker, who says
        why.
        """
        try:
            return self.finished(self.tasks[name][0])
        except WorkbenchError:
            return False

    def _finish(self, name: str) -> None:
        self.done.append(name)
        self._tell(name, "finished")

    def _tell(self, name: str, what: str) -> None:
        progress.notice(f"{name} {what} ({self.over_count} of {len(self.tasks)} done)")


def drive(
    tasks: Sequence[tuple[Task, Path]],
    engine: Engine,
    *,
    retries: int = 2,
    finished: Callable[[Task], bool] = cell_finished,
) -> GridOutcome:
    """Bring all tasks to their end on an engine.

    Args:
        tasks: each with the path of its file.
        retries: how often a cell is started again whose worker was lost.
        finished: whether nothing is left of a task.
    """
    driver = _Driver(
        {task.cell.name: (task, path) for task, path in tasks}, engine, retries, finished
    )
    before = driver.look()
    progress.notice(
        f"{len(tasks)} cells: {before} finished before, {len(driver.waiting)} in work elsewhere, "
        f"{len(driver.pending)} to do"
    )
    if not driver.over:
        with engine, progress.task("cells", len(tasks)) as bar:
            bar.advance(before)
            while True:
                over = driver.over_count
                driver.step()
                bar.advance(driver.over_count - over)
                if driver.over:
                    break
                time.sleep(engine.wait)
    order = list(driver.tasks)
    return GridOutcome(
        tuple(sorted(driver.done, key=order.index)),
        {name: driver.failed[name] for name in order if name in driver.failed},
        before,
    )
