"""Write progress as plain lines, for output that does not move: a file, a pipe, the log of a job.

A stage writes a line when it begins and one with its seconds when it ends; a loop writes its count
at both ends, one inside another only at its end and only if it took ``SHORT`` seconds, for an outer
one may have thousands; and while anything runs, a line at least every half minute says how far it
is and how much time is left, also in the middle of one long step. Every line is written out at
once, so that a process that is killed shows what it was doing. No bars, no colours, no escapes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from rich.console import Console
from rich.text import Text

from workbench.cli.terminal_text import safe_line

INTERVAL = 30.0
SHORT = 5.0


@dataclass
class _Loop:
    """A running loop of the ``thread``; ``inner``: inside another one of it."""

    description: str
    total: float | None
    started: float
    thread: int
    inner: bool
    done: float = 0.0

    def count(self) -> str:
        done = f"{self.done:,.0f}"
        return done if self.total is None else f"{done} of {self.total:,.0f}"

    def left(self, now: float) -> str:
        """Return the time left at the mean pace so far; empty where it is unknown."""
        if not self.total or not 0 < self.done <= self.total:
            return ""
        return f", {clock((now - self.started) * (self.total - self.done) / self.done)} left"


class Lines:
    """A reporter that writes lines to ``console``. It is a context manager; inside the block it
    writes the half-minute lines.

    Args:
        interval: most seconds between two lines.
        now: the clock, in seconds.
        wait: waits so many seconds for the end of the block, and returns whether it has come.
    """

    def __init__(
        self,
        console: Console,
        interval: float = INTERVAL,
        now: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self._console, self._interval, self._now = console, interval, now
        self._began = now()
        self._loops: dict[int, _Loop] = {}
        self._stages: list[tuple[str, float]] = []
        self._numbers = 0
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._wait = self._over.wait if wait is None else wait
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Lines:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()

    def start(self, description: str, total: float | None) -> int:
        with self._lock:
            self._numbers += 1
            own = threading.get_ident()
            inner = any(loop.thread == own for loop in self._loops.values())
            loop = _Loop(description, total, self._now(), own, inner)
            self._loops[self._numbers] = loop
            if not inner:
                self._write(
                    f"{description}: begun" if total is None else f"{description}: {loop.count()}"
                )
            return self._numbers

    def advance(self, task: int, amount: float) -> None:
        with self._lock:
            if task in self._loops:
                self._loops[task].done += amount

    def finish(self, task: int) -> None:
        with self._lock:
            loop = self._loops.pop(task, None)
            if loop is not None and not (loop.inner and self._now() - loop.started < SHORT):
                counted = "" if loop.total is None and not loop.done else f"{loop.count()} "
                self._write(f"{loop.description}: {counted}in {clock(self._now() - loop.started)}")

    def begin_stage(self, name: str) -> None:
        with self._lock:
            self._write(f"{name}: begun")
            self._stages.append((name, self._now()))

    def end_stage(self, name: str, seconds: float, done: bool) -> None:
        with self._lock:
            self._stages = [stage for stage in self._stages if stage[0] != name]
            self._write(f"{name}: {'done in' if done else 'stopped after'} {seconds:.1f} s")

    def notice(self, text: str) -> None:
        with self._lock:
            self._write(text)

    def tell(self) -> None:
        """Write how far all running work is: the loops, or the stage while no loop runs, or how
        long the work has gone on where neither has begun.
        """
        with self._lock:
            now = self._now()
            for loop in self._loops.values():
                self._write(
                    f"{loop.description}: {loop.count()} after "
                    f"{clock(now - loop.started)}{loop.left(now)}"
                )
            if self._loops:
                return
            name, started = self._stages[-1] if self._stages else ("at work", self._began)
            self._write(f"{name}: still at it after {clock(now - started)}")

    def _watch(self) -> None:
        while not self._wait(self._interval):
            try:
                self.tell()
            except OSError:  # nobody reads any more; whoever works will meet it too
                return

    def _write(self, line: str) -> None:
        depth = "  " * len(self._stages)
        self._console.print(Text(f"{depth}{safe_line(line)}"), soft_wrap=True)


def clock(seconds: float) -> str:
    """Return hours, minutes and seconds, as 0:01:05."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
