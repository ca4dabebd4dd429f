"""Measure what the cut and swapped readings of a run say, and make its records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.experiments.gathered_confidence.read import (
    PARTNER,
    READINGS,
    STATED,
    WINDOWS,
)
from workbench.experiments.gathered_confidence.stated_variance import share_out_variance
from workbench.experiments.mechanism_record import record_of_run
from workbench.loop.run import Run
from workbench.measure.interval import Estimate, IntervalCurve
from workbench.mechanisms.record import BASE, MechanismRecord
from workbench.mechanisms.works.confidence_pairs import ConfidencePairs
from workbench.mechanisms.works.gathered_confidence import WORK
from workbench.mechanisms.works.gathered_measures import (
    CONTROL,
    CUTS,
    SWAPS,
    VARIANCE,
    measure_pairs,
)
from workbench.pipeline.store import StageStore

STAGE = "gathered_confidence/"
"""The stages of the readings are called this and the condition."""
WHOLE_ADAPTER = (
    "the adapter acts before the reply, so the recorded states are not the taught model's"
)


def measure_gathered(
    run: Run, stage: StageStore, *, conditions: Sequence[str]
) -> list[MechanismRecord]:
    """Return the record of each condition."""
    return [_record(run, condition) for condition in conditions]


def _record(run: Run, condition: str) -> MechanismRecord:
    read = run.stage(STAGE + condition)
    estimates = measure_pairs(pairs_of(read.table(READINGS)))
    facts: dict[str, Any] = {name: read.facts()[name] for name in ("own_states", "width")}
    reasons = {}
    try:
        if condition != BASE and run.config.teach.adapter_scope != "reply":
            raise WorkbenchError(WHOLE_ADAPTER)
        shares, facts["layer"] = share_out_variance(run, condition)
        estimates |= shares
        reasons = dict.fromkeys(VARIANCE.keys() - shares.keys(), "all questions are of one domain")
    except WorkbenchError as error:
        reasons = dict.fromkeys(VARIANCE, str(error))
    facts["readings_in"] = read.facts()["precision"]
    return record_of_run(run, WORK, estimates, condition, reasons=reasons, facts=facts)


def pairs_of(readings: pd.DataFrame) -> ConfidencePairs:
    """Return the pairs of a table of readings."""
    columns = {name: readings[name].to_numpy(dtype=np.float64) for name in (*CUTS, *SWAPS)}
    return ConfidencePairs(
        readings[STATED].to_numpy(dtype=np.float64),
        readings[PARTNER].to_numpy(dtype=np.int64),
        {name: columns[name] for name in CUTS},
        {name: columns[name] for name in SWAPS},
    )


def window_curves(read: StageStore) -> dict[str, tuple[IntervalCurve, IntervalCurve]]:
    """Return what cuts by windows lose, by name: the cut's curve and its control's."""
    pairs, facts = pairs_of(read.table(READINGS)), read.facts()
    values: Floats = read.tensors(WINDOWS)[WINDOWS]
    share: dict[str, list[Estimate]] = {}
    for at, cut in enumerate(facts["cuts"]):
        name, _ = cut.rsplit(" ", 1)
        lost = pairs.between(pairs.base) - pairs.between(values[:, at])
        share.setdefault(name, []).append(pairs.share(lost))
    curves = {name: _curve(estimates) for name, estimates in share.items()}
    return {
        name: (curve, curves[name + CONTROL])
        for name, curve in curves.items()
        if not name.endswith(CONTROL)
    }


def _curve(estimates: Sequence[Estimate]) -> IntervalCurve:
    value, low, high = (
        np.array([getattr(each, end) for each in estimates]) for end in ("value", "low", "high")
    )
    return IntervalCurve(value, low, high)
