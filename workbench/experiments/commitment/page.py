"""Make the page of the tests of reported confidence and commitment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from workbench.config import RunConfig
from workbench.experiments.commitment.pushes import (
    BASE,
    CONFIDENCE,
    CORRECTNESS,
    NOTHING,
    RANDOM,
)
from workbench.mechanisms.page import mechanism_page
from workbench.mechanisms.record import MechanismRecord
from workbench.mechanisms.works.commitment import WORK
from workbench.models.embedded_models import title_of
from workbench.pipeline.store import ROW
from workbench.plots.curve_panels import Curve, CurvePanels
from workbench.report import Page, Section

INTERVAL = "95 % interval"


def make_page(
    records: Sequence[MechanismRecord],
    angles: pd.DataFrame,
    pushed: pd.DataFrame,
    passes: pd.DataFrame,
    config: RunConfig,
    configuration: Mapping[str, Any],
) -> Page:
    """Return the page of the ``records`` with the angles by layer, the dose-response curves and the
    share passed at each confidence.
    """
    first = records[0]
    questions = first.estimates["expected_correct"].n
    subject = f"{title_of(config.model.name)}, {questions} held-out questions"
    pushing = f"{title_of(config.model.name)}, {pushed[ROW].nunique()} pushed questions"
    notes = [
        f"{record.condition}: P(commit) lies above one half for "
        f"{100 * record.facts['above_half']:.0f} % of the questions; one counts as committed above "
        f"{record.facts['threshold']:.3g}."
        for record in records
    ]
    notes.append(
        f"The two options together have {100 * first.facts['mass']:.0f} % of the base model's "
        f"mass. Directions and pushes are of layer {first.facts['layer']}."
    )
    return mechanism_page(
        WORK,
        records,
        subject=subject,
        configuration=configuration,
        sections=[
            doses_section(pushed, pushing),
            generated_section(pushed, pushing),
            angles_section(angles, subject),
            passes_section(passes, subject),
        ],
        tables={"angles.csv": angles, "pushed.csv": pushed, "passes.csv": passes},
        notes=notes,
    )


def doses_section(pushed: pd.DataFrame, caption: str) -> Section:
    """Return the curves of the choice over the length of a push."""
    figure = CurvePanels(
        layers=np.unique(pushed["length"].to_numpy()),
        panels={"change of the log-odds of committing": dose_curves(pushed, "log_odds", True)},
        y="mean over questions",
        title="What a push does to the choice",
        caption=caption,
        levels=(0.0,),
        x="length of the push (standard deviations of the states)",
        faint=[RANDOM],
    )
    return Section(
        "Dose and response",
        f"Means over the pushed questions, along {CONFIDENCE} and {CORRECTNESS} and along {RANDOM} "
        "directions of equal length, which are read at the longest push alone and drawn straight "
        "between. Forth is towards more confidence, or right answers.",
        figure.figure(),
        "doses",
    )


def generated_section(pushed: pd.DataFrame, caption: str) -> Section:
    """Return the share of generated texts that pass over the length of a push."""
    figure = CurvePanels(
        layers=np.unique(pushed["length"].to_numpy()),
        panels={"generated passes": dose_curves(pushed, "passed", False)},
        y="share of texts that pass",
        title="What a push does to the generated choice",
        caption=caption,
        levels=(),
        x="length of the push (standard deviations of the states)",
        y_range=(-0.03, 1.03),
        faint=[RANDOM],
    )
    return Section(
        "Generated passes",
        "Texts are generated with the push held at every token from the first one after the "
        f"answer; of the {RANDOM} directions, under the first of each kind.",
        figure.figure(),
        "generated",
    )


def dose_curves(pushed: pd.DataFrame, column: str, change: bool) -> list[Curve]:
    """Return a curve a direction: means over questions, less the unpushed mean for a ``change``."""
    points = np.unique(pushed["length"].to_numpy())
    of = dict(iter(pushed.groupby("direction", sort=False)))
    still, curves = float(of[BASE][column].mean()), []
    for name in map(str, of):
        own = of[name].groupby("length")[column].mean()
        if name in (BASE, NOTHING) or np.isnan(own.to_numpy()).all():
            continue
        at = np.r_[own.index.to_numpy(dtype=np.float64), 0.0]
        order = np.argsort(at)
        values = np.interp(points, at[order], np.r_[own.to_numpy(), still][order])
        curves.append(Curve(name, name.split(",")[0], values - still * change))
    return curves


def angles_section(angles: pd.DataFrame, caption: str) -> Section:
    """Return the curves of the angles over layers."""
    layers = np.unique(angles["layer"].to_numpy())
    of = {
        str(name): group.sort_values("layer") for name, group in angles.groupby("with", sort=False)
    }
    panels = {
        "cosine freed of noise": [
            Curve(f"commitment and {name}", name, group["corrected"].to_numpy())
            for name, group in of.items()
        ],
        "signal of the direction": [
            *(Curve(name, name, group["signal"].to_numpy()) for name, group in of.items()),
            Curve("commitment", "commitment", next(iter(of.values()))["commit_signal"].to_numpy()),
        ],
    }
    figure = CurvePanels(
        layers=layers,
        panels=panels,
        y="cosine, or share of the squared length",
        title="Directions after the answer, by layer",
        caption=caption,
        levels=(0.0,),
        x="decoder layer",
        y_range=(-1.05, 1.05),
    )
    return Section(
        "Directions by layer",
        "Training questions, within domain. A cosine means something only where both directions "
        "have a signal above 0; where one has none it is not defined.",
        figure.figure(),
        "directions",
    )


def passes_section(passes: pd.DataFrame, caption: str) -> Section:
    """Return the share of answers passed over the confidence."""
    points = np.unique(passes["confidence"].to_numpy())
    panels = {}
    for condition, group in passes.groupby("condition", sort=False):
        at = group["confidence"].to_numpy()
        panels[str(condition)] = [
            Curve(name, name, np.interp(points, at, group[column].to_numpy(), np.nan, np.nan))
            for name, column in (
                ("share passed", "passed"),
                (INTERVAL, "passed.low"),
                (INTERVAL, "passed.high"),
            )
        ]
    figure = CurvePanels(
        layers=points,
        panels=panels,
        y="share passed",
        title="Answers passed at each confidence",
        caption=caption,
        levels=(0.5,),
        x="expected confidence",
        y_range=(0, 1),
        faint=[INTERVAL],
    )
    return Section(
        "Passes by confidence",
        "Held-out questions in groups of equal size; the outer curves are Wilson's intervals.",
        figure.figure(),
        "passes",
    )
