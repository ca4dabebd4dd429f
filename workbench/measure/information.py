"""Measure in bits what a score tells of whether an answer is right.

Two numbers, because neither is enough alone:

- *mutual information* of the score, in at most ``bins`` groups of equal size, and the grade. It
  needs no model of how the score is to be read, and knows nothing of domains. The plug-in value is
  too large by about (groups - 1) / (2 n ln 2) bits; that is subtracted (Miller and Madow 1955), so
  a score that tells nothing is around 0 and may be below.
- *information gain*: how much shorter the grades' code becomes, bits per answer, when a forecast
  from score and domain replaces the domain's base rate. Both forecasts are fitted on training
  questions (a logistic regression on the base rate's log-odds, with and without the score) and
  judged on held-out ones, so knowing which domains are hard earns nothing, and a score that tells
  nothing costs a little.

Sign: more bits, more is known; at most the entropy of the grades, 1 bit. Intervals: mutual
information from the variance of its pointwise terms plus that of the subtracted bias; the gain from
the paired bootstrap over held-out questions. What the bits do not show: a gain is what *this*
reading of the score finds; one that is high for the wrong reasons on some answers may hold more.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import LogisticRegression

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.measure.bootstrap import Bootstrap, bootstrap_counts
from workbench.measure.equal_groups import GROUPS, equal_groups
from workbench.measure.inputs import checked, checked_domain
from workbench.measure.interval import Estimate
from workbench.measure.log_score import CLIP, surprise
from workbench.measure.meta_information import Bits
from workbench.measure.weighted import mean_of
from workbench.settings.defaults import LEVEL

PRIOR = 2.0
"""Answers at the overall base rate that are added to each domain's, so that none is 0 or 1."""


def mutual_information(
    score: ArrayLike, correct: ArrayLike, *, bins: int = GROUPS, level: float = LEVEL
) -> Estimate:
    """Return the mutual information in bits of ``score`` [n] and ``correct`` [n], bias corrected.

    A missing score (NaN) is a group of its own: that a reply cannot be parsed may tell something.
    """
    scores, labels = checked(score, correct)
    n = len(labels)
    bits, everyone = Bits(equal_groups(scores, bins), labels), np.ones((1, n))
    return Estimate(float(bits(everyone)[0]), *bits.bounds(everyone, level), n)


def information_gains(
    training: ArrayLike,
    training_correct: ArrayLike,
    training_domain: ArrayLike,
    score: ArrayLike,
    correct: ArrayLike,
    domain: ArrayLike,
) -> Floats:
    """Return the bits that the score saves over the domain's base rate, per held-out answer [n].

    Args:
        training: [m] scores of training questions; where they come from something fitted on these,
            they must be out of fold. NaN, as in ``score`` [n], is a reply that states nothing.

    Raises:
        WorkbenchError: where the training answers are all right or all wrong.
    """
    fitted, right = checked(training, training_correct)
    scores, labels = checked(score, correct)
    if right.all() or not right.any():
        raise WorkbenchError(
            "the training answers are all right or all wrong, so no forecast can be fitted; ask "
            "more questions"
        )
    known_domains = np.asarray(training_domain)
    checked_domain(known_domains, len(fitted))
    checked_domain(domain, len(scores))
    odds = base_rate_odds(known_domains, right, known_domains)
    held_out = base_rate_odds(known_domains, right, np.asarray(domain))
    before = _forecast(odds[:, None], right, held_out[:, None])
    scale = _Scale(fitted)
    after = _forecast(
        np.column_stack([odds, scale(fitted)]), right, np.column_stack([held_out, scale(scores)])
    )
    saved: Floats = surprise(before, labels, CLIP) - surprise(after, labels, CLIP)
    return saved / np.log(2)


def base_rate_odds(training_domain: np.ndarray, right: Bools, domain: np.ndarray) -> Floats:
    """Return the log-odds of the base rate of each question's domain among the training questions,
    drawn towards the overall one.
    """
    overall = float(right.mean())
    rates = {
        str(name): (right[training_domain == name].sum() + PRIOR * overall)
        / ((training_domain == name).sum() + PRIOR)
        for name in np.unique(training_domain)
    }
    rate = np.array([rates.get(str(name), overall) for name in domain], dtype=np.float64)
    return np.log(rate) - np.log1p(-rate)


class _Scale:
    """The score as a logistic regression takes it: standardised, with a column for missing ones if
    there are any in training.
    """

    def __init__(self, training: Floats) -> None:
        known = ~np.isnan(training)
        self._mean = float(training[known].mean()) if known.any() else 0.0
        spread = float(training[known].std()) if known.any() else 0.0
        self._spread = spread if spread > 0 else 1.0
        self._some_missing = not known.all()

    def __call__(self, scores: Floats) -> Floats:
        missing = np.isnan(scores)
        columns = [np.where(missing, 0.0, (scores - self._mean) / self._spread)]
        if self._some_missing:
            columns.append(missing.astype(np.float64))
        return np.column_stack(columns)


def _forecast(training: Floats, right: Bools, features: Floats) -> Floats:
    fitted = LogisticRegression(C=1.0, max_iter=1000).fit(training, right)
    found: Floats = fitted.predict_proba(features)[:, 1]
    return found


def mean_gain(gains: Floats, draw: Bootstrap) -> Estimate:
    """Return the mean of gains, or of paired differences of gains, [n] with its interval."""
    return bootstrap_counts({"gain": mean_of(gains)}, len(gains), **draw.options)["gain"]
