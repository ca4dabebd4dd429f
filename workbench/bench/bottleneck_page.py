"""Write what was measured of the verdict on the text bottleneck: the rates with their bounds, which
verdict each planted case got, and every world as a table.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.bench.bench_page import write_bench_page
from workbench.bench.bottleneck_rates import (
    CLEAR,
    CLEAR_QUESTIONS,
    LEAST_RIGHT,
    MOST_WRONG,
    NULL,
    NULL_QUESTIONS,
    PLANTED,
    POWER,
    BottleneckBench,
)
from workbench.files.ownership import FIGURES, claim_folder
from workbench.measure import Estimate
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.report import Section
from workbench.tables import write_csv

WORLDS = "worlds.csv"
TITLES = {
    PLANTED: "Right verdicts where the truth is planted and clear",
    NULL: "Verdicts other than no signal where grades are shuffled",
    POWER: "Right verdicts at graded strengths",
}


_ABOUT = {
    PLANTED: "The dotted line is the bound. A clue tells right from wrong with an AUROC2 within "
    f"domain of {CLEAR[0]:g} to {CLEAR[1]:g}, on {CLEAR_QUESTIONS[0]} to {CLEAR_QUESTIONS[1]} "
    "held-out questions.",
    NULL: "The same models with all grades shuffled within domain before the split, on "
    f"{NULL_QUESTIONS[0]} to {NULL_QUESTIONS[1]} held-out questions; the dotted line is the bound "
    "for all together.",
    POWER: "By the clue's AUROC2 within domain and the number of held-out questions: what is too "
    "weak to be seen is called no signal or not clear.",
}


def table_rows(found: BottleneckBench) -> list[dict[str, str]]:
    """Return the rates in words."""
    return [
        {
            "worlds": line["part"],
            "planted": _name(line),
            "counted": line["measure"],
            "share": f"{100 * line['value']:.1f} % [{100 * line['low']:.1f}, "
            f"{100 * line['high']:.1f}] of {line['n']}",
            "bound": bound_of(line),
        }
        for line in _lines(found.rates())
    ]


def confusion_rows(found: BottleneckBench) -> list[dict[str, str]]:
    """Return the table of planted cases and found verdicts, without verdicts that no world got."""
    table = found.confusion()
    table = table.loc[:, (table > 0).any()]
    return [
        {"planted": str(truth)} | {str(name): str(count or "") for name, count in row.items()}
        for truth, row in table.iterrows()
    ]


def bound_of(line: Mapping[str, Any]) -> str:
    """Return whether a rate keeps its bound; nothing where none is set."""
    if line["part"] == PLANTED:
        kept = line["value"] >= LEAST_RIGHT
        return f">= {100 * LEAST_RIGHT:g} %: {'met' if kept else 'below'}"
    if line["part"] == NULL and line["case"] == "all":
        kept = line["value"] <= MOST_WRONG
        return f"<= {100 * MOST_WRONG:g} %: {'met' if kept else 'above'}"
    return ""


def rates_figure(rates: pd.DataFrame, part: str, caption: str) -> EstimateRows:
    """Return the figure of a part's rates."""
    rows = [
        EstimateRow(
            line["measure"],
            _name(line),
            Estimate(line["value"], line["low"], line["high"], line["n"]),
        )
        for line in _lines(rates[rates["part"] == part])
    ]
    bounds = {PLANTED: LEAST_RIGHT, NULL: MOST_WRONG}
    return EstimateRows(
        rows=rows,
        axis="share of worlds",
        title=TITLES[part],
        caption=caption,
        bound=bounds.get(part),
    )


def record_rows(found: BottleneckBench) -> list[dict[str, Any]]:
    """Return the rows of a results page: section, row, column, value, low, high, n; the table of
    planted and found verdicts last.
    """
    rates = [
        {
            "section": TITLES[line["part"]],
            "row": line["case"],
            "column": line["measure"]
            if np.isnan(line["strength"])
            else f"{line['measure']}, {line['strength']:g} at {line['held_out']}",
            **{name: round(float(line[name]), 3) for name in ("value", "low", "high")},
            "n": int(line["n"]),
        }
        for line in _lines(found.rates())
    ]
    table = found.confusion()
    counts = [
        {
            "section": "Worlds by what was planted (rows) and what was found (columns)",
            "row": truth,
            "column": name,
            "value": int(table.loc[truth, name]),
            "low": None,
            "high": None,
            "n": None,
        }
        for name in table.columns[(table > 0).any()]
        for truth in table.index
    ]
    return [*rates, *counts]


def write_bottleneck_bench(folder: Path, found: BottleneckBench) -> Path:
    """Write the page, its figures and the table of worlds; return the page's path."""
    claim_folder(folder, FIGURES)
    write_csv(found.worlds, folder / WORLDS)
    rates = found.rates()
    sections = []
    for part, title in TITLES.items():
        if (rates["part"] == part).any():
            figure = rates_figure(rates, part, "Wilson intervals over worlds")
            sections.append(Section(title, _ABOUT[part], figure.figure(), part))
    return write_bench_page(
        folder,
        "Is the verdict on the text bottleneck right?",
        sections,
        found.values,
        table_rows(found),
        (),
        [("What was found of what was planted", confusion_rows(found))],
    )


def _name(line: Mapping[str, Any]) -> str:
    if np.isnan(line["strength"]):
        return str(line["case"])
    return f"{line['case']}, {line['strength']:g} at {line['held_out']}"


def _lines(rates: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in rates.to_dict("records")]
