"""Render a page as HTML that is readable from a folder without a network.

The page and one standalone page per figure share a single ``plotly.min.js`` in their folder.
Everything that comes from a model, a question file or a configuration passes through Jinja's
autoescape; figures escape their own labels. Nothing is computed and nothing is written here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from workbench.errors import WorkbenchError
from workbench.files.local_names import without_folders
from workbench.report.card import CARD_FILE, draw_card
from workbench.report.explorer import EXPLORER_FILE
from workbench.report.figure_table import FigureTable, figure_tables
from workbench.report.formatting import sample_table, summary_groups

if TYPE_CHECKING:
    from workbench.report.page import Page, Section, Step

Drawn = tuple["Section", Markup, list[FigureTable]]
"""A section with its figure as markup and as tables."""

PLOTLY_FILE = "plotly.min.js"
_NOTHING: dict[str, Any] = {
    "card": None,
    "caveats": (),
    "card_file": "",
    "drawing": None,
    "explorer": None,
    "explorer_file": "",
    "explorer_script": "",
    "story": (),
    "groups": (),
    "tables": (),
    "sample": None,
    "lead": (),
    "config": "",
    "steps": (),
    "missing": 0,
}
"""The parts of a page that a figure's own page lacks."""


def render_files(page: Page, tables: Sequence[str]) -> dict[str, str]:
    """Return the text of every HTML file of ``page`` by its name. The figures come first and the
    page itself, ``index.html``, last, so that files written in this order never link to one that is
    missing.

    Args:
        tables: names of the files in the page's folder, linked as they are.

    Raises:
        WorkbenchError: for a table outside the folder.
    """
    template = page_template("page.html")
    drawn = [
        (section, _markup(section), figure_tables(section.figure)) for section in page.sections
    ]
    files = {f"{each[0].name}.html": _render(template, each[0].title, [each]) for each in drawn}
    files["index.html"] = _render(
        template,
        page.title,
        [each for each in drawn if each[0].finding is None],
        story=[each for each in drawn if each[0].finding is not None],
        card=page.card,
        card_file=CARD_FILE,
        drawing=None if page.card is None else draw_card(page.title, page.card),
        caveats=page.caveats,
        explorer=page.explorer,
        explorer_file=EXPLORER_FILE,
        explorer_script=""
        if page.explorer is None
        else own_script("vendor/htm-preact.js") + own_script("explorer.js"),
        groups=summary_groups(without_folders(page.summary), page.words),
        tables=[_link(table) for table in tables],
        sample=sample_table(page.samples),
        lead=[
            (heading, sample_table([without_folders(row) for row in rows]))
            for heading, rows in page.lead
        ],
        steps=[_step_cells(step) for step in page.steps],
        missing=len(page.missing),
        config=json.dumps(
            without_folders(page.configuration), indent=2, ensure_ascii=False, default=str
        ),
    )
    return files


@cache
def page_template(name: str) -> Template:
    """Return a template of the package, which escapes everything it is given. It is compiled once a
    process, for a run writes its page after every stage.
    """
    environment = Environment(
        loader=PackageLoader("workbench.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template(name)


def _render(template: Template, title: str, sections: Sequence[Drawn], **parts: Any) -> str:
    given = {**_NOTHING, **parts}
    return template.render(
        title=title,
        sections=sections,
        plotly=PLOTLY_FILE,
        style=own_script("page.css"),
        script=own_script("page.js"),
        **given,
    )


@cache
def own_script(path: str, package: str = "workbench.report") -> Markup:
    """Return a script or style of a room's folder, which goes into a page as it is."""
    return Markup(resources.files(package).joinpath(*path.split("/")).read_text("utf-8"))


def _step_cells(step: Step) -> tuple[str, str, str, str]:
    """Return the cells of a stage's row and its kind."""
    if step.seconds is None:
        return step.name, f"still to come: {step.text}", "", "missing"
    return step.name, step.text, f"{step.seconds:,.1f} s", "done"


def _markup(section: Section) -> Markup:
    """Return the place of a figure and its data, which the page's script draws when it comes into
    sight. No label can close the script element: <, > and & are written as escapes.
    """
    height = section.figure.layout.height or 450
    content = (
        section.figure.to_json()
        .replace("&", "\\u0026")
        .replace("<", "\\u003c")
        .replace(">", "\\u003e")
    )
    return Markup(
        f'<div id="figure-{section.name}" class="plot" style="min-height: {int(height)}px"></div>\n'
        f'<script type="application/json" data-figure="figure-{section.name}">{content}</script>'
    )


def _link(table: str) -> tuple[str, str]:
    """Return a table's name and its link.

    Raises:
        WorkbenchError: for a table outside the folder.
    """
    path = PurePosixPath(table)
    if path.is_absolute() or ".." in path.parts or "\\" in table:
        raise WorkbenchError(
            f"table {table!r} is not inside the report's folder; pass a path relative to it"
        )
    return table, quote(str(path))
