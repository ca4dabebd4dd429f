"""Record an experiment for ``docs/results``: its numbers as JSON, its figures as PNG.

    python docs/record.py league --name recipes --page league --machine "2 cores, float32" seeds=3

Runs the experiment, or resumes it where it is finished, so the numbers are those of the run's own
tables: the rows of the page's own record, else every table with the columns ``value``, ``low`` and
``high``, else the summary. Writes ``docs/results/data/PAGE.json``, and a PNG for each figure where
kaleido and a Chromium are installed; ``docs/generate.py`` then writes the page. Refused while the
working tree has changes, for the file names the commit.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd

from workbench.errors import WorkbenchError
from workbench.experiments.catalogue import Request, experiment_named, perform
from workbench.pipeline.stages import Reuse
from workbench.report import Page
from workbench.report.formatting import own_keys
from workbench.settings.file import read_assignments

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs" / "results"
NUMBERS = ("value", "low", "high")
SECTIONS = ("part", "ablation", "task", "domain")
"""Columns that can name a section of the page; the first that a table has does."""
BESIDE = ("n", "questions", "seeds", "labels", "training_tokens", "training_seconds")
"""Columns that say how a number was come by, not what it is of."""
DIGITS = 4
"""Figures kept of a number."""


def rows_of(page: Page) -> list[dict[str, Any]]:
    """Return the rows of a results page: section, row, column, value, low, high and n."""
    kept = [record["rows"] for record in page.records.values() if "rows" in record]
    if kept:
        return [
            {**row, **{name: _rounded(row.get(name)) for name in NUMBERS}}
            for rows in kept
            for row in rows
        ]
    tables = [table for table in page.tables.values() if {*NUMBERS} <= {*table.columns}]
    if not tables:
        numbers = (int, float)
        return [
            _of_summary(page, key)
            for key in own_keys(page.summary)
            if isinstance(page.summary[key], numbers)
        ]
    return [row for table in tables for row in _of_table(table)]


def _of_table(table: pd.DataFrame) -> list[dict[str, Any]]:
    section = next((name for name in SECTIONS if name in table), None)
    named = [
        str(name) for name in table.columns if name not in (*NUMBERS, *BESIDE, section, "measure")
    ]
    return [
        {
            "section": "" if section is None else str(line[section]),
            "row": ", ".join(str(line[name]) for name in named),
            "column": str(line.get("measure", "value")),
            **{name: _rounded(line[name]) for name in NUMBERS},
            "n": _whole(line.get("n", line.get("questions"))),
        }
        for line in table.to_dict("records")
    ]


def _of_summary(page: Page, key: str) -> dict[str, Any]:
    section, _, row = key.partition(".")
    ends = {name: page.summary.get(f"{key}.{name}") for name in ("low", "high")}
    numbers = {"value": page.summary[key], **ends}
    return {
        "section": section if row else "",
        "row": row or section,
        "column": "value",
        **{name: _rounded(number) for name, number in numbers.items()},
        "n": None,
    }


def _rounded(number: Any) -> float | None:
    return None if number is None or not math.isfinite(number) else float(f"{number:.{DIGITS}g}")


def _whole(number: Any) -> int | None:
    return None if number is None or pd.isna(number) else int(number)


def write_images(page: Page, folder: Path, name: str) -> list[Path]:
    """Draw every figure as ``NAME-figure.png``; nothing where kaleido is not installed."""
    if importlib.util.find_spec("kaleido") is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for figure, drawn in page.figures.items():
        path = folder / f"{name}-{figure}.png"
        drawn.write_image(path, width=1000, height=drawn.layout.height or 450, scale=1.5)
        written.append(path)
    return written


def _commit() -> str:
    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    if git("status", "--porcelain", "--untracked-files=no"):
        raise WorkbenchError(
            "The working tree has changes; commit them, so that the file can say "
            "which commit its numbers are from."
        )
    return git("rev-parse", "--short", "HEAD")


def main(words: list[str]) -> int:
    """Perform the experiment and write its file, images and page; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment")
    parser.add_argument("assignments", nargs="*", help="parameters and settings, as seeds=3")
    parser.add_argument("--name", help="name of the run; default: the experiment's own")
    parser.add_argument("--page", help="name of the results page; default: the experiment's")
    parser.add_argument("--machine", required=True, help="what it ran on, and how long")
    parser.add_argument("--note", default="")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--figures", type=Path, default=ROOT / "figures")
    parser.add_argument(
        "--keep-code-version",
        action="store_true",
        help="take stages that earlier code finished as they are; name its commits in --note",
    )
    given = parser.parse_args(words)
    commit = _commit()
    request = Request(
        name=given.name,
        assignments=read_assignments(given.assignments),
        reuse=Reuse(keep_code_version=given.keep_code_version),
    )
    done = perform(
        experiment_named(given.experiment), request, runs=given.runs, figures=given.figures
    )
    name = given.page or given.experiment
    content = {
        "title": done.page.title.rstrip("?"),
        "command": " ".join(["workbench experiment", given.experiment, *given.assignments]),
        "commit": commit,
        "machine": given.machine,
        "note": given.note,
        "settings": done.page.configuration,
        "rows": rows_of(done.page),
    }
    target = RESULTS / "data" / f"{name}.json"
    target.write_text(
        json.dumps(content, indent=1, default=str, allow_nan=False) + "\n", encoding="utf-8"
    )
    images = write_images(done.page, RESULTS / "images", name)
    sys.stdout.write("\n".join(str(path.relative_to(ROOT)) for path in (target, *images)) + "\n")
    sys.stdout.write("Now: python docs/generate.py\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except WorkbenchError as error:
        sys.exit(f"Error: {error}")
