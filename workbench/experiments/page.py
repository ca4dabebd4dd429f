"""The page of an experiment: what it shows is gathered in one value, and written in one place.

Nothing is computed here. The numbers of a page are those of its summary and its tables; whoever
wants them without rounding reads the files beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.files.ownership import FIGURES, claim_folder
from workbench.files.writing import write_atomically
from workbench.report import Section, write_report
from workbench.report.formatting import readable
from workbench.tables import write_csv

Lead = Sequence[tuple[str, Sequence[Mapping[str, Any]]]]


@dataclass(frozen=True)
class Page:
    """Everything an experiment shows.

    Attributes:
        title: the question.
        sections: the figures, in reading order.
        summary: flat, with dotted keys; ``key.low`` and ``key.high`` bound ``key``.
        configuration: the settings and parameters that made it.
        tables: by the name of the file, ending in .csv or .parquet, what stands beside the page.
        lead: tables of text above the figures, with their headings.
        notes: sentences that a terminal shows before the numbers.
        written_by: writes the page where the experiment has a writer of its own.
    """

    title: str
    sections: Sequence[Section]
    summary: Mapping[str, Any]
    configuration: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    lead: Lead = ()
    notes: Sequence[str] = ()
    written_by: Callable[[Path], Path] | None = None

    @property
    def figures(self) -> dict[str, go.Figure]:
        """The figures by the name of their file."""
        return {section.name: section.figure for section in self.sections}


def write_page(page: Page, folder: Path) -> Path:
    """Write the page, its figures and its tables into ``folder``; returns ``index.html``.

    Raises:
        WorkbenchError: where the folder is somebody else's, or a table has no known ending.
    """
    if page.written_by is not None:
        return page.written_by(folder)
    claim_folder(folder, FIGURES)
    for name, table in page.tables.items():
        write_atomically(folder / name, _writer(name, table))
    return write_report(
        folder,
        page.title,
        page.sections,
        page.summary,
        page.configuration,
        list(page.tables),
        (),
        page.lead,
    )


def describe(page: Page) -> list[str]:
    """Return what a terminal says of the page, line by line: notes, tables of text, summary."""
    lines = [line for note in page.notes for line in note.splitlines()]
    for heading, rows in page.lead:
        lines += ["", heading, *_columns(rows)]
    if page.lead:
        return lines
    summary = page.summary
    own = [
        key
        for key in summary
        if not (key.endswith((".low", ".high")) and key.rpartition(".")[0] in summary)
    ]
    width = max(map(len, own), default=0) + 2
    for key in own:
        ends = [end for end in (f"{key}.low", f"{key}.high") if end in summary]
        interval = " to ".join(readable(key, summary[end]) for end in ends)
        lines.append(f"{key:<{width}}{readable(key, summary[key])}  {interval}".rstrip())
    return lines


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows of text under their heads, the columns as wide as what stands in them."""
    if not rows:
        return []
    heads = list(dict.fromkeys(head for row in rows for head in row))
    table = [heads, *([" ".join(str(row.get(head, "")).split()) for head in heads] for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]


def _writer(name: str, table: pd.DataFrame) -> Callable[[Path], Any]:
    if name.endswith(".csv"):
        return partial(write_csv, table)
    if name.endswith(".parquet"):
        return partial(table.to_parquet, index=False)
    raise WorkbenchError(f"The table {name!r} of a page ends in neither .csv nor .parquet.")
