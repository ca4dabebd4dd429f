"""Show results on the command line: progress, as moving bars or, where nothing can move, as lines,
and a short table of results.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from workbench.cli.progress_lines import Lines
from workbench.cli.terminal_text import safe_line
from workbench.notices import no_notices
from workbench.progress import reporting
from workbench.report.formatting import summary_groups


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, description: str, total: float | None) -> int:
        # Markup in a description, such as a model's name in brackets, is text.
        return int(self._progress.add_task(escape(safe_line(description)), total=total))

    def advance(self, task: int, amount: float) -> None:
        self._progress.advance(TaskID(task), amount)

    def finish(self, task: int) -> None:
        self._progress.stop_task(TaskID(task))

    def begin_stage(self, name: str) -> None:
        """Do nothing: the bars of the stage's loops show its progress."""

    def end_stage(self, name: str, seconds: float, done: bool) -> None:
        """Do nothing: the bars of the stage's loops show their times."""

    def notice(self, text: str) -> None:
        self._progress.console.print(Text(safe_line(text)), soft_wrap=True)


@contextmanager
def bars(console: Console) -> Iterator[None]:
    """Show the progress of everything inside the block, with elapsed time and time left.

    Progress is shown as bars where they can move, in a terminal and in a notebook. Elsewhere (a
    file, a pipe, a log of a job, a dumb terminal) it is shown as plain lines, each written out at
    once. Libraries' notices to developers about future versions, and notices without meaning here,
    are suppressed.
    """
    with warnings.catch_warnings(), no_notices(), _shown(console):
        warnings.simplefilter("ignore", FutureWarning)
        yield


@contextmanager
def _shown(console: Console) -> Iterator[None]:
    if not (console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal)):
        with Lines(console) as lines, reporting(lines):
            yield
        return
    columns = (
        TextColumn("{task.description:<32}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with Progress(*columns, console=console) as progress, reporting(_Bars(progress)):
        yield


def show_summary(console: Console, summary: Mapping[str, Any]) -> None:
    """Print the summary as a table, one row per key, with intervals."""
    table = Table("", "value", "95 % interval", box=None, header_style="bold")
    for group, rows in summary_groups(summary):
        table.add_row(Text(safe_line(group), style="bold"))
        for row in rows:
            table.add_row(
                *(Text(safe_line(cell)) for cell in (f"  {row.label}", row.value, row.interval))
            )
    console.print(table)


def show_rows(console: Console, rows: Sequence[Mapping[str, str]]) -> None:
    """Print ``rows``, which share their keys; the first column names the row."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for place, head in enumerate(rows[0]):
        table.add_column(
            Text(head.strip()),
            justify="right" if place else "left",
            overflow="fold",
            no_wrap=not place,
        )
    for row in rows:
        table.add_row(*(Text(value) for value in row.values()))
    console.print(table)
