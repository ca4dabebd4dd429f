"""Find the fixed map of the output at which the text would discriminate best.

The text writes one value of the scale. A *fixed* map is the same for every question: if some such
map makes the text tell right from wrong, the model's output already does, and nothing has to be
learned inside it. Compared, each fitted on training questions and judged on held-out ones:

- ``mode``: the most probable value. A temperature changes no argmax, so this is the text at every
  temperature, up to how a value of several tokens is written greedily.
- ``prior``: the average distribution is divided out, log p - log mean p, which undoes a ceiling
  that all questions share.
- ``part of the prior``: the same with a share of it, log p - s log mean p, s chosen.
- ``bias per value``: one number is added to the log-probability of each value, chosen by coordinate
  ascent on the AUROC2 within domain of what is then written.
- ``mean``: the distribution's mean is written, on a monotone map that uses the scale's values
  equally often. A monotone map of a number changes AUROC2 only where it joins values, so this is
  what any monotone map of the mean could reach.

Sign: values are written so that higher is surer. That no map of these helps does not show that the
distribution holds nothing: see :mod:`workbench.bottleneck.steps`, which reads all of its values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Bools, Floats
from workbench.elicit.readout import expected_confidence
from workbench.measure import auroc2_within

MODE, PRIOR, PART, BIAS, MEAN = MAPS = (
    "mode",
    "prior",
    "part of the prior",
    "bias per value",
    "mean",
)
SHARES = tuple(float(share) for share in np.linspace(0, 2, 21))
LEAST = 1e-12
SWEEPS, CANDIDATES, FOLDS = 3, 9, 5
WORTH = 0.002
"""The least gain in training AUROC2 for which a bias is moved."""


@dataclass(frozen=True, eq=False)
class Training:
    """What maps are fitted on: the distributions [n, values] of training questions, their grades
    and domains [n], and the scale's values.
    """

    distribution: Floats
    correct: Bools
    domain: np.ndarray
    values: Floats


WrittenBy = Callable[[Floats], Floats]
"""Distributions [n, values] -> the values [n] that are written."""


def fit_maps(training: Training) -> dict[str, WrittenBy]:
    """Fit every map of MAPS, by name."""
    scores, prior = log_of(training.distribution), log_of(training.distribution.mean(axis=0))
    measure = ValueDiscrimination(training)
    share = max(SHARES, key=lambda s: (measure((scores - s * prior).argmax(axis=1)), -s))
    biases = {
        MODE: np.zeros_like(prior),
        PRIOR: -prior,
        PART: -share * prior,
        BIAS: fit_bias(training, -share * prior),
    }
    found = {name: _biased(bias, training.values) for name, bias in biases.items()}
    return {**found, MEAN: _spread_mean(training)}


def best_map(training: Training) -> str:
    """Return the name of the map that discriminates best on training questions that it was not
    fitted on, each FOLDS-th of them in turn.
    """
    fold = np.arange(len(training.correct)) % FOLDS
    written = {name: np.zeros(len(fold)) for name in MAPS}
    for number in range(FOLDS):
        inside, outside = fold != number, fold == number
        fitted = fit_maps(
            replace(
                training,
                distribution=training.distribution[inside],
                correct=training.correct[inside],
                domain=training.domain[inside],
            )
        )
        for name, write in fitted.items():
            written[name][outside] = write(training.distribution[outside])
    return max(MAPS, key=lambda name: _discriminates(training, written[name]))


def log_of(distribution: Floats) -> Floats:
    """Return log-probabilities; what is never said has a very small one."""
    out: Floats = np.log(np.maximum(distribution, LEAST))
    return out


class ValueDiscrimination:
    """The AUROC2 within domain of written values, by their indices [n] in the scale; 1/2 where it
    is undefined.

    The ascent asks for it thousands of times of the same answers, so answers are counted by domain
    and value instead of being sorted anew. It equals :func:`workbench.measure.auroc2_within`.
    """

    def __init__(self, training: Training) -> None:
        values, rank = np.unique(training.values, return_inverse=True)
        names, code = np.unique(training.domain, return_inverse=True)
        self._rank, self._correct = rank, training.correct
        self._shape = (len(names), len(values))
        self._first = code * len(values)

    def __call__(self, written: NDArray[np.int64]) -> float:
        place = self._first + self._rank[written]
        right, wrong = (
            np.bincount(place[kind], minlength=self._shape[0] * self._shape[1]).reshape(self._shape)
            for kind in (self._correct, ~self._correct)
        )
        wins = (right * (np.cumsum(wrong, axis=1) - wrong / 2)).sum(axis=1)
        pairs = right.sum(axis=1) * wrong.sum(axis=1)
        known = pairs > 0
        return float(np.mean(wins[known] / pairs[known])) if known.any() else 0.5


def _discriminates(training: Training, written: Floats) -> float:
    found = auroc2_within(written, training.correct, training.domain)
    return 0.5 if np.isnan(found) else found


def fit_bias(training: Training, start: Floats) -> Floats:
    """Return the biases [values] that coordinate ascent reaches from ``start``.

    A value's bias is moved to where it takes over from the best other value in a share of the
    questions, CANDIDATES shares and none, if that is worth it.
    """
    measure = ValueDiscrimination(training)
    scores = log_of(training.distribution) + start
    best = measure(scores.argmax(axis=1))
    for _ in range(SWEEPS):
        before = best
        for value in _contenders(scores):
            others = np.delete(scores, value, axis=1).max(axis=1)
            needed = others - scores[:, value]
            moves = np.quantile(needed, np.linspace(0.05, 0.95, CANDIDATES))
            for move in (*moves, needed.min() - 1.0):
                moved = scores.copy()
                moved[:, value] += move
                reached = measure(moved.argmax(axis=1))
                if reached > best + WORTH:
                    best, scores = reached, moved
                    break
        if best == before:
            break
    out: Floats = (scores - log_of(training.distribution))[0]
    return out


def _contenders(scores: Floats) -> list[int]:
    """Return the values that are among any question's first four, most frequent first."""
    first = np.argsort(-scores, axis=1)[:, :4]
    values, counts = np.unique(first, return_counts=True)
    return [int(value) for value in values[np.argsort(-counts, kind="stable")]]


def _biased(bias: Floats, values: Floats) -> WrittenBy:
    def write(distribution: Floats) -> Floats:
        out: Floats = values[(log_of(distribution) + bias).argmax(axis=1)]
        return out

    return write


def _spread_mean(training: Training) -> WrittenBy:
    values = training.values
    scale = values.tolist()

    known = np.sort(expected_confidence(training.distribution, scale, 1.0))

    def write(distribution: Floats) -> Floats:
        rank = np.searchsorted(known, expected_confidence(distribution, scale, 1.0)) / len(known)
        out: Floats = values[np.minimum((rank * len(values)).astype(int), len(values) - 1)]
        return out

    return write
