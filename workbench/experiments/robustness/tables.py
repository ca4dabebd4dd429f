"""Write the trainings' numbers as tables: their spread as text, every training, and rows for the
docs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from workbench.experiments.robustness.results import (
    MEASURES,
    RobustnessResults,
    Spread,
    spread_of,
)
from workbench.experiments.robustness.variants import CRITERION
from workbench.measure import Estimate
from workbench.report.page import Lead

SPREAD_COLUMNS = {
    "mean": "mean",
    "lowest": "lowest",
    "highest": "highest",
    "between_seeds": "spread between seeds",
    "between_precisions": "bfloat16 less float32",
}
SHOWN = (
    "stated",
    "expected.within",
    "gain",
    "gradient",
    "overshoot",
    "half_layer",
    "mean",
)
"""Measures in the table of what holds; all are in that of every training."""


def lead_of(results: RobustnessResults) -> Lead:
    """Return the tables of text: which variants meet the criterion, and every measure's spread."""
    met = []
    for variant in results.variants:
        cells = results.of(variant)
        failed = [cell.failures(CRITERION) for cell in cells]
        met.append(
            {
                "variant": variant,
                "meets the criterion": f"{sum(not each for each in failed)} of {len(cells)}",
                **{
                    f"fails in {MEASURES[name]}": str(sum(name in each for each in failed))
                    for name in ("gain", "expected.within", "gradient", "overshoot")
                },
            }
        )
    spreads = [
        {
            "variant": variant,
            "measure": MEASURES[measure],
            **{
                head: _number(getattr(spread_of(results.of(variant), measure), field))
                for field, head in SPREAD_COLUMNS.items()
            },
        }
        for measure in SHOWN
        for variant in results.variants
    ]
    return [
        (f"Trainings that meet the criterion: {CRITERION}", met),
        ("What varies, and between what", spreads),
    ]


def cells_table(results: RobustnessResults) -> pd.DataFrame:
    """Return every measure of every training, one row each."""
    return pd.DataFrame(
        [
            {
                "variant": cell.variant,
                "precision": cell.precision,
                "seed": cell.seed,
                "measure": name,
                **_parts(value),
            }
            for cell in results.cells
            for name, value in cell.measures.items()
        ]
    )


def curves_table(results: RobustnessResults) -> pd.DataFrame:
    """Return the curves of every training, one row a layer."""
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "variant": cell.variant,
                    "precision": cell.precision,
                    "seed": cell.seed,
                    "curve": name,
                    "layer": cell.layers,
                    "value": curve.value,
                    "low": curve.low,
                    "high": curve.high,
                }
            )
            for cell in results.cells
            for name, curve in (("shift", cell.shift), ("donor_slope", cell.donor_slope))
        ],
        ignore_index=True,
    )


def windows_table(results: RobustnessResults) -> dict[str, pd.DataFrame]:
    """Return the windows of every training that was read so, under the table's file name."""
    parts = [
        cell.windows.assign(variant=cell.variant, precision=cell.precision, seed=cell.seed)
        for cell in results.cells
        if cell.windows is not None
    ]
    return {"windows.csv": pd.concat(parts, ignore_index=True)} if parts else {}


def summary_of(results: RobustnessResults) -> dict[str, Any]:
    """Return the flat summary: every measure's spread of every variant, and how many trainings meet
    the criterion.
    """
    out: dict[str, Any] = {}
    for variant in results.variants:
        cells = results.of(variant)
        out[f"{variant}.trainings"] = len(cells)
        out[f"{variant}.meet_criterion"] = sum(not cell.failures(CRITERION) for cell in cells)
        for measure in MEASURES:
            for field, value in _fields(spread_of(cells, measure)).items():
                out[f"{variant}.{measure}.{field}"] = value
    return out


def record_rows(results: RobustnessResults) -> list[dict[str, Any]]:
    """Return rows of section, row, column, value, low, high and n, for the docs."""
    rows: list[dict[str, Any]] = []

    def add(section: str, row: str, column: str, value: Estimate | float) -> None:
        if not np.isnan(_parts(value)["value"]):
            rows.append({"section": section, "row": row, "column": column, **_parts(value)})

    for variant in results.variants:
        cells = results.of(variant)
        met = sum(not cell.failures(CRITERION) for cell in cells)
        add("Trainings that meet the criterion", variant, "of all", float(met))
        add("Trainings that meet the criterion", variant, "trainings", float(len(cells)))
    for measure in SHOWN:
        for variant in results.variants:
            spread = _fields(spread_of(results.of(variant), measure))
            for field, head in SPREAD_COLUMNS.items():
                add(MEASURES[measure], variant, head, spread[field])
    for variant in results.variants:
        for cell in results.of(variant):
            for measure, value in cell.measures.items():
                row = f"{cell.precision}, seed {cell.seed}"
                add(f"Every training, {variant}", row, MEASURES[measure], value)
    return rows


def _fields(spread: Spread) -> dict[str, float]:
    return {field: getattr(spread, field) for field in SPREAD_COLUMNS}


def _parts(value: Estimate | float) -> Mapping[str, Any]:
    if isinstance(value, Estimate):
        return vars(value)
    return {"value": value, "low": None, "high": None, "n": None}


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"
