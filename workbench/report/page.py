"""The page that gathers a run: tables, figures, all numbers, sample answers and configuration,
readable from a folder without a network.

``index.html`` and one standalone ``<name>.html`` per figure share a single ``plotly.min.js``
written beside them. Everything that comes from a model, a question file or a configuration passes
through Jinja's autoescape; figures escape their own labels. Files are written under a temporary
name and renamed, so a reader never meets half a page. The page shows what it is given and computes
nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from workbench.errors import WorkbenchError
from workbench.files.local_names import without_folders
from workbench.files.ownership import FIGURES, claim_folder
from workbench.files.writing import write_atomically
from workbench.report.formatting import sample_table, summary_groups

PLOTLY_FILE = "plotly.min.js"
# Plotly's tool bar can send a figure's data to its makers' server unless that button is switched
# off.
_CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "displayModeBar": "hover",
    "showSendToCloud": False,
    "plotlyServerURL": "",
    "modeBarButtonsToRemove": [
        "lasso2d",
        "select2d",
        "pan2d",
        "zoomIn2d",
        "zoomOut2d",
        "autoScale2d",
    ],
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


@dataclass(frozen=True)
class Section:
    """A figure with a heading and a sentence on how to read it; ``name`` becomes the file
    ``<name>.html``.
    """

    title: str
    explanation: str
    figure: go.Figure
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name == "index":
            raise WorkbenchError(
                f"figure name {self.name!r} cannot be a file name; use lower-case letters, digits, "
                "- and _, not 'index'"
            )


def write_report(
    folder: Path,
    title: str,
    sections: Sequence[Section],
    summary: Mapping[str, Any],
    config: Mapping[str, Any],
    tables: Sequence[str],
    sample_rows: Sequence[Mapping[str, Any]],
    lead: Sequence[tuple[str, Sequence[Mapping[str, Any]]]] = (),
) -> Path:
    """Write the page, its figures and plotly into ``folder`` (made if missing); returns the path of
    ``index.html``.

    ``summary`` is flat with dotted keys, ``key.low`` and ``key.high`` being the interval of
    ``key``; it stands below the figures, folded by the first part of the keys. ``tables`` are paths
    relative to ``folder``, linked as they are. ``sample_rows`` share their keys, which become
    column heads; so do the rows of each table of ``lead``, which stand above the figures with their
    headings. Of absolute paths in ``config``, ``summary`` and ``lead`` the page shows the last
    name. Raises WorkbenchError for two sections of one name, a table outside the folder, and a
    folder that is somebody else's or cannot be written to.
    """
    names = [section.name for section in sections]
    if len(set(names)) != len(names):
        raise WorkbenchError(f"two sections of a report share a name: {sorted(names)}")
    claim_folder(folder, FIGURES)
    environment = Environment(
        loader=PackageLoader("workbench.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    template = environment.get_template("page.html")
    _write(folder / PLOTLY_FILE, get_plotlyjs())
    drawn = [(section, _markup(section)) for section in sections]
    for section, markup in drawn:
        _write(folder / f"{section.name}.html", _page(template, section.title, [(section, markup)]))
    index = folder / "index.html"
    page = _page(
        template,
        title,
        drawn,
        groups=summary_groups(without_folders(summary)),
        tables=[_link(table) for table in tables],
        sample=sample_table(sample_rows),
        lead=[
            (heading, sample_table([without_folders(row) for row in rows]))
            for heading, rows in lead
        ],
        config=json.dumps(without_folders(config), indent=2, ensure_ascii=False, default=str),
    )
    _write(index, page)
    return index


def _page(
    template: Any, title: str, sections: Sequence[tuple[Section, Markup]], **parts: Any
) -> str:
    blank: dict[str, Any] = {"groups": [], "tables": [], "sample": None, "lead": [], "config": ""}
    return template.render(title=title, sections=sections, plotly=PLOTLY_FILE, **(blank | parts))


def _markup(section: Section) -> Markup:
    height = section.figure.layout.height or 450
    html = section.figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        include_mathjax=False,
        config=_CONFIG,
        default_width="100%",
        default_height=f"{height}px",
        div_id=f"figure-{section.name}",
    )
    # Plotly writes the figure as JSON with <, > and / as \u escapes, so no label can close the
    # script element.
    return Markup(html)


def _link(table: str) -> tuple[str, str]:
    path = PurePosixPath(table)
    if path.is_absolute() or ".." in path.parts or "\\" in table:
        raise WorkbenchError(
            f"table {table!r} is not inside the report's folder; pass a path relative to it"
        )
    return table, quote(str(path))


def _write(path: Path, text: str) -> None:
    write_atomically(path, partial(Path.write_text, data=text, encoding="utf-8"))
