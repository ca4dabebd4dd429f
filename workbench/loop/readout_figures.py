"""Draw what is known and what is said of the held-out questions: discrimination of every readout,
stated confidence, calibration, and what probes read from every layer.

Figures of the base model, the taught one and the control stand in one picture; whether two of them
differ, the paired gains in the summary say.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from workbench.loop.conditions import (
    AFTER,
    BEFORE,
    EXPECTED,
    STATED,
    Key,
    Measures,
    Readouts,
    roles_of,
)
from workbench.loop.positions import run_positions
from workbench.loop.results import PROBES_OF, LoopResults
from workbench.loop.run import Run
from workbench.measure import Estimate
from workbench.measure.interval import IntervalCurve
from workbench.plots import (
    AurocByLayer,
    ConfidenceHistogram,
    ReadoutComparison,
    ReadoutRow,
    Reliability,
)
from workbench.plots.theme import Role
from workbench.report import Section
from workbench.settings.defaults import BINS


def bottleneck(readouts: Readouts, measures: Measures, caption: str) -> Section:
    """Draw AUROC2 of every readout under every condition."""
    rows = []
    for readout, values in readouts.of.items():
        for condition in values:
            pooled, within = (
                measures.get(Key("auroc2", readout, condition, within=within))
                for within in (False, True)
            )
            if isinstance(pooled, Estimate) and isinstance(within, Estimate):
                rows.append(ReadoutRow(readout, condition.name, pooled, within))
    figure = ReadoutComparison(
        rows=rows,
        title="What is known and what is said",
        caption=caption,
        roles=roles_of(readouts.stated),
    ).figure()
    explanation = (
        "How well each readout tells right from wrong answers: the text the model writes, the "
        "expected value of its distribution over 0-100, and a probe on its hidden states. Text far "
        "left of the probe before teaching is the text bottleneck. The within-domain panel removes "
        "what knowing a domain's difficulty alone would give."
    )
    return Section("The bottleneck at a glance", explanation, figure, "bottleneck")


def histogram(readouts: Readouts, caption: str) -> Section:
    """Draw what the text states under every condition."""
    groups = {
        one.name: 100 * values
        for one, values in readouts.stated.items()
        if one not in readouts.silent
    }
    figure = ConfidenceHistogram(
        groups=groups,
        title="What the text states",
        caption=caption,
        roles=roles_of(readouts.stated),
    ).figure()
    explanation = (
        "Stated confidence before and after teaching, and after teaching on shuffled targets."
    )
    return Section("Stated confidence", explanation, figure, "stated_confidence")


def reliability(readouts: Readouts, caption: str) -> Section:
    """Draw text and expected confidence, side by side, against the share of right answers, without
    the shuffled targets.
    """
    panels = {
        readout: {
            one.name: (values, readouts.correct)
            for one, values in readouts.of[readout].items()
            if not one.control and not np.isnan(values).all()
        }
        for readout in (STATED, EXPECTED)
    }
    figure = Reliability(
        panels={readout: groups for readout, groups in panels.items() if groups},
        bins=BINS,
        title="Is stated confidence earned?",
        caption=caption,
        roles=roles_of(readouts.stated),
    ).figure()
    explanation = (
        "Share of right answers at each level of confidence; on the diagonal confidence means what "
        "it says."
    )
    return Section("Reliability", explanation, figure, "reliability")


def by_layer(context: Run, found: LoopResults, caption: str) -> Section:
    """Draw what a probe reads from every layer, before and after teaching, with its control."""
    series: dict[str, IntervalCurve] = {}
    roles: dict[str, Role] = {}
    layers = np.arange(0)

    def add(name: str, part: pd.DataFrame, column: str, role: Role) -> None:
        bounds = (part[f"{column}{end}"].to_numpy() for end in ("", ".low", ".high"))
        series[name], roles[name] = IntervalCurve(*bounds), role

    for condition, stage in PROBES_OF.items():
        if condition not in found.readouts.probe:
            continue
        table = context.stage(stage).table("layers")
        for position in run_positions(context):
            part = table[table["position"] == position].sort_values("layer")
            layers = part["layer"].to_numpy()
            at = "confidence position" if position == "confidence" else position.replace("_", " ")
            if position == "confidence" or condition == BEFORE:
                role: Role = "before" if condition == BEFORE else "after"
                add(f"{condition.name}, {at}", part, "auroc2", role)
        if condition == BEFORE:
            part = table[table["position"] == "confidence"].sort_values("layer")
            add("shuffled labels", part, "auroc2_shuffled", "control")
    references = {}
    for condition in (BEFORE, AFTER):
        name, level = (
            f"stated {condition.name}",
            found.measures.get(Key("auroc2", STATED, condition)),
        )
        if isinstance(level, Estimate) and condition.role is not None:
            references[name], roles[name] = level.value, condition.role
    figure = AurocByLayer(
        layers=layers,
        series=series,
        references=references,
        roles=roles,
        title="Where it is known",
        caption=caption,
    ).figure()
    explanation = (
        "A linear probe reads from each layer whether the answer was right; fitted on training "
        "questions, scored on held-out ones. Shuffled labels show what a probe with nothing to "
        "learn reaches (range over permutations)."
    )
    return Section("AUROC2 by layer", explanation, figure, "auroc2_by_layer")
