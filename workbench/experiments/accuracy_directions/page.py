"""Make the page of the tests of accuracy's and confidence's directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from workbench.config import RunConfig
from workbench.mechanisms.page import mechanism_page
from workbench.mechanisms.record import MechanismRecord
from workbench.mechanisms.works.accuracy_directions import ORTHOGONAL, WORK
from workbench.models.embedded_models import title_of
from workbench.plots.curve_panels import Curve, CurvePanels
from workbench.report import Page, Section

CURVES = {
    "cosine": "as fitted",
    "corrected": "corrected for reliability",
    "reliability_accuracy": "reliability of accuracy",
    "reliability_confidence": "reliability of confidence",
    "random_low": "random directions, lower bound",
    "random_high": "random directions, upper bound",
}


def make_page(
    records: Sequence[MechanismRecord],
    layers: pd.DataFrame,
    config: RunConfig,
    configuration: Mapping[str, Any],
) -> Page:
    """Return the page of the ``records``, with the curves over ``layers``."""
    first = records[0]
    subject = (
        f"{title_of(config.model.name)}, angles from {first.estimates['corrected'].n} training "
        f"questions, {first.estimates['brier_base'].n} held-out ones steered"
    )
    return mechanism_page(
        WORK,
        records,
        subject=subject,
        configuration=configuration,
        sections=[layers_section(layers, subject)],
        tables={"layers.csv": layers},
        notes=_notes(records),
    )


def _notes(records: Sequence[MechanismRecord]) -> list[str]:
    notes = [
        f"{record.condition}: layer {record.facts['layer']} for the angles; steered after layer "
        f"{record.facts['steered_layer']} with strength {record.facts['strength']:g}, all alike by "
        f"{record.facts['constant']:g} after layer {record.facts['constant_layer']}."
        for record in records
    ]
    reasoned = records[0].facts.get("reasoned")
    if reasoned is not None:
        right, said = reasoned["accuracy"], reasoned["confidence"]
        notes.append(
            f"Directly {right[0]:.2f} are right and confidence is {said[0]:.2f} on average; after "
            f"reasoning ({reasoned['format']}) {right[1]:.2f} and {said[1]:.2f}."
        )
    return notes


def layers_section(layers: pd.DataFrame, caption: str) -> Section:
    """Return the cosines over layers, a panel a condition."""
    panels = {
        str(condition): [
            Curve(label, label, mine[name].to_numpy()) for name, label in CURVES.items()
        ]
        for condition, mine in layers.groupby("condition", sort=False)
    }
    points = layers["layer"].drop_duplicates().to_numpy()
    figure = CurvePanels(
        layers=points,
        panels=panels,
        y="cosine",
        title="Accuracy and confidence, by layer",
        caption=caption,
        levels=(-ORTHOGONAL, 0.0, ORTHOGONAL),
        x="decoder layer",
        faint=[label for name, label in CURVES.items() if name.startswith("random_")],
    )
    return Section(
        "By layer",
        "The cosine of the two directions as they are fitted, and corrected for how well each is "
        "found again on the other half of the questions. Where a reliability is near 0 the "
        "corrected cosine says nothing. Thin lines: the bounds within which it counts as "
        "orthogonal.",
        figure.figure(),
        "by_layer",
    )
