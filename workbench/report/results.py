"""What every experiment ends in, and the one place where it is written as a page.

Results have a tidy table (a row a number, with ``value``, ``low`` and ``high``), a flat summary
with dotted keys, and figures. :func:`write_page` writes them into one folder: the page with its
figures and, where files of numbers are wanted, the table as parquet and the same numbers as JSON.
JSON files hold numbers, never formatted text. The page computes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from workbench.files.ownership import FIGURES, claim_folder
from workbench.files.writing import write_atomically, write_json
from workbench.report.page import Section, write_report

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]


class Results(Protocol):
    """What a page is made from."""

    def table(self) -> pd.DataFrame:
        """Tidy: one row a number."""
        ...

    def summary(self) -> dict[str, Any]:
        """Flat, with dotted keys."""
        ...

    def figures(self) -> Sequence[Section]:
        """In reading order."""
        ...


@dataclass(frozen=True)
class Page:
    """What stands on a page beside its results.

    Attributes:
        title: a question, as a rule.
        configuration: what the results were made with.
        lead: tables above the figures, with their headings; their cells are text.
        samples: rows of the table of sample answers.
        numbers: the name of the files of numbers; "" for none.
        made_by: what the JSON file says first, such as the version of the code.
        more: what it says last, beside the numbers.
    """

    title: str
    configuration: Mapping[str, Any]
    lead: Sequence[tuple[str, Sequence[Row]]] = ()
    samples: Sequence[Row] = ()
    numbers: str = ""
    made_by: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)


def write_page(folder: Path, results: Results, page: Page) -> Path:
    """Write ``results`` into ``folder`` (made if missing); returns the path of ``index.html``.

    Raises:
        WorkbenchError: for a folder that is somebody else's or cannot be written to.
    """
    claim_folder(folder, FIGURES)
    linked: list[str] = []
    if page.numbers:
        linked = [f"{page.numbers}.parquet", f"{page.numbers}.json"]
        table = results.table()
        write_atomically(folder / linked[0], partial(table.to_parquet, index=False))
        content = {
            **page.made_by,
            "configuration": page.configuration,
            "lines": table.to_dict("records"),
            **page.more,
        }
        write_json(folder / linked[1], content)
    return write_report(
        folder,
        page.title,
        results.figures(),
        results.summary(),
        page.configuration,
        linked,
        page.samples,
        lead=page.lead,
    )
