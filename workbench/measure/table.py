"""The table every recipe reports, before and after: one call, one readout, all the measures of confidence.

Accuracy and parse rate are over all questions; the rest over parsed replies. Pooled values resample all questions, the
within-domain value resamples inside its domain, all from one seed, so two calls with the same questions are paired.
Confidence is on 0-1 here (the rating-scale indices turn it into percent).
What the table does not show: whether a difference between two of its columns is real: see ``auroc2_difference``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from workbench.measure.bootstrap import LEVEL, RESAMPLES, CountStatistic, auroc2_within_estimate, bootstrap_counts
from workbench.measure.calibration import BinnedForecasts, Brier
from workbench.measure.discrimination import Auroc2
from workbench.measure.inputs import Bools, Floats, checked_probability, parse_rate
from workbench.measure.interval import Estimate
from workbench.measure.rating_scale import rating_scale
from workbench.measure.smooth_calibration import SmoothEce

Metric = Estimate | float | str


def confidence_metrics(
    confidence: ArrayLike,
    correct: ArrayLike,
    domain: ArrayLike,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    bins: int = 10,
) -> dict[str, Metric]:
    """All measures of ``confidence`` [n] (0-1, NaN = unparsed) against ``correct`` [n] in ``domain`` [n].

    Keys with an Estimate: accuracy, auroc2, auroc2_within, ece, smooth_ece, brier, reliability, resolution, uncertainty,
    share_ge_90. Plain: parse_rate and scale.ceiling_rate, .floor_rate, .modal_bin_share, .bin_sparsity, .pearson_r; the
    string scale.tier.
    """
    scores, labels = checked_probability(confidence, correct)
    n, parsed = len(scores), ~np.isnan(scores)
    binned = BinnedForecasts(scores, labels, bins)
    statistics: dict[str, CountStatistic] = {
        "accuracy": _share(labels, np.ones(n, dtype=np.bool_)),
        "auroc2": Auroc2(scores, labels),
        "ece": binned.ece,
        "smooth_ece": SmoothEce(scores, labels),
        "brier": Brier(scores, labels),
        "reliability": binned.reliability,
        "resolution": binned.resolution,
        "uncertainty": binned.uncertainty,
        "share_ge_90": _share(scores >= 0.9, parsed),
    }
    used = {name: n if name == "accuracy" else int(parsed.sum()) for name in statistics}
    table: dict[str, Metric] = {
        **bootstrap_counts(statistics, n, seed=seed, resamples=resamples, level=level, used=used)
    }
    table["auroc2_within"] = auroc2_within_estimate(scores, labels, domain, seed=seed, resamples=resamples, level=level)
    table["parse_rate"] = parse_rate(scores)
    # 0.29 * 100 is 28.999999999999996: rounding keeps a stated percentage the whole number it was.
    scale = rating_scale(np.round(scores * 100, 9), labels)
    for name in ("ceiling_rate", "floor_rate", "modal_bin_share", "bin_sparsity", "pearson_r", "tier"):
        table[f"scale.{name}"] = getattr(scale, name)
    return table


def flatten(metrics: Mapping[str, Metric], suffix: str) -> dict[str, float | str]:
    """Summary entries ``{key.suffix: value, key.suffix.low: ..., key.suffix.high: ...}`` of a table of metrics."""
    flat: dict[str, float | str] = {}
    for key, metric in metrics.items():
        name = f"{key}.{suffix}"
        flat.update(metric.to_dict(name) if isinstance(metric, Estimate) else {name: metric})
    return flat


def _share(hit: Bools, counted: Bools) -> CountStatistic:
    numerator, denominator = (hit & counted).astype(np.float64), counted.astype(np.float64)

    def share(counts: Floats) -> Floats:
        total = counts @ denominator
        return np.divide(counts @ numerator, total, out=np.full(len(counts), np.nan), where=total > 0)

    return share
