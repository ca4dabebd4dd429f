"""Compute the table every recipe reports, before and after: one call, one readout, all the measures
of confidence.

Accuracy and parse rate are over all questions; the rest over parsed replies. Pooled values resample
all questions, the within-domain value resamples inside its domain, all from one seed, so two calls
with the same questions are paired (up to 20 million drawn rows; see
:mod:`workbench.measure.resampling`). Confidence is on 0-1 here (the rating-scale indices turn it
into percent). The table does not show whether a difference between two of its columns is real: see
:mod:`workbench.measure.paired`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import ArrayLike

from workbench.measure.discrimination import Auroc2Within
from workbench.measure.inputs import checked_domain, checked_probability, parse_rate
from workbench.measure.interval import Estimate
from workbench.measure.measures import Measures
from workbench.measure.metrics import NOT_SKIPPING_UNPARSED, RECIPE, statistics_of
from workbench.measure.rating_scale import rating_scale
from workbench.measure.resampling import Reading, Table, resampled
from workbench.settings.defaults import BINS, LEVEL, RESAMPLES

Metric = Estimate | float | str


def confidence_metrics(
    confidence: ArrayLike,
    correct: ArrayLike,
    domain: ArrayLike | None,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    bins: int = BINS,
    names: tuple[str, ...] = RECIPE,
) -> Measures:
    """Return all measures of ``confidence`` [n] (0-1, NaN = unparsed) against ``correct`` [n] in
    ``domain`` [n].

    Keys with an Estimate: ``names`` (rows of METRICS) and, with domains, auroc2_within. Plain:
    parse_rate and scale.ceiling_rate, .floor_rate, .modal_bin_share, .bin_sparsity, .pearson_r; the
    strings scale.tier and method (how the intervals were drawn).
    """
    scores, labels = checked_probability(confidence, correct)
    n, parsed = len(scores), int((~np.isnan(scores)).sum())
    pooled = resampled(
        lambda table: statistics_of(table, names, bins),
        [Reading(scores, labels)],
        None,
        seed=seed,
        resamples=resamples,
        level=level,
        bins=bins,
        used={name: n if name in NOT_SKIPPING_UNPARSED else parsed for name in names},
    )
    table = Measures(pooled.estimates)
    if domain is not None:
        within = resampled(
            _within,
            [Reading(scores, labels)],
            checked_domain(domain, n),
            seed=seed,
            resamples=resamples,
            level=level,
            bins=bins,
            used={"auroc2_within": parsed},
        )
        table |= within.estimates
    table["parse_rate"] = parse_rate(scores)
    scale = asdict(rating_scale(scores * 100, labels))
    table |= {f"scale.{name}": value for name, value in scale.items() if name != "n"}
    table["method"] = pooled.method
    return table


def _within(table: Table) -> dict[str, Auroc2Within]:
    (reading,) = table.readings
    return {"auroc2_within": Auroc2Within(reading.scores, reading.labels, table.codes)}


def flatten(metrics: Mapping[str, Metric], suffix: str) -> dict[str, float | str]:
    """Return the summary entries ``{key.suffix: value, key.suffix.low: ..., key.suffix.high: ...}``
    of a table of metrics.
    """
    flat: dict[str, float | str] = {}
    for key, metric in metrics.items():
        name = f"{key}.{suffix}"
        flat.update(metric.to_dict(name) if isinstance(metric, Estimate) else {name: metric})
    return flat
