"""Measure what a confidence is worth: discrimination, calibration, selective answering, alignment
and validity of the rating scale.

Everything here takes plain arrays (confidence with NaN for replies that could not be parsed,
correctness, domain) and knows nothing of models. :func:`confidence_metrics` is the table every
recipe reports; :func:`read_answers` and :func:`measure_groups` do all of it for anyone's file.
"""

from workbench.measure.against import compare_groups, paired_values
from workbench.measure.alignment import (
    Alignment,
    alignment,
    four_cells,
    shuffled_spearman,
    spearman,
)
from workbench.measure.auprc import auprc, auprc_wrong
from workbench.measure.auroc2_interval import (
    auroc2_difference,
    auroc2_estimate,
    auroc2_within_estimate,
)
from workbench.measure.bootstrap import Bootstrap, bootstrap, bootstrap_counts
from workbench.measure.calibration import (
    BrierDecomposition,
    ReliabilityBins,
    brier,
    brier_decomposition,
    ece,
    reliability_bins,
    top_label,
)
from workbench.measure.delong import DeLongDifference, delong, delong_difference, delong_within
from workbench.measure.discrimination import auroc2, auroc2_within
from workbench.measure.groups import GroupMeasures, Settings, flat, measure_group, measure_groups
from workbench.measure.inputs import parse_rate
from workbench.measure.interval import Estimate, IntervalCurve, flat_summary
from workbench.measure.log_score import log_score
from workbench.measure.meta_d import MetaD, meta_d, meta_d_of_choices, meta_d_of_correctness
from workbench.measure.meta_information import MetaInformation, meta_information
from workbench.measure.paired import Paired, paired_metrics
from workbench.measure.passed_share import PassedShare, passed_share
from workbench.measure.rating_scale import RatingScale, rating_scale
from workbench.measure.recalibration import (
    RECALIBRATIONS,
    CalibrationScore,
    isotonic,
    platt,
    recalibrated_scores,
    temperature,
)
from workbench.measure.residual import ResidualDiscrimination, residual_discrimination
from workbench.measure.retrieval import GatedRetrieval, gated_retrieval
from workbench.measure.seed_spread import SeedSplit, seed_split
from workbench.measure.selective import (
    RiskCoverage,
    accuracy_at_coverage,
    aurc,
    excess_aurc,
    risk_coverage,
)
from workbench.measure.shares import wilson_interval
from workbench.measure.smooth_calibration import relplot_smooth_ece, smooth_ece
from workbench.measure.table import Metric, confidence_metrics, flatten
from workbench.measure.table_file.answers import Answers, read_answers
from workbench.measure.variance_partition import VariancePartition, variance_partition

__all__ = [
    "RECALIBRATIONS",
    "Alignment",
    "Answers",
    "Bootstrap",
    "BrierDecomposition",
    "CalibrationScore",
    "DeLongDifference",
    "Estimate",
    "GatedRetrieval",
    "GroupMeasures",
    "IntervalCurve",
    "MetaD",
    "MetaInformation",
    "Metric",
    "Paired",
    "PassedShare",
    "RatingScale",
    "ReliabilityBins",
    "ResidualDiscrimination",
    "RiskCoverage",
    "SeedSplit",
    "Settings",
    "VariancePartition",
    "accuracy_at_coverage",
    "alignment",
    "auprc",
    "auprc_wrong",
    "aurc",
    "auroc2",
    "auroc2_difference",
    "auroc2_estimate",
    "auroc2_within",
    "auroc2_within_estimate",
    "bootstrap",
    "bootstrap_counts",
    "brier",
    "brier_decomposition",
    "compare_groups",
    "confidence_metrics",
    "delong",
    "delong_difference",
    "delong_within",
    "ece",
    "excess_aurc",
    "flat",
    "flat_summary",
    "flatten",
    "four_cells",
    "gated_retrieval",
    "isotonic",
    "log_score",
    "measure_group",
    "measure_groups",
    "meta_d",
    "meta_d_of_choices",
    "meta_d_of_correctness",
    "meta_information",
    "paired_metrics",
    "paired_values",
    "parse_rate",
    "passed_share",
    "platt",
    "rating_scale",
    "read_answers",
    "recalibrated_scores",
    "reliability_bins",
    "relplot_smooth_ece",
    "residual_discrimination",
    "risk_coverage",
    "seed_split",
    "shuffled_spearman",
    "smooth_ece",
    "spearman",
    "temperature",
    "top_label",
    "variance_partition",
    "wilson_interval",
]
