"""Measure AUROC2 with its bootstrap interval: pooled, within domain, and the paired difference of
two readouts.

Sign of a difference: a minus b, so above zero means that a discriminates better.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.measure.discrimination import Auroc2, Auroc2Within
from workbench.measure.distance import minus
from workbench.measure.distinct_rows import Codes
from workbench.measure.inputs import checked, checked_domain
from workbench.measure.interval import Estimate
from workbench.measure.resampling import Reading, Table, resampled
from workbench.measure.weighted import CountStatistic
from workbench.settings.defaults import LEVEL, RESAMPLES


def auroc2_estimate(
    confidence: ArrayLike,
    correct: ArrayLike,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """Return the pooled AUROC2 of ``confidence`` [n] (NaN skipped) with its interval; ``n`` counts
    the parsed answers.
    """
    scores, labels = checked(confidence, correct)
    return _single([Reading(scores, labels)], None, seed=seed, resamples=resamples, level=level)


def auroc2_within_estimate(
    confidence: ArrayLike,
    correct: ArrayLike,
    domain: ArrayLike,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """Return the mean within-domain AUROC2 with its interval, questions resampled within their
    domain [n].
    """
    scores, labels = checked(confidence, correct)
    codes = checked_domain(domain, len(scores))
    return _single([Reading(scores, labels)], codes, seed=seed, resamples=resamples, level=level)


def auroc2_difference(
    confidence_a: ArrayLike,
    confidence_b: ArrayLike,
    correct: ArrayLike,
    domain: ArrayLike | None,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    correct_b: ArrayLike | None = None,
) -> Estimate:
    """Return AUROC2 of a minus AUROC2 of b on the same questions [n], paired; within domain when
    ``domain`` is given.

    Only questions that were parsed in both are compared, so that neither gains by failing to be
    parsed on hard ones. ``correct_b`` is for runs whose answers differ (a retrained model answers
    anew); otherwise both are judged against ``correct``.

    Raises:
        WorkbenchError: if the two confidences differ in length.
    """
    first, labels = checked(confidence_a, correct)
    second, labels_b = checked(confidence_b, correct if correct_b is None else correct_b)
    if first.shape != second.shape:
        raise WorkbenchError(
            f"paired confidences have {len(first)} and {len(second)} rows; align them by question"
        )
    both = ~np.isnan(first) & ~np.isnan(second)
    if not both.any():
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    codes = None if domain is None else checked_domain(domain, len(first))[both]
    readings = [Reading(first[both], labels[both]), Reading(second[both], labels_b[both])]
    return _single(readings, codes, seed=seed, resamples=resamples, level=level)


def _single(
    readings: list[Reading], codes: Codes | None, *, seed: int, resamples: int, level: float
) -> Estimate:
    def build(table: Table) -> Mapping[str, CountStatistic]:
        each = [
            Auroc2(r.scores, r.labels)
            if codes is None
            else Auroc2Within(r.scores, r.labels, table.codes)
            for r in table.readings
        ]

        return {"value": each[0] if len(each) == 1 else minus(*each)}

    parsed = int((~np.isnan(readings[0].scores)).sum())
    # AUROC2 knows no bins; one keeps levels free of edges.
    found = resampled(
        build,
        readings,
        codes,
        seed=seed,
        resamples=resamples,
        level=level,
        bins=1,
        used={"value": parsed},
    )
    return found.estimates["value"]
