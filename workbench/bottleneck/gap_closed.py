"""Measure which share of the gap between what a model says and what a probe finds teaching closes.

The gap is AUROC2 of the probe minus AUROC2 of a readout before teaching; what is closed is the same
readout after teaching minus before. Share = closed / gap: 0 where nothing changed, 1 where the
readout tells as much as the probe, above 1 where it tells more, below 0 where teaching took from
it. All three are of the same held-out answers, drawn together in every resample.

A share of a gap that is not there says nothing: where the gap's interval reaches 0 there is none. A
readout that gains beyond the probe shows that the probe was not the most that can be read. One that
is below chance before teaching widens the gap, and losing that order closes some of it. The
interval is over questions, not trainings: compare with the share of a control on shuffled targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.measure import Bootstrap, Estimate, bootstrap_counts
from workbench.measure.discrimination import Auroc2, Auroc2Within
from workbench.measure.distance import minus
from workbench.measure.inputs import checked_domain
from workbench.measure.weighted import CountStatistic, ratio


@dataclass(frozen=True)
class GapClosed:
    """The gap between probe and readout before teaching, and the share of it that teaching closed;
    NaN where the gap is not above 0.
    """

    gap: Estimate
    share: Estimate

    @property
    def there(self) -> bool:
        """Whether the gap is above 0."""
        return self.gap.low > 0


def gap_closed(
    probe: Floats,
    before: Floats,
    after: Floats,
    correct: Bools,
    domain: np.ndarray | None,
    draw: Bootstrap,
) -> GapClosed:
    """Measure the share for held-out scores [n] with grades [n], within domain where ``domain`` [n]
    is given; answers that state nothing before or after are left out.
    """
    read = ~np.isnan(before) & ~np.isnan(after)
    labels = correct[read]
    codes = None if domain is None else checked_domain(domain, len(correct))[read]
    known, first, then = (_auroc2(each[read], labels, codes) for each in (probe, before, after))
    gap, closed = minus(known, first), minus(then, first)
    found = bootstrap_counts(
        {"gap": gap, "share": _Share(closed, gap)}, len(labels), strata=codes, **draw.options
    )
    nothing = Estimate(float("nan"), float("nan"), float("nan"), len(labels))
    return GapClosed(found["gap"], found["share"] if found["gap"].low > 0 else nothing)


def _auroc2(scores: Floats, correct: Bools, codes: np.ndarray | None) -> CountStatistic:
    return Auroc2(scores, correct) if codes is None else Auroc2Within(scores, correct, codes)


class _Share:
    """The share as a function of how often each question is counted: [r, n] -> [r]."""

    def __init__(self, closed: CountStatistic, gap: CountStatistic) -> None:
        self._closed, self._gap = closed, gap

    def __call__(self, counts: Floats) -> Floats:
        return ratio(self._closed(counts), self._gap(counts))
