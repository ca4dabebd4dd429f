"""Make the page of a grid: how many cells are finished, what each headline is over seeds beside its
interval over questions, and every run's value in figures.

Two uncertainties stand next to one another: the interval over questions of a run, of which the
table shows the mean bounds, and the standard deviation between whole runs. Which of them holds the
other is said in :mod:`.table`. The page does not show whether groups differ: their runs share
questions, and a test would have to be paired by question.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from workbench.grid.grid_file import GridFile
from workbench.grid.state import CellState, State
from workbench.grid.table import GROUP, Spread, chosen_measures, gather, name_group, spreads
from workbench.grid.tasks import Task
from workbench.measure import Estimate
from workbench.plots.estimate_rows import EstimateRow, EstimateRows
from workbench.report import Page, Section

_FIGURES = 8
"""Measures with a figure; the table has all."""


def grid_page(
    grid: GridFile, tasks: Mapping[str, Task], states: Sequence[CellState], title: str
) -> Page:
    """Return the page of a grid, of the cells that are finished.

    Args:
        tasks: of all cells, by name.
        title: the grid's name.
    """
    finished = [tasks[one.name] for one in states if one.state == State.FINISHED]
    table = gather(finished)
    measures = chosen_measures(table, grid.measures)
    found = spreads(table, measures)
    counts = Counter(one.state for one in states)
    lead = [("Cells", _state_rows(states))]
    if found:
        lead.insert(0, ("Between seeds, and over questions", [spread_row(one) for one in found]))
    return Page(
        title=f"Grid {title}: what holds over seeds?",
        sections=[_figure(table, name) for name in measures[:_FIGURES] if _is_defined(table, name)],
        summary={
            "cells": len(states),
            **{f"cells.{state}": counts[state] for state in State},
            **_spread_summary(found),
        },
        configuration=grid.model_dump(mode="json"),
        tables={"grid.parquet": table, "grid.csv": table},
        lead=lead,
    )


def spread_row(one: Spread) -> dict[str, str]:
    """Return a measure of a group as a row of text."""
    low, high = _number(one.low), _number(one.high)
    return {
        "runs": one.name,
        "measure": one.measure,
        "seeds": str(one.seeds),
        "mean": _number(one.mean),
        "sd between seeds": _number(one.sd) if one.seeds > 1 else "one seed",
        "lowest to highest": f"{_number(one.lowest)} to {_number(one.highest)}",
        "questions, mean bounds": "none" if math.isnan(one.low) else f"{low} to {high}",
    }


def _state_rows(states: Sequence[CellState]) -> list[dict[str, str]]:
    return [{"cell": one.name, "state": one.state.value, "why": one.reason} for one in states]


def _spread_summary(found: Sequence[Spread]) -> dict[str, float]:
    out: dict[str, float] = {}
    for one in found:
        key = f"{one.measure}.{'-'.join(part for part in one.group if part)}"
        for name in ("mean", "sd", "lowest", "highest"):
            out[f"seeds.{name}.{key}"] = getattr(one, name)
    return out


def _figure(table: pd.DataFrame, measure: str) -> Section:
    asked = table[table["measure"] == "questions.test"].set_index("cell")["value"]
    mine = table[table["measure"] == measure].dropna(subset=["value"])
    rows = [
        EstimateRow(
            name_group([str(row[axis]) for axis in GROUP]),
            f"seed {row['seed']}",
            Estimate(
                float(row["value"]),
                *_bounds(row["low"], row["high"]),
                int(asked.get(row["cell"], 0)),
            ),
        )
        for row in mine.to_dict("records")
    ]
    figure = EstimateRows(
        rows=rows,
        axis=measure,
        title=f"{measure}: every run",
        caption=f"{len(rows)} runs; bars: intervals over the questions of a run",
    ).figure()
    explanation = (
        "A dot is a run with its interval over questions; dots of one colour differ in the seed "
        "alone. Dots that scatter more widely than their bars say that a run's interval does not "
        "show what another seed would give."
    )
    return Section(measure, explanation, figure, measure.lower().replace(".", "-"))


def _is_defined(table: pd.DataFrame, measure: str) -> bool:
    return bool(table.loc[table["measure"] == measure, "value"].notna().any())


def _bounds(low: float, high: float) -> tuple[float, float]:
    """Return the bounds of an interval, both unknown where one is."""
    unknown = math.isnan(low) or math.isnan(high)
    return (math.nan, math.nan) if unknown else (float(low), float(high))


def _number(value: float) -> str:
    return "not defined" if math.isnan(value) else f"{value:.3f}"
