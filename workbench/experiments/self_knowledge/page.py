"""Make the page of the tests of self-knowledge before an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from workbench.config import RunConfig
from workbench.experiments.self_knowledge.scores import OWN
from workbench.mechanisms.page import mechanism_page
from workbench.mechanisms.record import MechanismRecord
from workbench.mechanisms.works.question_scores import OTHER
from workbench.mechanisms.works.self_knowledge import WORK
from workbench.models.embedded_models import title_of
from workbench.plots.curve_panels import Curve, CurvePanels
from workbench.report import Page, Section


def make_page(
    records: Sequence[MechanismRecord],
    layers: pd.DataFrame,
    config: RunConfig,
    configuration: Mapping[str, Any],
) -> Page:
    """Return the page of the ``records``, with the curves over ``layers``."""
    first = records[0]
    held_out = first.estimates["question_end"].n
    subject = f"{title_of(config.model.name)}, {held_out} held-out questions"
    other = first.facts["other"]
    if other is not None:
        shared = first.estimates[OTHER].n
        subject += f"; the other model is {other}, {shared} of them shared"
    notes = [
        f"Best classifier of the text on training questions: {first.facts['best_input']}. "
        f"Question-end probe after layer {first.facts['layer']}, chosen there as well."
    ]
    return mechanism_page(
        WORK,
        records,
        subject=subject,
        configuration=configuration,
        sections=[layers_section(layers, subject)],
        tables={"layers.csv": layers},
        notes=notes,
    )


def layers_section(layers: pd.DataFrame, caption: str) -> Section:
    """Return the curves of the question-end probes over layers, a panel a model."""
    panels = {}
    points = np.unique(layers["layer"])
    for model, mine in layers.groupby("model", sort=False):
        values = np.full(len(points), np.nan)
        values[np.searchsorted(points, mine["layer"])] = mine["auroc2_within"]
        label = "the model's own states" if model == OWN else f"the states of {model}"
        panels[label] = [Curve(label, "question end", values)]
    figure = CurvePanels(
        layers=points,
        panels=panels,
        y="AUROC2 within domain",
        title="What the question's end tells, by layer",
        caption=caption,
        levels=(0.5,),
        x="decoder layer",
    )
    return Section(
        "By layer",
        "Probes of the states at the question's end, of whether the model's own answer will be "
        "right, on held-out questions. The best layer of a curve is optimistic, and is not the one "
        "used above.",
        figure.figure(),
        "by_layer",
    )
