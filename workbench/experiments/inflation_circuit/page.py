"""Make the page of the test of the inflation's circuit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from workbench.config import RunConfig
from workbench.mechanisms.page import mechanism_page
from workbench.mechanisms.record import MechanismRecord
from workbench.mechanisms.works.inflation_circuit import WORK
from workbench.mechanisms.works.inflation_measures import INFLATION
from workbench.models.embedded_models import title_of
from workbench.plots.curve_panels import Curve, CurvePanels
from workbench.report import Page, Section

SHOWN = {"removed": "removed with the set ablated", "carried": "carried by the set alone"}


def make_page(
    records: Sequence[MechanismRecord],
    curves: Mapping[str, pd.DataFrame],
    writers: Mapping[str, pd.DataFrame],
    config: RunConfig,
    configuration: Mapping[str, Any],
) -> Page:
    """Return the page of the ``records``, with the ``curves`` over sizes and the compact sets'
    ``writers`` by condition.
    """
    tested = next((r.estimates[INFLATION].n for r in records if INFLATION in r.estimates), 0)
    subject = f"{title_of(config.model.name)}, {tested} wrong held-out answers"
    notes = [
        f"{record.condition}: {facts['compact']} of {facts['writers']} writers, found on "
        f"{facts['attributed']} wrong training answers; accuracy of training questions "
        f"{facts['accuracy']:.2f}; the correction ablates {facts['corrected_by']}, ECE "
        f"{facts['ece_own']:.2f} before and {facts['ece_set']:.2f} after."
        for record in records
        for facts in [record.facts]
        if "compact" in facts
    ]
    there = {name: curve for name, curve in curves.items() if len(curve)}
    return mechanism_page(
        WORK,
        records,
        subject=subject,
        configuration=configuration,
        sections=[_sizes(there, subject)] if there else [],
        tables={
            **{f"sizes_{name}.csv": curve for name, curve in there.items()},
            **{f"writers_{name}.csv": each for name, each in writers.items() if len(each)},
        },
        notes=notes,
    )


def _sizes(curves: Mapping[str, pd.DataFrame], caption: str) -> Section:
    sizes = next(iter(curves.values()))["size"].to_numpy()
    figure = CurvePanels(
        layers=sizes,
        panels={
            condition: [
                Curve(label, label, curve[column].to_numpy()) for column, label in SHOWN.items()
            ]
            for condition, curve in curves.items()
        },
        y="share of what all writers hold up",
        title="How much a set removes and carries, by its size",
        caption=caption,
        x="writers in the set",
    )
    return Section(
        "By size",
        "Each size has the writers of largest share on training questions. A set that does all "
        "that the writers do together removes 1 and carries 1.",
        figure.figure(),
        "by_size",
    )
