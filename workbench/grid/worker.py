"""Do one cell exactly once: take its folder, look whether it is finished, run it, and note what
became of it.

The claim on a cell is the lock of its run's folder (:mod:`workbench.files.locks`): the operating
system's flock, which ends with its process however that ends, and beside it a heartbeat file that
the holder renews every 15 seconds. On one machine, on NFS 4, and on Lustre mounted with flock, the
lock alone decides, and a dead worker's claim is gone at once (on NFS when the server drops the dead
client's lease, 90 seconds by default). Where locks stay on their own machine (NFS 3 or 4 mounted
with local_lock, many FUSE systems) the heartbeat decides: the claim of a dead machine is stale 90
seconds after its last beat, by the clock of the file server, so clocks may differ. NFS caches what
it knows of files for up to a minute (acregmax), so a beat may be seen late, never early; 90 seconds
allow for that. A machine that is suspended for longer than 90 seconds and then goes on is the case
that is not covered there.

A worker gets two texts, the path of a task file and the name of an attempt, and returns nothing.
Ray and submitit carry a function to it by cloudpickle; :func:`perform_cell` is a function of this
module, which they carry by its name. No object of the package is pickled, and results go through
files.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.files.locks import FolderInUseError
from workbench.grid.attempts import Outcome, note_attempt
from workbench.grid.tasks import Task, read_task
from workbench.grid.work import cell_finished, run_cell
from workbench.pipeline.store import RunStore

_LONGEST_TRACE = 4000


def perform_cell(path: str, attempt: str) -> None:
    """Do the cell of a task file, for any engine.

    Raises:
        WorkbenchError: where the task cannot be read on this machine.
    """
    perform(read_task(Path(path)), attempt, run_cell, cell_finished)


def perform(
    task: Task, attempt: str, run: Callable[[Task], None], finished: Callable[[Task], bool]
) -> Outcome:
    """Take a task's folder, run what is not finished, and note what became of the attempt. A run
    that fails is noted and not raised, so that an engine sees only failures of its own.

    Args:
        run: does the task's work, or goes on with it.
        finished: whether nothing is left of it.
    """

    def note(outcome: Outcome, reason: str = "", trace: str = "") -> Outcome:
        note_attempt(task.attempts, attempt, outcome, reason, trace)
        return outcome

    try:
        if not task.working_folder.is_dir():
            raise WorkbenchError(
                f"The folder {task.working_folder}, from which the grid was started, is not on "
                "this machine; start it from one on a file system that all machines share."
            )
        os.chdir(task.working_folder)
        with RunStore(task.folder).hold():
            if finished(task):
                return note(Outcome.FOUND)
            note(Outcome.STARTED)
            run(task)
            return note(Outcome.FINISHED)
    except FolderInUseError as error:
        return note(Outcome.IN_USE, str(error))
    except WorkbenchError as error:
        return note(Outcome.FAILED, str(error))
    except Exception as error:
        trace = "".join(traceback.format_exception(error))[-_LONGEST_TRACE:]
        return note(Outcome.FAILED, f"{type(error).__name__}: {error}", trace)
