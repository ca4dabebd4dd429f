"""What is stated, expected and probed of the same held-out questions under several conditions, and
the measures of each.

A condition is a model's state: before teaching, after it, the shuffled twin, an arm of a recipe.
All are judged by the base model's answers, from the same resamples.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.measure import Estimate, auroc2_estimate, auroc2_within_estimate, confidence_metrics

CALIBRATION = ("ece", "smooth_ece", "brier", "parse_rate")
BEFORE = "before"


@dataclass(frozen=True)
class Readouts:
    """Held-out questions, aligned: one row each.

    Attributes:
        questions: the question table's rows.
        correct: [n] whether the base model's answer is right.
        stated, expected: per condition [n], as shares of certainty; the same conditions in both.
        probe: per condition [n] probability of a right answer at the site chosen on training
            questions.
    """

    questions: pd.DataFrame
    correct: NDArray[np.bool_]
    stated: dict[str, NDArray[np.float64]]
    expected: dict[str, NDArray[np.float64]]
    probe: dict[str, NDArray[np.float64]]

    @property
    def domain(self) -> NDArray[Any]:
        return self.questions["domain"].to_numpy(dtype=str)

    def only(self, chosen: NDArray[np.bool_]) -> Readouts:
        """The rows of ``chosen`` [n]."""
        parts = [
            {when: v[chosen] for when, v in each.items()}
            for each in (self.stated, self.expected, self.probe)
        ]
        return Readouts(self.questions[chosen].reset_index(drop=True), self.correct[chosen], *parts)

    def without(self, conditions: Container[str]) -> Readouts:
        """All conditions but these."""
        parts = [
            {when: v for when, v in each.items() if when not in conditions}
            for each in (self.stated, self.expected, self.probe)
        ]
        return Readouts(self.questions, self.correct, *parts)


def discrimination(r: Readouts, *, resamples: int, seed: int) -> dict[str, Any]:
    """``auroc2.<readout>.<condition>`` and ``auroc2.<readout>.within.<condition>`` with their
    intervals.

    The probe before teaching goes by ``auroc2.probe``.
    """
    out: dict[str, Any] = {}

    def add(name: str, confidence: NDArray[np.float64], suffix: str) -> None:
        end = f".{suffix}" if suffix else ""
        pooled = auroc2_estimate(confidence, r.correct, resamples=resamples, seed=seed)
        within = auroc2_within_estimate(
            confidence, r.correct, r.domain, resamples=resamples, seed=seed
        )
        out.update(pooled.to_dict(f"auroc2.{name}{end}"))
        out.update(within.to_dict(f"auroc2.{name}.within{end}"))

    for when in r.stated:
        add("text", r.stated[when], when)
        add("expected", r.expected[when], when)
    for when, values in r.probe.items():
        add("probe", values, "" if when == BEFORE else when)
    return out


def calibration(r: Readouts, *, resamples: int, seed: int) -> dict[str, Any]:
    """``<measure>.<readout>.<condition>`` of the measures CALIBRATION, and what share of the
    text states 90 or more.
    """
    out: dict[str, Any] = {}
    for readout, values in (("text", r.stated), ("expected", r.expected)):
        for when, confidence in values.items():
            metrics = confidence_metrics(
                confidence, r.correct, r.domain, seed=seed, resamples=resamples
            )
            for name in CALIBRATION:
                metric = metrics[name]
                full = f"{name}.{readout}.{when}"
                out.update(metric.to_dict(full) if isinstance(metric, Estimate) else {full: metric})
            if readout == "text":
                share = metrics["share_ge_90"]
                assert isinstance(share, Estimate)
                out.update(share.to_dict(f"stated.share_ge_90.{when}"))
                out[f"stated.tier.{when}"] = metrics["scale.tier"]
    return out
