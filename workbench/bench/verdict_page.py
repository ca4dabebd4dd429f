"""Write what was measured of the verdicts: the page with the error rates and the power, and the
rates as a table.

A rate above the bound is marked "above". Power without its error rate shows nothing, so the two
stand on one page.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workbench.bench.bench_page import write_bench_page
from workbench.bench.verdicts import MOST, VerdictBench
from workbench.files.ownership import FIGURES, claim_folder
from workbench.measure import Estimate
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.report import Section
from workbench.tables import write_csv

RATES = "rates.csv"


def table_rows(rates: pd.DataFrame) -> list[dict[str, str]]:
    """Return the rates in words: one row per world and verdict, null worlds first."""
    ordered = rates.sort_values("null", ascending=False, kind="stable")
    return [
        {
            "worlds": f"{line['part']}: {line['world']}",
            "planted": "" if np.isnan(line["effect"]) else f"{line['effect']:.2f}",
            "size": str(line["size"]),
            "verdict": line["verdict"],
            "holds in": f"{100 * line['value']:.1f} % [{100 * line['low']:.1f}, "
            f"{100 * line['high']:.1f}] of {line['n']}",
            "bound": bound_of(line),
        }
        for line in rate_lines(ordered)
    ]


def rate_lines(rates: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of the table."""
    return [{str(key): value for key, value in row.items()} for row in rates.to_dict("records")]


def bound_of(line: Mapping[str, Any]) -> str:
    """Return whether a null world's rate keeps the bound; nothing for planted worlds."""
    if not line["null"]:
        return ""
    return f"<= {100 * MOST:g} %: {'met' if line['value'] <= MOST else 'above'}"


def rates_figure(rates: pd.DataFrame, *, null: bool, caption: str) -> EstimateRows:
    """Return the figure of the null worlds, or of the planted ones."""
    chosen = rates[rates["null"] == null]
    rows = [
        EstimateRow(
            line["verdict"],
            f"{line['part']}: {_name(line)}",
            Estimate(line["value"], line["low"], line["high"], line["n"]),
        )
        for line in rate_lines(chosen)
    ]
    return EstimateRows(
        rows=rows,
        axis="share of worlds in which the verdict holds",
        title="Nothing is there" if null else "Something is there",
        caption=caption,
        bound=MOST if null else None,
    )


def _name(line: Mapping[str, Any]) -> str:
    effect = "" if np.isnan(line["effect"]) else f", {line['effect']:.2f}"
    return f"{line['world']}, {line['size']}{effect}"


def record_rows(rates: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rates as rows of a results page: section, row, column, value, low, high, n."""
    return [
        {
            "section": f"{'Nothing is there' if line['null'] else 'Planted'}: {line['part']}",
            "row": _name(line),
            "column": line["verdict"],
            **{name: round(float(line[name]), 3) for name in ("value", "low", "high")},
            "n": int(line["n"]),
        }
        for line in rate_lines(rates.sort_values("null", ascending=False, kind="stable"))
    ]


def write_verdict_bench(folder: Path, found: VerdictBench) -> Path:
    """Write the page, its figures and the table of rates; return the page's path."""
    rates = found.rates
    # Hours of worlds are written down before anything is drawn of them.
    claim_folder(folder, FIGURES)
    write_csv(rates, folder / RATES)
    sections = []
    for null, name in ((True, "errors"), (False, "power")):
        if (rates["null"] == null).any():
            figure = rates_figure(rates, null=null, caption="Wilson intervals over worlds")
            text = (
                "How often each verdict holds where nothing is there; the line is the bound."
                if null
                else "How often each verdict holds where an effect of this size was planted."
            )
            sections.append(Section(figure.title, text, figure.figure(), name))
    return write_bench_page(
        folder,
        "How often do the verdicts err?",
        sections,
        found.values,
        table_rows(rates),
        found.notes,
    )
