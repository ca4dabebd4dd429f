"""A recipe's table in a terminal: one row a condition, as on its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text


def show_rows(console: Console, rows: Sequence[Mapping[str, str]]) -> None:
    """Print ``rows``, which share their keys; the first column names the row."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for place, head in enumerate(rows[0]):
        table.add_column(Text(head.strip()), justify="right" if place else "left", overflow="fold", no_wrap=not place)
    for row in rows:
        table.add_row(*(Text(value) for value in row.values()))
    console.print(table)
