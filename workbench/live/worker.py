"""Run views one after another in the one thread that uses the model.

A view is an iterator of lines. Between two of its lines the thread looks whether the view is still
wanted: it is cancelled when the person who asked goes away, and when a newer view of the same kind
is submitted by the same page. A view that waits and is cancelled is never begun. What is being
computed for the next line is not broken off, so a view is cancelled as quickly as its lines are
short.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from workbench.errors import WorkbenchError

Line = dict[str, Any]
Work = Callable[[], Iterator[Line]]
Receive = Callable[[Line | None], None]
"""Called with every line, and with None after the last."""
MOST_WAITING = 64


@dataclass(eq=False)
class Job:
    """A view that waits or runs. ``key`` names what a newer job supersedes."""

    key: tuple[str, str]
    work: Work
    receive: Receive
    _cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Stop the job before its next line; may be called from any thread."""
        self._cancelled.set()


class Worker:
    """The thread that computes views, and the views that wait for it."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Job | None] = queue.Queue()
        self._newest: dict[tuple[str, str], Job] = {}
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="live-worker", daemon=True)
        self._thread.start()

    def submit(self, key: tuple[str, str], work: Work, receive: Receive) -> Job:
        """Queue a view and cancel the older one of the same key.

        Raises:
            WorkbenchError: where too many views wait already.
        """
        job = Job(key, work, receive)
        with self._lock:
            older = self._newest.pop(key, None)
            if older is not None:
                older.cancel()
            if self._waiting.qsize() >= MOST_WAITING:
                raise WorkbenchError("Too many views wait for the model; try again in a moment.")
            self._newest[key] = job
            self._waiting.put(job)
        return job

    def close(self) -> None:
        """Cancel everything and wait for the thread to end."""
        with self._lock:
            for job in self._newest.values():
                job.cancel()
        self._waiting.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._waiting.get()) is not None:
            try:
                self._work(job)
            finally:
                with self._lock:
                    if self._newest.get(job.key) is job:
                        del self._newest[job.key]

    def _work(self, job: Job) -> None:
        try:
            if not job.cancelled:
                with closing(told_lines(job.work)) as lines:
                    for line in lines:
                        if job.cancelled:
                            break
                        job.receive(line)
            if job.cancelled:
                job.receive({"kind": "cancelled"})
        finally:
            job.receive(None)


def told_lines(work: Work) -> Generator[Line]:
    """Yield the lines of a view; an error is a line, and ends it."""
    try:
        yield from work()
    except WorkbenchError as error:
        yield {"kind": "error", "message": str(error)}
    except Exception as error:  # what computes views must outlive a fault of one
        yield {"kind": "error", "message": f"{type(error).__name__}: {error}"}
