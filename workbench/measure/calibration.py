"""Measure calibration: of the answers given with probability p, is a share p right?

Forecasts lie on 0-1 and are judged against 0/1 correctness. Binned measures use equal-width
half-open bins with a closed last one, so that a forecast of exactly 1 counts; bins of equal mass
are the option for forecasts that crowd. Equal forecasts always share a bin, so on a stated scale of
few values there are fewer such bins than asked for. ECE = sum over bins of |sum (p - y)| / n. Brier
= mean (p - y)^2. The decomposition (Murphy 1973) reliability - resolution + uncertainty equals the
Brier score of the BINNED forecasts, each replaced by its bin's mean; it differs from ``brier`` by
the spread of p inside bins. Low reliability is good, high resolution is good. ECE alone is not
enough: a constant forecast at the base rate has ECE 0 and tells nothing. ECE also depends on the
bins (:mod:`workbench.measure.smooth_calibration` does not). NaN forecasts (unparsed replies) are
skipped everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.measure.distance import Distance
from workbench.measure.edges import at_least, bin_index
from workbench.measure.inputs import checked_probability
from workbench.measure.shares import wilson_interval
from workbench.measure.weighted import Latest, once, ratio
from workbench.settings.defaults import BINS, LEVEL

Binning = Literal["width", "mass"]
_MATRIX_CELLS = 500_000


def ece(
    probability: ArrayLike, correct: ArrayLike, *, bins: int = BINS, binning: Binning = "width"
) -> float:
    """Return the expected calibration error of ``probability`` [n] over ``bins`` bins of equal
    width or mass; NaN with no forecast.
    """
    return once(
        BinnedForecasts(*checked_probability(probability, correct), bins, binning).ece, probability
    )


def top_label(
    probability: ArrayLike, correct: ArrayLike, *, drop_certain: bool = False
) -> tuple[Floats, Bools]:
    """Read the forecast as a two-way decision; return the confidence max(p, 1 - p) [n] in it, and
    whether it was right [n].

    ECE of these is the top-label ECE of Kapoor et al. 2024 (arXiv 2406.08391); a forecast of .5
    decides for "right". Forecasts p and 1 - p share a bin there, so the errors of the two sides can
    cancel: it may be far below ECE. ``drop_certain`` leaves out confidence 1 (NaN), as their
    half-open bins do.
    """
    scores, labels = checked_probability(probability, correct)
    confidence = np.maximum(scores, 1 - scores)
    hit = at_least(scores, 0.5) == labels
    return (
        np.where(at_least(confidence, 1), np.nan, confidence) if drop_certain else confidence
    ), hit


def brier(probability: ArrayLike, correct: ArrayLike) -> float:
    """Return the mean squared difference between ``probability`` [n] and ``correct`` [n]; NaN with
    no parsed forecast.
    """
    return once(Brier(*checked_probability(probability, correct)), probability)


@dataclass(frozen=True)
class BrierDecomposition:
    """Murphy's terms of the binned forecasts: their Brier score is reliability - resolution +
    uncertainty.
    """

    reliability: float
    resolution: float
    uncertainty: float

    @property
    def binned_brier(self) -> float:
        """The Brier score of the forecasts after each was replaced by the mean of its bin."""
        return self.reliability - self.resolution + self.uncertainty


def brier_decomposition(
    probability: ArrayLike, correct: ArrayLike, *, bins: int = BINS
) -> BrierDecomposition:
    """Return reliability, resolution and uncertainty of ``probability`` [n] in ``bins`` equal-width
    bins.
    """
    forecasts = BinnedForecasts(*checked_probability(probability, correct), bins)
    terms = (forecasts.reliability, forecasts.resolution, forecasts.uncertainty)
    return BrierDecomposition(*(once(term, probability) for term in terms))


@dataclass(frozen=True)
class ReliabilityBins:
    """A reliability diagram: per bin [b] the mean forecast, accuracy, count and the accuracy's
    Wilson interval.

    ``edges`` [b + 1]; an empty bin has count 0 and NaN elsewhere.
    """

    edges: Floats
    mean_probability: Floats
    accuracy: Floats
    count: NDArray[np.int64]
    low: Floats
    high: Floats

    def __post_init__(self) -> None:
        shape = (len(self.edges) - 1,)
        for name in ("mean_probability", "accuracy", "count", "low", "high"):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} has shape {getattr(self, name).shape}, the edges ask for {shape}"
                )


def reliability_bins(
    probability: ArrayLike, correct: ArrayLike, *, bins: int = BINS, level: float = LEVEL
) -> ReliabilityBins:
    """Bin ``probability`` [n] (NaN skipped) and compare each bin's mean with its accuracy."""
    scores, labels = checked_probability(probability, correct)
    parsed = ~np.isnan(scores)
    index = bin_index(scores[parsed], bins)
    count = np.bincount(index, minlength=bins)
    total = np.bincount(index, weights=scores[parsed], minlength=bins)
    right = np.bincount(index, weights=labels[parsed].astype(np.float64), minlength=bins)
    empty = np.full(bins, np.nan)
    low, high = wilson_interval(right, count, level=level)
    return ReliabilityBins(
        edges=np.linspace(0.0, 1.0, bins + 1),
        mean_probability=np.divide(total, count, out=empty.copy(), where=count > 0),
        accuracy=np.divide(right, count, out=empty.copy(), where=count > 0),
        count=count.astype(np.int64),
        low=low,
        high=high,
    )


