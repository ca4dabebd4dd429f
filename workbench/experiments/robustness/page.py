"""Make the page: what holds over all trainings first, then what varies, then every training."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from workbench.experiments.robustness.results import RobustnessResults
from workbench.experiments.robustness.tables import (
    cells_table,
    curves_table,
    lead_of,
    record_rows,
    summary_of,
    windows_table,
)
from workbench.experiments.robustness.variants import CRITERION, VARIANTS
from workbench.models.embedded_models import title_of
from workbench.pipeline.store import code_version
from workbench.plots.curve_panels import Curve, CurvePanels
from workbench.report import Page, Section

WINDOWS = {
    "below": "adapter in the layers up to l",
    "above": "adapter in the layers from l on",
    "single": "adapter in layer l alone",
    "without": "adapter in all layers but l",
}


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
    caption = (
        f"{title_of(results.config.model.name)}, {patched} held-out questions, the same for all"
    )
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
