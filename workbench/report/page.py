"""Define the page that every analysis ends in, and write it into a folder.

A page has tables, a flat summary with dotted keys, and figures. :func:`write_page` writes the HTML,
the tables as CSV or parquet, and records of numbers as JSON, which hold numbers and never formatted
text. Files are written under a temporary name and renamed, so a reader never meets half a page. The
page computes nothing: its numbers are those of the summary and the tables, rounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from workbench.errors import WorkbenchError
from workbench.files.ownership import FIGURES, claim_folder
from workbench.files.writing import write_atomically, write_json
from workbench.report.card import CARD_FILE, draw_card
from workbench.report.explorer import EXPLORER_FILE, Explorer, write_explorer
from workbench.report.findings import Card, Finding
from workbench.report.formatting import KeyWords
from workbench.report.html import PLOTLY_FILE, render_files

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
Lead = Sequence[tuple[str, Sequence[Row]]]
"""Tables of text with their headings."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class Section:
    """A figure with a heading and a sentence on how to read it; ``name`` becomes the file
    ``<name>.html``.

    Attributes:
        finding: what was found, in words; None where the figure has to speak for itself.

    Raises:
        WorkbenchError: for a name that cannot be a file name.
    """

    title: str
    explanation: str
    figure: go.Figure
    name: str
    finding: Finding | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == "index":
            raise WorkbenchError(
                f"figure name {self.name!r} cannot be a file name; use lower-case letters, digits, "
                "- and _, not 'index'"
            )


@dataclass(frozen=True)
class Step:
    """A stage of the work behind a page.

    Attributes:
        name: the stage's.
        text: its result in one line or, as long as it is missing, what it will add to the page.
        seconds: what it took; None as long as it is missing.
    """

    name: str
    text: str
    seconds: float | None = None


@dataclass(frozen=True)
class Page:
    """Everything that an analysis shows.

    Attributes:
        title: a question, as a rule.
        sections: the figures, in reading order.
        summary: flat, with dotted keys; ``key.low`` and ``key.high`` bound ``key``. It is shown
            below the figures, folded by the first part of the keys.
        configuration: what the results were made with.
        tables: by the name of the file, ending in .csv or .parquet, what is written next to the
            page.
        lead: tables of text; the rows of each share their keys, which become column heads. They
            stand above the figures, or below a story.
        notes: sentences that a terminal shows before the numbers.
        records: by the name of the file, ending in .json, numbers with what made them.
        samples: rows of the table of sample answers.
        narrow: tables that a terminal shows in place of the lead where that is too wide for one;
            with none in it, the summary is shown. None for the lead itself.
        steps: the stages of the work. As long as one is missing, the page's head says so.
        card: the page's answer in a sentence and a few numbers, at its head and as a picture.
        caveats: what does not hold and what the page does not show, a sentence each.
        explorer: the items that a reader can sort, search and open.
        words: what the page calls entries of its summary, by key, where the key does not say it.
    """

    title: str
    sections: Sequence[Section]
    summary: Mapping[str, Any]
    configuration: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    lead: Lead = ()
    notes: Sequence[str] = ()
    records: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    samples: Sequence[Row] = ()
    narrow: Lead | None = None
    steps: Sequence[Step] = ()
    card: Card | None = None
    caveats: Sequence[str] = ()
    explorer: Explorer | None = None
    words: Mapping[str, KeyWords] = field(default_factory=dict)

    @property
    def story(self) -> list[Section]:
        """The sections that say in words what they found; the others stand below them."""
        return [section for section in self.sections if section.finding is not None]

    @property
    def missing(self) -> list[Step]:
        """The stages that have not finished."""
        return [step for step in self.steps if step.seconds is None]

    @property
    def figures(self) -> dict[str, go.Figure]:
        """The figures by the name of their file."""
        return {section.name: section.figure for section in self.sections}


def write_page(page: Page, folder: Path) -> Path:
    """Write the page, its figures and its files of numbers into ``folder`` (made if missing);
    return the path of ``index.html``.

    Of absolute paths in the configuration, the summary and the lead, the page shows only the last
    name.

    Raises:
        WorkbenchError: for two sections of one name, a table of no known ending or outside the
            folder, and a folder that is somebody else's or cannot be written to.
    """
    names = [section.name for section in page.sections]
    if len(set(names)) != len(names):
        raise WorkbenchError(f"two sections of a report share a name: {sorted(names)}")
    writers = {name: _table_writer(name, table) for name, table in page.tables.items()}
    pages = render_files(page, [*page.tables, *page.records])
    claim_folder(folder, FIGURES)
    for name, write in writers.items():
        write_atomically(folder / name, write)
    for name, content in page.records.items():
        write_json(folder / name, content)
    shared = {PLOTLY_FILE: get_plotlyjs()}
    if page.card is not None:
        shared[CARD_FILE] = draw_card(page.title, page.card)
    if page.explorer is not None:
        shared[EXPLORER_FILE] = write_explorer(page.explorer)
    for name, text in {**shared, **pages}.items():
        # A page that is written after every stage writes again only what has changed.
        if not _holds(folder / name, text):
            write_atomically(folder / name, partial(Path.write_text, data=text, encoding="utf-8"))
    return folder / "index.html"


def _holds(path: Path, text: str) -> bool:
    """Return whether the file at ``path`` is there and holds ``text``."""
    try:
        return path.read_bytes() == text.encode("utf-8")
    except OSError:
        return False


def _table_writer(name: str, table: pd.DataFrame) -> Callable[[Path], Any]:
    """Return what writes a table into a file of this name.

    Raises:
        WorkbenchError: for an unknown ending.
    """
    # Imported here: the command line starts without tables.
    from workbench.tables import write_csv

    if name.endswith(".csv"):
        return partial(write_csv, table)
    if name.endswith(".parquet"):
        return partial(table.to_parquet, index=False)
    raise WorkbenchError(f"The table {name!r} of a page ends in neither .csv nor .parquet.")
