"""Define what the league measures of a line: discrimination and calibration of the confidence, the
answers, and the gains.

A measure reads one readout of the held-out table: what is stated as text, what is expected over the
scale, the grades of the base model's answers (in which all confidence is stated), or those of the
answers given with the adapter on, where the adapter acts on the whole conversation and so could
change them. Gains are the line minus the base model, paired by question, on questions parsed in
both: above zero is better for AUROC2 and answers, worse for ECE. A gain in the text's AUROC2 leaves
out answers for which only one of the two stated a confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.arrays import Bools, Floats
from workbench.loop.answer_stability import RIGHT
from workbench.loop.conditions import BEFORE, EXPECTED, STATED, Condition
from workbench.measure.calibration import BinnedForecasts
from workbench.measure.discrimination import Auroc2Within
from workbench.measure.distance import minus
from workbench.measure.smooth_calibration import SmoothEce
from workbench.measure.weighted import CountStatistic, PointOnly, mean_of
from workbench.settings.defaults import BINS

BASE_RIGHT = "base answers right"
GRADES = "correct"
Codes = NDArray[np.int64]
Statistic = Callable[[Floats, Bools, Codes], CountStatistic]


@dataclass(frozen=True)
class Measure:
    """A measure: ``statistic`` of the readout ``readout``; ``gain``: minus that of the base model.
    ``says`` is how to read it; ``bound`` is where its figure has a second line besides zero.
    """

    readout: str
    statistic: Statistic
    says: str
    gain: bool = False
    bound: float | None = None

    @property
    def range(self) -> tuple[float, float]:
        """The range of possible values."""
        return (-1.0 if self.gain else 0.0, 1.0)


def _within(confidence: Floats, correct: Bools, codes: Codes) -> CountStatistic:
    return Auroc2Within(confidence, correct, codes)


def _ece(confidence: Floats, correct: Bools, codes: Codes) -> CountStatistic:
    return BinnedForecasts(confidence, correct, BINS).ece


def _smooth(confidence: Floats, correct: Bools, codes: Codes) -> CountStatistic:
    return PointOnly(SmoothEce(confidence, correct))


def _share(graded: Floats, correct: Bools, codes: Codes) -> CountStatistic:
    return mean_of(graded)


_AUROC2 = "AUROC2 within domain: 0.5 is chance, 1 tells every right answer from every wrong one."
_ECE = "Expected calibration error: 0 means that stated shares are met."
_SMOOTH = "Smooth calibration error: as ECE, without bins."
_ON = "Share of right answers given with the adapter on, where it acts on the whole conversation."
_GAIN = "The line minus the base model, by question:"

MEASURES: Mapping[str, Measure] = {
    "AUROC2 stated within": Measure(STATED, _within, _AUROC2, bound=0.5),
    "AUROC2 expected within": Measure(EXPECTED, _within, _AUROC2, bound=0.5),
    "ECE stated": Measure(STATED, _ece, _ECE),
    "ECE expected": Measure(EXPECTED, _ece, _ECE),
    "smooth ECE stated": Measure(STATED, _smooth, _SMOOTH),
    "smooth ECE expected": Measure(EXPECTED, _smooth, _SMOOTH),
    "gain AUROC2 stated within": Measure(
        STATED, _within, f"{_GAIN} above zero orders answers better.", gain=True
    ),
    "gain AUROC2 expected within": Measure(
        EXPECTED, _within, f"{_GAIN} above zero orders answers better.", gain=True
    ),
    "gain ECE stated": Measure(
        STATED, _ece, f"{_GAIN} below zero is better calibrated.", gain=True
    ),
    "gain ECE expected": Measure(
        EXPECTED, _ece, f"{_GAIN} below zero is better calibrated.", gain=True
    ),
    BASE_RIGHT: Measure(GRADES, _share, "Share of right answers of the base model."),
    "answers right adapter on": Measure(RIGHT, _share, _ON),
    "gain answers right": Measure(
        RIGHT, _share, f"{_GAIN} below zero, teaching cost right answers.", gain=True
    ),
}
"""Heading -> measure; AUROC2 is the mean within domain."""


def statistic_of(
    measure: Measure, table: pd.DataFrame, codes: Codes, condition: Condition
) -> CountStatistic | None:
    """Return the measure of one condition of the held-out ``table`` [n]; None where the condition
    does not have its readout.

    Args:
        codes: [n] domain of each question.
    """
    values, correct = _column(table, measure.readout, condition), table[GRADES].to_numpy(dtype=bool)
    if not measure.gain:
        return None if values is None else measure.statistic(values, correct, codes)
    base = _column(table, measure.readout, BEFORE)
    if values is None or base is None or condition == BEFORE:
        return None
    both = ~np.isnan(values) & ~np.isnan(base)
    if not both.any():
        return None
    own, other = (
        measure.statistic(np.where(both, each, np.nan), correct, codes) for each in (values, base)
    )
    return minus(own, other)


def _column(table: pd.DataFrame, readout: str, condition: Condition) -> Floats | None:
    """Return one condition's readout [n]; None where it has none."""
    graded = readout == GRADES or (readout == RIGHT and condition == BEFORE)
    name = GRADES if graded else f"{readout}_{condition.name}"
    values = table[name].to_numpy(dtype=np.float64) if name in table else None
    return None if values is None or np.isnan(values).all() else values
