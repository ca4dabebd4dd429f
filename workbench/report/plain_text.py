"""Describe a page for a terminal or a notebook: its notes, its tables of text, or its summary."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.report.formatting import own_keys, readable
from workbench.report.page import Page, Row


def describe(page: Page) -> list[str]:
    """Return what a terminal says of the page, line by line: notes, tables of text, summary."""
    lines = [line for note in page.notes for line in note.splitlines()]
    tables = page.lead if page.narrow is None else page.narrow
    for heading, rows in tables:
        lines += ["", heading, *_columns(rows)]
    if tables:
        return lines
    summary = page.summary
    own = own_keys(summary)
    width = max(map(len, own), default=0) + 2
    for key in own:
        ends = [end for end in (f"{key}.low", f"{key}.high") if end in summary]
        interval = " to ".join(readable(key, summary[end]) for end in ends)
        lines.append(f"{key:<{width}}{readable(key, summary[key])}  {interval}".rstrip())
    return lines


def _columns(rows: Sequence[Row]) -> list[str]:
    """Return rows of text under their heads, each column as wide as its widest cell."""
    if not rows:
        return []
    heads = list(dict.fromkeys(head for row in rows for head in row))
    table = [heads, *([" ".join(str(row.get(head, "")).split()) for head in heads] for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
