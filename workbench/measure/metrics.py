"""The measures of confidence as rows of one table: a new one is one more row.

Each row builds, from one readout's cells, a function of how often each cell is counted. Direction, unit and caveats of each are in the
module that computes it; ``NAMES`` gives the words and which way is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from workbench.measure.calibration import BinnedForecasts, Brier, top_label
from workbench.measure.counted import CountStatistic, mean_of
from workbench.measure.discrimination import Auroc2
from workbench.measure.inputs import Bools, Floats
from workbench.measure.precision import AveragePrecision
from workbench.measure.proper import CLIP, surprise
from workbench.measure.resampling import Table
from workbench.measure.selective import SelectiveRisk
from workbench.measure.smooth_calibration import SmoothEce


@dataclass(frozen=True)
class Answers:
    """One readout's cells: ``scores`` [c] on 0-1 (NaN = unparsed), ``labels`` [c], ``multiplicity`` [c]; ``bins`` of ECE."""

    scores: Floats
    labels: Bools
    multiplicity: Floats
    bins: int

    @property
    def width_bins(self) -> BinnedForecasts:
        """Bins of equal width."""
        return BinnedForecasts(self.scores, self.labels, self.bins)

    @property
    def mass_bins(self) -> BinnedForecasts:
        """Bins of equal mass."""
        return BinnedForecasts(self.scores, self.labels, self.bins, "mass", self.multiplicity)


METRICS: Mapping[str, Callable[[Answers], CountStatistic]] = {
    "accuracy": lambda a: mean_of(a.labels.astype(np.float64)),
    "auroc2": lambda a: Auroc2(a.scores, a.labels),
    "auprc": lambda a: AveragePrecision(a.scores, a.labels),
    "auprc_wrong": lambda a: AveragePrecision(-a.scores, ~a.labels),
    "ece": lambda a: a.width_bins.ece,
    "ece_equal_mass": lambda a: a.mass_bins.ece,
    "ece_top_label": lambda a: BinnedForecasts(*top_label(a.scores, a.labels), a.bins).ece,
    "smooth_ece": lambda a: SmoothEce(a.scores, a.labels),
    "brier": lambda a: Brier(a.scores, a.labels),
    "reliability": lambda a: a.width_bins.reliability,
    "resolution": lambda a: a.width_bins.resolution,
    "uncertainty": lambda a: a.width_bins.uncertainty,
    "log_score": lambda a: mean_of(surprise(a.scores, a.labels, CLIP)),
    "aurc": lambda a: SelectiveRisk(a.scores, a.labels).aurc,
    "excess_aurc": lambda a: SelectiveRisk(a.scores, a.labels).excess_aurc,
    "accuracy_at_50": lambda a: SelectiveRisk(a.scores, a.labels).accuracy_at(0.5),
    "accuracy_at_80": lambda a: SelectiveRisk(a.scores, a.labels).accuracy_at(0.8),
    "share_ge_90": lambda a: mean_of(np.where(np.isnan(a.scores), np.nan, a.scores >= 0.9)),
}
# Every recipe's table, before and after.
RECIPE = (
    *("accuracy", "auroc2", "ece", "smooth_ece", "brier", "reliability", "resolution", "uncertainty"),
    "share_ge_90",
)
NOT_SKIPPING_UNPARSED = frozenset({"accuracy"})


def statistics_of(table: Table, names: tuple[str, ...], bins: int, reading: int = 0) -> dict[str, CountStatistic]:
    """The metrics ``names`` of one reading of ``table``."""
    chosen = table.readings[reading]
    answers = Answers(chosen.scores, chosen.labels, table.multiplicity, bins)
    return {name: METRICS[name](answers) for name in names}
