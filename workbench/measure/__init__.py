"""What a confidence is worth: discrimination, calibration and validity of the rating scale, each with a bootstrap interval.

Everything here takes plain arrays (confidence with NaN for replies that could not be parsed, correctness, domain) and knows
nothing of models. :func:`confidence_metrics` is the table every recipe reports.
"""

from workbench.measure.auroc2_interval import auroc2_difference, auroc2_estimate, auroc2_within_estimate
from workbench.measure.bootstrap import bootstrap, bootstrap_counts
from workbench.measure.calibration import (
    BrierDecomposition,
    ReliabilityBins,
    brier,
    brier_decomposition,
    ece,
    reliability_bins,
    wilson_interval,
)
from workbench.measure.discrimination import auroc2, auroc2_within
from workbench.measure.inputs import parse_rate
from workbench.measure.interval import Estimate
from workbench.measure.rating_scale import RatingScale, rating_scale
from workbench.measure.smooth_calibration import relplot_smooth_ece, smooth_ece
from workbench.measure.table import Metric, confidence_metrics, flatten

__all__ = [
    "BrierDecomposition",
    "Estimate",
    "Metric",
    "RatingScale",
    "ReliabilityBins",
    "auroc2",
    "auroc2_difference",
    "auroc2_estimate",
    "auroc2_within",
    "auroc2_within_estimate",
    "bootstrap",
    "bootstrap_counts",
    "brier",
    "brier_decomposition",
    "confidence_metrics",
    "ece",
    "flatten",
    "parse_rate",
    "rating_scale",
    "reliability_bins",
    "relplot_smooth_ece",
    "smooth_ece",
    "wilson_interval",
]
