"""Tell the list of runs what a run found: the answer, the headline numbers, and its curves."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from workbench.arrays import Floats
from workbench.loop.conditions import AFTER, BEFORE, CONTROL, EXPECTED, PROBE, STATED, Key
from workbench.loop.results import LoopResults
from workbench.loop.run import Run
from workbench.loop.story import card
from workbench.measure import Estimate
from workbench.models.embedded_models import title_of
from workbench.report.run_records import Headline, RecordCurve, RunRecord

HEADLINES: Mapping[str, Key] = {
    "accuracy of the answers": Key("accuracy", condition=BEFORE),
    "AUROC2 stated, before": Key("auroc2", STATED, BEFORE),
    "AUROC2 stated, after": Key("auroc2", STATED, AFTER),
    "AUROC2 stated, control": Key("auroc2", STATED, CONTROL),
    "AUROC2 stated, within domain, after": Key("auroc2", STATED, AFTER, within=True),
    "AUROC2 expected, before": Key("auroc2", EXPECTED, BEFORE),
    "AUROC2 expected, after": Key("auroc2", EXPECTED, AFTER),
    "AUROC2 probe, before": Key("auroc2", PROBE, BEFORE),
    "AUROC2 probe, within domain, before": Key("auroc2", PROBE, BEFORE, within=True),
    "gain of the text": Key("auroc2", STATED, AFTER, contrast="gain"),
    "ECE stated, before": Key("ece", STATED, BEFORE),
    "ECE stated, after": Key("ece", STATED, AFTER),
    "donor slope passes 1/2 at layer": Key("donor_slope.half_layer", part="patching"),
    "layer gradient rho": Key("layer_gradient", part="patching"),
    "largest shift": Key("shift.largest", part="patching"),
    "patched questions": Key("items", part="patching"),
}


def run_record(context: Run, found: LoopResults) -> RunRecord:
    """Return what a run's page leaves for comparing runs, as far as its stages go."""
    config, shown = context.config, card(context, found)
    return RunRecord(
        f"Does {title_of(config.model.name)} know when it is wrong?",
        "" if shown is None else shown.sentence,
        {
            "model": title_of(config.model.name),
            "seed": str(config.seed),
            "questions": str(len(found.readouts.correct)),
            "precision": str(context.stage("answer").facts().get("precision", ""))
            if "answer" in found.finished
            else "",
        },
        [_headline(label, found.measures.get(key)) for label, key in HEADLINES.items()],
        _curves(context, found),
        bool(found.verdicts),
    )


def _headline(label: str, value: object) -> Headline:
    if isinstance(value, Estimate):
        return Headline(label, value.value, value.low, value.high)
    return Headline(label, float(value) if isinstance(value, int | float) else None)


def _curves(context: Run, found: LoopResults) -> list[RecordCurve]:
    curves = []
    if "probe" in found.finished:
        table = context.stage("probe").table("layers")
        for position, part in table.groupby("position"):
            ordered = part.sort_values("layer")
            title = f"AUROC2 of a probe, {str(position).replace('_', ' ')}"
            curves.append(_curve(title, ordered["layer"], ordered["auroc2"].to_numpy()))
    if "patch" in found.finished:
        patching = found.patching
        layers = patching.sweeps["other_tuned"].layers
        curves.append(_curve("slope on the donor's confidence", layers, patching.donor_slope.value))
        own = patching.sweeps["own_tuned"].layers
        curves.append(_curve("mean shift", own, patching.shift["own_tuned"].value))
    return curves


def _curve(title: str, layers: object, values: Floats) -> RecordCurve:
    return RecordCurve(
        title,
        "decoder layer",
        np.asarray(layers, dtype=float).tolist(),
        [float(value) if np.isfinite(value) else None for value in values],
    )
