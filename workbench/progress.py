"""Report the progress of long stages to the caller that asked for it.

The library never prints. Long loops pass their iterables through :func:`track`, code that runs
stages names each with :func:`stage`; a caller that wants bars or lines installs a :class:`Reporter`
for the duration of its work with :func:`reporting`, or for the rest of the process with
:func:`report_always`. Without one, both only do the work.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class Reporter(Protocol):
    """A receiver of the start, advance and end of each tracked loop, and of the beginning and end
    of each stage around them.
    """

    def start(self, description: str, total: float | None) -> int: ...

    def advance(self, task: int, amount: float) -> None: ...

    def finish(self, task: int) -> None: ...

    def begin_stage(self, name: str) -> None: ...

    def end_stage(self, name: str, seconds: float, done: bool) -> None: ...

    def notice(self, text: str) -> None: ...


_reporter: ContextVar[Reporter | None] = ContextVar("workbench_reporter", default=None)
# A notebook's cells may each run in a context of their own, which what one sets does not outlive.
_always: list[Reporter] = []


@contextmanager
def reporting(reporter: Reporter) -> Iterator[None]:
    """Send the progress of everything inside the ``with`` block to ``reporter``."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)


def report_always(reporter: Reporter | None) -> None:
    """Send the progress of everything outside a :func:`reporting` block to ``reporter``, in every
    thread; None ends that.
    """
    _always[:] = [] if reporter is None else [reporter]


def _current() -> Reporter | None:
    """Return the reporter of the innermost block, or else that of the process."""
    return _reporter.get() or next(iter(_always), None)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Report the block as one stage of a longer work: its beginning, and its seconds at the end,
    whether it was done or failed.
    """
    reporter = _current()
    if reporter is None:
        yield
        return
    reporter.begin_stage(name)
    started, done = time.monotonic(), False
    try:
        yield
        done = True
    finally:
        reporter.end_stage(name, time.monotonic() - started, done)


def notice(text: str) -> None:
    """Tell the person one sentence that they should know before the work goes on. Without a
    reporter it is dropped.
    """
    reporter = _current()
    if reporter is not None:
        reporter.notice(text)


class Task:
    """A handle on one bar; :meth:`advance` it by any amount of the stated total."""

    def __init__(self, description: str, total: float | None) -> None:
        self._reporter = _current()
        self._id = self._reporter.start(description, total) if self._reporter else 0

    def advance(self, amount: float = 1.0) -> None:
        if self._reporter:
            self._reporter.advance(self._id, amount)

    def finish(self) -> None:
        if self._reporter:
            self._reporter.finish(self._id)


@contextmanager
def task(description: str, total: float | None = None) -> Iterator[Task]:
    """Show one bar for work that is not a plain iteration (bytes of a download, steps of a
    trainer).
    """
    handle = Task(description, total)
    try:
        yield handle
    finally:
        handle.finish()


def track(items: Iterable[Item], description: str, total: float | None = None) -> Iterator[Item]:
    """Yield ``items``, reporting one unit of progress after each."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with task(description, total) as handle:
        for item in items:
            yield item
            handle.advance()
