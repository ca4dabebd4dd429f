"""Write the page and the table of what fitting probes costs: ``index.html`` with the growth figure,
``table.csv`` with every key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workbench.bench.bench_page import write_bench_page
from workbench.bench.probe_fits import FEATURES, Point, ProbeBench
from workbench.bench.result_rows import Line
from workbench.plots.cost_growth import CostCurve, CostGrowth
from workbench.report import Section

LINES = (
    Line("goal.seconds", "seconds of all sites (scaled from those fitted)", 60),
    Line("goal.processor_seconds", "the same, seconds of the processor"),
    Line("goal.sklearn_seconds", "scikit-learn, seconds of all sites (scaled from a few fits)"),
    Line("goal.sklearn_processor_seconds", "the same, seconds of the processor"),
    Line("goal.sklearn_over_ours", "scikit-learn / ours, clock", 20, False),
    Line("goal.sklearn_over_ours_processor", "scikit-learn / ours, processor", 20, False),
    Line("goal.largest_auroc2_difference", "largest difference of AUROC2", 0.005),
    Line("goal.out_of_fold_auroc2", "AUROC2 out of fold"),
)
NOTES = (
    "Seconds of a few sites are multiplied by the number of sites, scikit-learn's of a few fits by "
    "the number of fits; the table's keys say how many were made.",
    "The bounds are those of 90 sites, 1,000 questions, width 4,096 and 8 penalties on two cores.",
)


def table_rows(values: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return the measured lines in words."""
    return [
        {
            "measured": line.words,
            "value": f"{values[line.key]:.3g}",
            "bound": line.met(values[line.key]),
        }
        for line in LINES
        if line.key in values
    ]


def growth_figure(found: ProbeBench) -> CostGrowth:
    """Draw the processor's seconds of a site over rows and over width."""
    rows, width = found.values["rows"], found.values["width"]
    panels: dict[str, dict[str, CostCurve]] = {}
    for words, own, other, at in (
        (f"questions (width {width:,})", "rows", "width", width),
        (f"width ({rows:,} questions)", "width", "rows", rows),
    ):
        here = [point for point in found.points if getattr(point, other) == at]
        for method in dict.fromkeys(point.method for point in here):
            panels.setdefault(words, {})[method] = _curve(
                {getattr(point, own): point for point in here if point.method == method}
            )
    return CostGrowth(
        panels=panels,
        ours=FEATURES,
        unit="seconds of the processor",
        title="What the probes of one site cost",
        caption=f"5 folds, nested, {found.values['strengths']} penalties, random states",
    )


def _curve(points: Mapping[int, Point]) -> CostCurve:
    places = sorted(points)
    cost = [points[place].processor for place in places]
    return CostCurve(np.array(places, dtype=np.float64), np.array(cost), estimated=False)


def write_probe_bench(folder: Path, found: ProbeBench) -> Path:
    """Write ``table.csv`` and the page into ``folder`` (made if missing); return the path of
    ``index.html``.
    """
    sections = []
    if found.points:
        explanation = (
            "A site is a layer and position; every point fits its nested folds at every penalty. "
            "On Gram matrices the cost grows with the third power of the questions."
        )
        sections = [Section("Growth", explanation, growth_figure(found).figure(), "growth")]
    values = found.values | {
        f"growth.{point.method}.{point.rows}x{point.width}.processor_seconds": point.processor
        for point in found.points
    }
    return write_bench_page(
        folder, "Cost of probes", sections, values, table_rows(found.values), NOTES
    )
