"""Submit each run as one job of Slurm through submitit, or of submitit's own processes on this
machine, for a rehearsal on a laptop.

submitit pickles what it submits: here :func:`workbench.grid.worker.perform_cell` by its name, and
two texts. What a job returns is not read back, so no pickle of the shared folder is ever loaded by
the driver; what became of a run is read from its own files. Jobs in the queue outlive a driver that
is killed. A driver that is started again waits for those that run; a cell whose job still waits in
the queue is submitted once more, and whichever job comes second finds the run finished or in work,
and ends at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Self

from workbench.errors import WorkbenchError
from workbench.grid.engine import ONE_CORE, Perform, Resources
from workbench.grid.worker import perform_cell

EXTRA = "pip install 'confidence-workbench[slurm]'"
_MINUTES = 24 * 60


def import_submitit() -> ModuleType:
    """Import submitit.

    Raises:
        WorkbenchError: where it is not installed.
    """
    try:
        return importlib.import_module("submitit")
    except ImportError as error:
        raise WorkbenchError(
            f"The engine 'slurm' needs submitit, which is not installed; {EXTRA}."
        ) from error


@dataclass
class SlurmJob:
    """A job in the queue, running, or ended."""

    job: Any

    def ending(self) -> str | None:
        """Return the job's number, its last state and the last line of what it wrote to
        stderr.
        """
        if not self.job.done():
            return None
        lines = [line for line in (self.job.stderr() or "").splitlines() if line.strip()]
        last = f" ({lines[-1].strip()[:300]})" if lines else ""
        return f"job {self.job.job_id} ended as {self.job.state}{last}"


@dataclass
class SlurmEngine:
    """Jobs of Slurm, or of this machine.

    Attributes:
        folder: for submitit's files, on a file system that the nodes share.
        local: processes of this machine in place of Slurm's jobs.
        parameters: further ones of submitit, such as ``slurm_partition`` and ``timeout_min``.
        perform: a function of a module, which does a cell.
    """

    folder: Path
    resources: Resources = ONE_CORE
    local: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    perform: Perform = perform_cell
    slots: int | None = None
    wait: float = 1.0
    _executor: Any = None
    _jobs: list[Any] = field(default_factory=list)

    def __enter__(self) -> Self:
        submitit = import_submitit()
        try:
            self._executor = submitit.AutoExecutor(
                folder=self.folder, cluster="local" if self.local else "slurm"
            )
            self._executor.update_parameters(**self._parameters())
        except (RuntimeError, ValueError, TypeError, NameError, AssertionError) as error:
            words = " ".join(str(error).split())
            raise WorkbenchError(
                f"submitit refuses to submit here ({words[:300]}); correct --slurm, or rehearse on "
                "this machine with --local."
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.local:  # processes of this machine would hold its cores; a queue's jobs go on
            for job in self._jobs:
                if not job.done():
                    job.cancel()

    def start(self, task: Path, attempt: str, log: Path) -> SlurmJob:
        """Submit a job."""
        job = self._executor.submit(self.perform, str(task), attempt)
        self._jobs.append(job)
        return SlurmJob(job)

    def _parameters(self) -> dict[str, Any]:
        needs = self.resources
        out: dict[str, Any] = {
            "name": "workbench-grid",
            "timeout_min": _MINUTES,
            "cpus_per_task": needs.cpus,
            "gpus_per_node": needs.gpus,
        }
        if needs.memory_bytes is not None:
            out["mem_gb"] = needs.memory_bytes / 2**30
        kind = "local" if self.local else "slurm"
        out[f"{kind}_setup"] = [f"export OMP_NUM_THREADS={needs.cpus}"]
        return {**out, **self.parameters}
