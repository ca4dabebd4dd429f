"""Start each run as a process of this machine, with its share of the cores, and progress lines in a
log of its own.

A process outlives a driver that is killed; a driver that is started again finds its claim and waits
for it. Ctrl-C reaches the processes as it reaches the driver, and each ends as ``workbench run``
does. A driver that ends by an error stops the processes it started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from workbench.grid.engine import ONE_CORE, Resources

COMMAND = (sys.executable, "-m", "workbench", "grid", "cell")
"""The command that does a cell; the task file and the attempt follow."""
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PATIENCE = 30.0


@dataclass
class LocalJob:
    """A process and the places of its accelerators."""

    process: subprocess.Popen[bytes]
    place: int
    taken: set[int]
    log: Path

    def ending(self) -> str | None:
        """Return the signal or exit code with which it ended, and the last line of its log."""
        code = self.process.poll()
        if code is None:
            return None
        self.taken.discard(self.place)
        how = f"was killed by {_signal(-code)}" if code < 0 else f"ended with exit code {code}"
        last = _last_line(self.log)
        return f"its process {how}{f' ({last})' if last else ''}"


@dataclass
class LocalEngine:
    """Processes of this machine, ``slots`` at once.

    Attributes:
        command: what does a cell.
    """

    slots: int
    resources: Resources = ONE_CORE
    command: Sequence[str] = COMMAND
    wait: float = 0.2
    _jobs: list[LocalJob] = field(default_factory=list)
    _taken: set[int] = field(default_factory=set)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        running = [job.process for job in self._jobs if job.process.poll() is None]
        for process in running:
            process.terminate()
        for process in running:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, task: Path, attempt: str, log: Path) -> LocalJob:
        """Start a process, with the threads and the accelerators of one run."""
        place = next(free for free in range(self.slots) if free not in self._taken)
        self._taken.add(place)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*self.command, str(task), attempt],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self._environment(place)},
            )
        job = LocalJob(process, place, self._taken, log)
        self._jobs.append(job)
        return job

    def _environment(self, place: int) -> dict[str, str]:
        out = dict.fromkeys(_THREADS, str(self.resources.cpus))
        gpus = self.resources.gpus
        if gpus:
            seen = os.environ.get("CUDA_VISIBLE_DEVICES")
            first = place * gpus
            names = seen.split(",") if seen else [str(i) for i in range(first + gpus)]
            out["CUDA_VISIBLE_DEVICES"] = ",".join(names[first : first + gpus])
        return out


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(log: Path, most: int = 300) -> str:
    """Return the last line of a log; "" where it cannot be read."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 4096))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip()[:most] for line in reversed(lines) if line.strip()), "")
