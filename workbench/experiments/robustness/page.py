"""Make the page: what holds over all trainings first, then what varies, then every training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from workbench.experiments.robustness.results import (
    MEASURES,
    RobustnessResults,
    Spread,
    spread_of,
)
from workbench.experiments.robustness.variants import CRITERION, VARIANTS
from workbench.measure import Estimate
from workbench.pipeline.store import code_version
from workbench.plots.curve_panels import Curve, CurvePanels
from workbench.report import Page, Section
from workbench.report.page import Lead

SPREAD_COLUMNS = {
    "mean": "mean",
    "lowest": "lowest",
    "highest": "highest",
    "between_seeds": "spread between seeds",
    "between_precisions": "bfloat16 less float32",
}
WINDOWS = {
    "below": "adapter in the layers up to l",
    "above": "adapter in the layers from l on",
    "single": "adapter in layer l alone",
    "without": "adapter in all layers but l",
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


def page_of(results: RobustnessResults) -> Page:
    """Return the page of results."""
    configuration = {
        "parameters": results.parameters,
        "criterion": str(CRITERION),
        "variants": {name: VARIANTS[name].about for name in results.variants},
        "run": results.config.model_dump(mode="json"),
    }
    return Page(
        "What holds over seeds, precisions and ways of teaching?",
        sections_of(results),
        summary_of(results),
        configuration,
        tables={
            "trainings.csv": cells_table(results),
            "curves.csv": curves_table(results),
            **windows_table(results),
        },
        lead=lead_of(results),
        notes=[f"criterion for a default: {CRITERION}"],
        records={
            "robustness.json": {
                "code": code_version(),
                "settings": configuration,
                "rows": record_rows(results),
            }
        },
        narrow=lead_of(results)[:1],
    )


def sections_of(results: RobustnessResults) -> list[Section]:
    """Draw shift and donor slope over layers, a panel a variant and a curve a training."""
    patched = int(results.config.patch.n_questions)
    caption = f"{results.config.model.shown}, {patched} held-out questions, the same for all"
    return [
        Section(
            "Whose confidence is it, in every training",
            "Donors from other questions: slope of the patched readout on the donor's own. Curves "
            "that lie on one another are a finding of the model, not of one training.",
            panels(results, "donor_slope", "donor slope", caption),
            "donor_slope",
        ),
        Section(
            "The shift, in every training",
            "Own donors: 0 nothing moved, 1 all the way to the tuned model's confidence. Above 1 "
            "the patched model overshoots.",
            panels(results, "shift", "mean shift", caption),
            "shift",
        ),
        *window_sections(results, caption),
    ]


def window_sections(results: RobustnessResults, caption: str) -> list[Section]:
    """Draw what the adapter does in some layers alone, of every variant that was read so."""
    sections = []
    for variant in results.variants:
        read = {cell.seed: cell for cell in results.of(variant) if cell.windows is not None}
        if not read:
            continue
        sections.append(
            Section(
                f"Which layers push, and which push back: {variant}",
                "The adapter on in some layers only. Where the curve of the layers up to l passes "
                "1, the layers after l take back what those before have moved.",
                window_panels(results, variant, caption),
                f"windows_{variant.replace('-', '_')}",
            )
        )
    return sections


def window_panels(results: RobustnessResults, variant: str, caption: str) -> go.Figure:
    """Draw the shift in every kind of window, a curve a training."""
    tables = [(cell, cell.windows) for cell in results.of(variant) if cell.windows is not None]
    first = tables[0][1]
    layers = np.sort(first["layer"].unique())
    return CurvePanels(
        layers=layers,
        panels={
            title: [
                Curve(
                    f"{cell.precision}, seed {cell.seed}",
                    cell.precision,
                    table[table["kind"] == kind].sort_values("layer")["shift"].to_numpy(),
                )
                for cell, table in tables
            ]
            for kind, title in WINDOWS.items()
        },
        y="mean shift",
        title=f"Shift with the adapter in some layers only: {variant}",
        caption=caption,
    ).figure()


def panels(results: RobustnessResults, curve: str, name: str, caption: str) -> go.Figure:
    """Draw one kind of curve."""
    return CurvePanels(
        layers=results.cells[0].layers,
        panels={
            variant: [
                Curve(
                    f"{cell.precision}, seed {cell.seed}",
                    cell.precision,
                    getattr(cell, curve).value,
                )
                for cell in results.of(variant)
            ]
            for variant in results.variants
        },
        y=name,
        title=f"{name.capitalize()} by layer, one curve a training",
        caption=caption,
    ).figure()


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
