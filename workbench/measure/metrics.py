"""List the measures of confidence as rows of one table: a new one is one more row.

Each row builds, from one readout's cells, a function of how often each cell is counted. Direction,
unit and caveats of each are in the module that computes it; ``NAMES`` gives the words and which way
is better.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.measure.auprc import AveragePrecision
from workbench.measure.calibration import BinnedForecasts, Brier, top_label
from workbench.measure.discrimination import ValueGroups, auroc2_of_groups, off_the_mode
from workbench.measure.distance import Distance
from workbench.measure.distinct_rows import cells_of
from workbench.measure.edges import at_least
from workbench.measure.equal_groups import GROUPS, equal_groups
from workbench.measure.log_score import CLIP, surprise
from workbench.measure.meta_information import Bits, BitsOver, entropy
from workbench.measure.resampling import Table
from workbench.measure.selective import SelectiveRisk
from workbench.measure.shares import Share
from workbench.measure.smooth_calibration import SmoothEce
from workbench.measure.weighted import (
    Counting,
    CountStatistic,
    Latest,
    OverFewer,
    OwnBounds,
    PointOnly,
    WithEnough,
    mean_of,
    summed,
)


class Answers:
    """The cells of one readout, with the steps that several metrics share.

    ``scores`` [c] on 0-1 (NaN = unparsed), ``labels`` [c], ``multiplicity`` [c]; ``bins`` of ECE.
    """

    def __init__(self, scores: Floats, labels: Bools, multiplicity: Floats, bins: int) -> None:
        self.scores, self.labels, self.multiplicity, self.bins = scores, labels, multiplicity, bins

    @cached_property
    def groups(self) -> ValueGroups:
        return ValueGroups(self.scores, self.labels)

    @cached_property
    def width_bins(self) -> BinnedForecasts:
        return BinnedForecasts(self.scores, self.labels, self.bins)

    @cached_property
    def mass_bins(self) -> BinnedForecasts:
        return BinnedForecasts(self.scores, self.labels, self.bins, "mass", self.multiplicity)

    @cached_property
    def bits(self) -> OwnBounds:
        return self._parsed_bits.of(self._parsed_counts)

    @cached_property
    def bits_of_entropy(self) -> OwnBounds:
        return BitsOver(self._parsed_bits, entropy).of(self._parsed_counts)

    def _parsed_counts(self, counts: Floats) -> Floats:
        return counts[:, ~np.isnan(self.scores)]

    @cached_property
    def _parsed_bits(self) -> Bits:
        parsed = ~np.isnan(self.scores)
        groups = equal_groups(self.scores[parsed], GROUPS, self.multiplicity[parsed])
        return Bits(groups, self.labels[parsed])

    @cached_property
    def selective(self) -> SelectiveRisk:
        return SelectiveRisk(self.groups)


METRICS: Mapping[str, Callable[[Answers], CountStatistic]] = {
    "accuracy": lambda a: Share(a.labels.astype(np.float64)),
    "auroc2": lambda a: WithEnough(
        lambda counts: auroc2_of_groups(a.groups(counts)),
        lambda counts: off_the_mode(a.groups(counts)),
    ),
    "auprc": lambda a: OverFewer(
        AveragePrecision(a.groups), lambda counts: a.groups(counts).right.sum(axis=1)
    ),
    "auprc_wrong": lambda a: OverFewer(
        AveragePrecision(a.groups, of_wrong=True),
        lambda counts: a.groups(counts).wrong.sum(axis=1),
    ),
    "ece": lambda a: a.width_bins.ece,
    "ece_debiased": lambda a: a.width_bins.ece_debiased,
    "ece_equal_mass": lambda a: a.mass_bins.ece,
    "ece_top_label": lambda a: BinnedForecasts(*top_label(a.scores, a.labels), a.bins).ece,
    "smooth_ece": lambda a: PointOnly(SmoothEce(a.scores, a.labels)),
    "brier": lambda a: Brier(a.scores, a.labels),
    "reliability": lambda a: a.width_bins.reliability,
    "resolution": lambda a: PointOnly(a.width_bins.resolution),
    "uncertainty": lambda a: PointOnly(a.width_bins.uncertainty),
    "log_score": lambda a: mean_of(surprise(a.scores, a.labels, CLIP)),
    "meta_i": lambda a: a.bits,
    "meta_i2r": lambda a: a.bits_of_entropy,
    "aurc": lambda a: a.selective.aurc,
    "excess_aurc": lambda a: a.selective.excess_aurc,
    "accuracy_at_50": lambda a: a.selective.accuracy_at(0.5),
    "accuracy_at_80": lambda a: a.selective.accuracy_at(0.8),
    "share_ge_90": lambda a: Share(np.where(np.isnan(a.scores), np.nan, at_least(a.scores, 0.9))),
}
# Every recipe's table, before and after.
RECIPE = (
    *(
        "accuracy",
        "auroc2",
        "ece",
        "smooth_ece",
        "brier",
        "reliability",
        "resolution",
        "uncertainty",
    ),
    "share_ge_90",
)
# A debiased value is of one readout's own noise; a difference of two is not computed.
PAIRED = tuple(name for name in METRICS if name != "ece_debiased")
NOT_SKIPPING_UNPARSED = frozenset({"accuracy"})


def statistics_of(
    table: Table, names: tuple[str, ...], bins: int, reading: int = 0
) -> dict[str, CountStatistic]:
    """Return the metrics ``names`` of one reading of ``table``, as functions of counts of the
    table's cells.

    With another reading in the table, one reading's value and grade fill several cells; those are
    added up first.
    """
    chosen = table.readings[reading]
    own = cells_of(chosen.scores, chosen.labels)
    answers = Answers(
        chosen.scores[own.first],
        chosen.labels[own.first],
        np.bincount(own.index, table.multiplicity).astype(np.float64),
        bins,
    )
    order = np.argsort(own.index, kind="stable")
    starts = np.r_[0, np.cumsum(np.bincount(own.index))[:-1]]
    added = Latest(lambda counts: summed(counts[:, order], starts))

    def of_table(statistic: CountStatistic) -> CountStatistic:
        if isinstance(statistic, Distance | Share | OwnBounds | PointOnly | Counting):
            return statistic.of(added)
        return lambda counts: statistic(added(counts))

    found = {name: METRICS[name](answers) for name in names}
    return {name: of_table(statistic) for name, statistic in found.items()}
