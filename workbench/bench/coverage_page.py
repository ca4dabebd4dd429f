"""Write what a study of intervals found: the share of misses by measure and size, and a figure.

Misses of all laws together say how an interval does on the whole; the law at which it does worst
stands beside them, for a law far too wide and one far too narrow make a good mean.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from workbench.bench.bench_page import write_bench_page
from workbench.bench.coverage import Study
from workbench.bench.coverage_cell import Cell
from workbench.measure.interval import Estimate
from workbench.measure.shares import wilson_interval
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.report import Section

EXPECTED = 0.05
MOST_IN_FIGURE = 60


def missed(cells: Sequence[Cell]) -> Estimate:
    """Return the share of misses of all ``cells`` together with its binomial interval; ``n`` counts
    intervals.
    """
    hits, trials = (sum(numbers) for numbers in _counts(cells))
    low, high = wilson_interval([hits], [trials])
    share = hits / trials if trials else float("nan")
    return Estimate(share, float(low[0]), float(high[0]), trials)


def _counts(cells: Sequence[Cell]) -> tuple[list[int], list[int]]:
    return [cell.low + cell.high for cell in cells], [cell.intervals for cell in cells]


def grouped(cells: Sequence[Cell]) -> dict[tuple[str, int], list[Cell]]:
    """Put the cells of all laws together, by measure and size."""
    found: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.measure, cell.n), []).append(cell)
    return found


def worst(cells: Sequence[Cell]) -> Cell | None:
    """Return the cell whose interval misses most often; None where none has an interval."""
    held = [cell for cell in cells if cell.intervals]
    return max(held, key=lambda cell: cell.missed, default=None)


def table_rows(cells: Sequence[Cell]) -> list[dict[str, str]]:
    """Return a line for each measure and size: the share of misses, and the law with the most."""
    by = grouped(cells)
    rows = []
    for name in dict.fromkeys(cell.measure for cell in cells):
        sizes = [n for measure, n in by if measure == name]
        for n in sizes:
            mine = by[name, n]
            total, bad = missed(mine), worst(mine)
            intervals = sum(cell.intervals for cell in mine)
            rows.append(
                {
                    "measure": name,
                    "n": str(n),
                    "misses": f"{total:.3f}",
                    "below, above": _sides(mine),
                    "without interval": _share(1 - intervals / sum(c.tables for c in mine)),
                    "worst law": "" if bad is None else f"{bad.law} {_share(bad.missed)}",
                }
            )
    return rows


def _sides(cells: Sequence[Cell]) -> str:
    trials = sum(cell.intervals for cell in cells)
    if not trials:
        return ""
    sides = sum(cell.low for cell in cells), sum(cell.high for cell in cells)
    return ", ".join(_share(side / trials) for side in sides)


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def misses_figure(cells: Sequence[Cell]) -> EstimateRows:
    """Draw the share of misses of every measure, a colour for each size."""
    by = grouped(cells)
    names = list(dict.fromkeys(cell.measure for cell in cells))[:MOST_IN_FIGURE]
    sizes = sorted({cell.n for cell in cells})
    rows = [
        EstimateRow(f"n = {n}", name, missed(by[name, n]))
        for n in sizes
        for name in names
        if (name, n) in by and any(cell.intervals for cell in by[name, n])
    ]
    return EstimateRows(
        rows=rows,
        axis="share of intervals that miss the truth (dotted: 0.05)",
        title="How often 95 % intervals miss",
        caption="all laws together; bars: 95 % binomial intervals",
        bound=EXPECTED,
    )


def write_coverage(folder: Path, study: Study, cells: Sequence[Cell]) -> Path:
    """Write the page, and ``table.csv`` with every cell, into ``folder`` (made if missing); return
    the path of ``index.html``.
    """
    sections = []
    if any(cell.intervals for cell in cells):
        explanation = (
            "A dot is the share of simulated tables whose interval does not hold the true value. "
            "Right of the dotted line intervals are too narrow or in the wrong place, left of it "
            "wider than they need be."
        )
        sections.append(Section("Misses", explanation, misses_figure(cells).figure(), "misses"))
    return write_bench_page(
        folder, "Do the intervals cover?", sections, values(study, cells), table_rows(cells), ()
    )


def values(study: Study, cells: Sequence[Cell]) -> dict[str, Any]:
    """Return the study's settings, and each cell's numbers by dotted keys."""
    found: dict[str, Any] = {
        "tables": study.tables,
        "resamples": study.resamples,
        "seed": study.seed,
    }
    for cell in cells:
        key = f"{cell.law}.{cell.n}.{cell.measure}"
        found |= {f"{key}.missed": cell.missed, f"{key}.intervals": cell.intervals}
        found |= {f"{key}.truth": cell.truth, f"{key}.error": cell.error}
    return found


def json_of(study: Study, cells: Sequence[Cell]) -> str:
    """Write the study and its cells as JSON: what is not defined is null."""
    rows = [
        {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in (vars(cell) | {"missed": cell.missed}).items()
        }
        for cell in cells
    ]
    return json.dumps({"study": vars(study), "cells": rows}, indent=1, allow_nan=False)