def mass_index(probability: Floats, multiplicity: Floats, bins: int) -> NDArray[np.int64]:
    """Return the equal-mass bin of each forecast: where the middle of its value's ranks falls among
    ``bins`` equal parts.

    Raises:
        WorkbenchError: for fewer than one bin.
    """
    if bins < 1:
        raise WorkbenchError(f"a reliability diagram needs at least one bin; got {bins}")
    values, inverse = np.unique(probability, return_inverse=True)
    mass = np.bincount(inverse, multiplicity, minlength=len(values))
    middle = (np.cumsum(mass) - mass / 2) / max(mass.sum(), 1)
    return np.minimum((middle * bins).astype(np.int64), bins - 1)[inverse]


class Brier:
    """The Brier score of fixed forecasts, as a function of how often each question is counted: [r,
    n] -> [r].
    """

    def __init__(self, probability: Floats, correct: Bools) -> None:
        self._parsed = (~np.isnan(probability)).astype(np.float64)
        self._loss = np.where(np.isnan(probability), 0.0, (probability - correct) ** 2)

    def __call__(self, counts: Floats) -> Floats:
        return ratio(counts @ self._loss, counts @ self._parsed)


class BinnedForecasts:
    """The binned measures of fixed forecasts; each maps counts [r, n] to values [r].

    ``multiplicity`` [n] (default ones) places the edges of equal-mass bins; they do not change with
    the counts.
    """

    def __init__(
        self,
        probability: Floats,
        correct: Bools,
        bins: int,
        binning: Binning = "width",
        multiplicity: Floats | None = None,
    ) -> None:
        parsed = ~np.isnan(probability)
        scores = np.where(parsed, probability, 0.0)
        index = np.zeros(len(scores), dtype=np.int64)
        if binning == "width":
            index[parsed] = bin_index(scores[parsed], bins)
        else:
            weight = np.ones(len(scores)) if multiplicity is None else multiplicity
            index[parsed] = mass_index(scores[parsed], weight[parsed], bins)
        self._bins, self._index = bins, index
        self._columns = [
            weight * parsed for weight in (np.ones(len(scores)), scores, correct.astype(np.float64))
        ]
        # One matrix product serves many resamples; its [n, bins] matrices would fill the memory for
        # a million answers.
        small = len(scores) * bins <= _MATRIX_CELLS
        self._matrices = (
            [np.eye(bins)[index] * column[:, None] for column in self._columns] if small else None
        )
        self._sums = Latest(self._sum)

        self.ece = Distance(self._errors)
        self.ece_debiased = Distance(self._errors, debias=True)
        self.reliability = Distance(self._scaled_errors, 2)
        self.resolution = Distance(self._scaled_departures, 2)

    def _errors(self, counts: Floats) -> Floats:
        """Return forecasts minus right answers per bin, as a share of all answers: [r, bins]."""
        n, forecast, right = self._sums(counts)
        return _over(forecast - right, n.sum(axis=1, keepdims=True))

    def _scaled_errors(self, counts: Floats) -> Floats:
        """Return errors per bin whose squares add up to the reliability: [r, bins]."""
        n, forecast, right = self._sums(counts)
        return _rooted(forecast - right, n)

    def _scaled_departures(self, counts: Floats) -> Floats:
        """Return departures of a bin's accuracy from that of all, whose squares add up to the
        resolution: [r, bins].
        """
        n, _, right = self._sums(counts)
        base = ratio(right.sum(axis=1), n.sum(axis=1))[:, None]
        return _rooted(right - n * base, n)

    def uncertainty(self, counts: Floats) -> Floats:
        n, _, right = self._sums(counts)
        base = ratio(right.sum(axis=1), n.sum(axis=1))
        return base * (1 - base)

    def _sum(self, counts: Floats) -> tuple[Floats, ...]:
        """Return the number of answers, the sum of forecasts and right answers per bin, each [r,
        bins].
        """
        if self._matrices is not None:
            return tuple(counts @ matrix for matrix in self._matrices)
        by_row = [
            [np.bincount(self._index, row * c, minlength=self._bins) for row in counts]
            for c in self._columns
        ]
        return tuple(np.array(sums, dtype=np.float64) for sums in by_row)


def _over(values: Floats, total: Floats) -> Floats:
    """Return ``values`` [r, k] over ``total`` [r, 1]; NaN where that is zero."""
    return np.divide(values, total, out=np.full_like(values, np.nan), where=total > 0)


def _rooted(values: Floats, n: Floats) -> Floats:
    """Return ``values`` [r, bins] over the root of the bin's and all answers; zero in empty bins,
    NaN without answers.
    """
    all_answers = n.sum(axis=1, keepdims=True)
    weight = np.sqrt(n * all_answers)
    found = np.divide(values, weight, out=np.zeros_like(values), where=weight > 0)
    return np.where(all_answers > 0, found, np.nan)
