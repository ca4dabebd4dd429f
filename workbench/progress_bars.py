"""Show the progress of long work as bars in a notebook or an interactive session.

tqdm draws them: as widgets where ipywidgets is installed and the notebook shows widgets, as lines
of text elsewhere. A bar goes away when its loop ends. Nothing is shown unless :func:`show_progress`
was called; the command line and :mod:`workbench.notebook` draw bars of their own.
"""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from typing import Any

from workbench.notices import no_notices
from workbench.progress import report_always

_shown = ExitStack()


class Bars:
    """A reporter that draws one bar of tqdm for each running loop.

    Args:
        bar: makes a bar from ``desc``, ``total`` and more of tqdm's options.
    """

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._bars: dict[int, Any] = {}
        self._begun = 0
        self._lock = threading.Lock()

    def start(self, description: str, total: float | None) -> int:
        # ``disable`` is said because loading hides libraries' bars by turning it on by default.
        bar = self._bar(desc=description, total=total, leave=False, disable=False)
        with self._lock:
            self._begun += 1
            self._bars[self._begun] = bar
            return self._begun

    def advance(self, task: int, amount: float) -> None:
        if task in self._bars:
            self._bars[task].update(amount)

    def finish(self, task: int) -> None:
        with self._lock:
            bar = self._bars.pop(task, None)
        if bar is not None:
            bar.close()

    def begin_stage(self, name: str) -> None:
        """Do nothing: the bars of the stage's loops show its progress."""

    def end_stage(self, name: str, seconds: float, done: bool) -> None:
        """Do nothing: the bars of the stage's loops show their times."""

    def notice(self, text: str) -> None:
        self._bar.write(text, file=sys.stderr)


def show_progress(on: bool = True) -> None:
    """Draw a bar for every long loop from here on, in this process, and hide the notices of
    libraries that mean nothing here (:mod:`workbench.notices`); or do neither again.
    """
    _shown.close()
    if not on:
        return
    # Whether widgets can be drawn is decided when this is imported.
    from tqdm.auto import tqdm

    _shown.enter_context(no_notices())
    _shown.callback(report_always, None)
    report_always(Bars(tqdm))
