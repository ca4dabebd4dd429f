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

from workbench.arrays import Floats
from workbench.bench.bench_page import write_bench_page
from workbench.bench.verdicts import AUROCS, MOST, SIMULATED, VerdictBench
from workbench.files.ownership import FIGURES, claim_folder
from workbench.measure import Estimate
from workbench.plots.curve_panels import Curve, CurvePanels
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


def power_figure(rates: pd.DataFrame) -> CurvePanels:
    """Return the figure of the simulated planted worlds: power over the planted AUROC2, a panel a
    verdict, a curve a size. Sizes of tables are held-out questions, those of sweeps patched items.
    """
    planted = rates[~rates["null"].astype(bool) & (rates["part"] == SIMULATED)]
    panels = {
        f"{verdict}: {', '.join(dict.fromkeys(of_verdict['world']))}": [
            Curve(f"{size} questions", f"n = {size}", _at_each(of_size))
            for size, of_size in of_verdict.groupby("size")
        ]
        for verdict, of_verdict in planted.groupby("verdict", sort=False)
    }
    return CurvePanels(
        layers=np.array(AUROCS),
        panels=panels,
        x="planted AUROC2 within domain",
        y="verdict holds",
        title="How large must an effect be to be found?",
        caption="Share of simulated worlds in which a verdict holds. n is the number of held-out "
        "questions, or of patched ones for cause and where.",
        levels=(MOST, 0.8),
        y_range=(-0.03, 1.03),
    )


def _at_each(rates: pd.DataFrame) -> Floats:
    """Return the power at every planted size; NaN where none was measured."""
    by_effect = rates.set_index("effect")["value"]
    return np.array([by_effect.get(auroc, np.nan) for auroc in AUROCS])


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
    if (~rates["null"].astype(bool) & (rates["part"] == SIMULATED)).any():
        curves = power_figure(rates)
        text = "The same power as curves; thin lines at the bound of errors and at 0.8."
        sections.append(Section(curves.title, text, curves.figure(), "power_curves"))
    return write_bench_page(
        folder,
        "How often do the verdicts err?",
        sections,
        found.values,
        table_rows(rates),
        found.notes,
    )
