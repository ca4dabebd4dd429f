"""What the command line shows: progress bars with time left, a short table of results, errors as one sentence."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
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

from workbench.progress import reporting
from workbench.report.readable import summary_groups


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def start(self, description: str, total: float | None) -> int:
        return int(self._progress.add_task(description, total=total))

    def advance(self, task: int, amount: float) -> None:
        self._progress.advance(TaskID(task), amount)

    def finish(self, task: int) -> None:
        self._progress.stop_task(TaskID(task))


@contextmanager
def bars(console: Console) -> Iterator[None]:
    """Show the progress of everything inside the block, with elapsed time and time left.

    Libraries' notices to their developers about future versions are kept off the screen.
    """
    columns = (
        TextColumn("{task.description:<32}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("left"),
    )
    with warnings.catch_warnings(), Progress(*columns, console=console) as progress, reporting(_Bars(progress)):
        warnings.simplefilter("ignore", FutureWarning)
        yield


def show_summary(console: Console, summary: Mapping[str, Any]) -> None:
    """The summary as a table, one row a key, with intervals."""
    table = Table("", "value", "95 % interval", box=None, header_style="bold")
    for group, rows in summary_groups(summary):
        table.add_row(Text(group, style="bold"))
        for row in rows:
            table.add_row(Text(f"  {row.label}"), Text(row.value), Text(row.interval))
    console.print(table)
