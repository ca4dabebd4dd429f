"""Write the list of all runs of a folder of figures, ``index.html``: a row a run, and a comparison
of those a reader chooses.

It is made from the ``run.json`` in each run's folder whenever a run's page is written, so it never
knows more than the pages do. Runs whose record cannot be read are named. A page of that name which
the workbench did not write stays untouched.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from workbench.errors import WorkbenchError
from workbench.files.ownership import is_own
from workbench.files.writing import write_atomically
from workbench.report.html import PLOTLY_FILE, own_script, page_template
from workbench.report.run_records import RECORD_FILE, read_record

RUNS_PAGE = "index.html"
GENERATOR = '<meta name="generator" content="confidence-workbench">'


def write_runs_page(figures: Path) -> Path | None:
    """Write the list of the runs in ``figures``; return its path, or None where there is no run,
    a page of somebody else has its name, or the folder is an analysis's own.
    """
    target = figures / RUNS_PAGE
    if is_own(figures):
        return None
    if target.exists() and GENERATOR not in target.read_text(encoding="utf-8", errors="replace"):
        return None
    runs, broken = _runs(figures)
    if not runs:
        return None
    text = page_template("runs.html").render(
        generator=Markup(GENERATOR),
        runs=[each["name"] for each in runs],
        broken=broken,
        plotly=f"{quote(runs[0]['name'])}/{PLOTLY_FILE}",
        content=Markup(_content(runs)),
        script=own_script("page.js"),
        runs_script=own_script("vendor/htm-preact.js") + own_script("runs.js"),
        style=own_script("page.css"),
    )
    write_atomically(target, partial(Path.write_text, data=text, encoding="utf-8"))
    return target


def _runs(figures: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the runs by name, the last written first, and what is wrong with others."""
    found, broken = [], []
    paths = [path for path in figures.glob(f"*/{RECORD_FILE}") if is_own(path.parent)]
    for path in sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            record = read_record(path)
        except WorkbenchError as error:
            broken.append(f"{path.parent.name}: {error}")
            continue
        name = path.parent.name
        found.append({"name": name, "link": f"{quote(name)}/index.html", **record.to_json()})
    return found, broken


def _content(runs: list[dict[str, Any]]) -> str:
    """Return the runs as JSON that no text can break out of."""
    text = json.dumps(runs, allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
