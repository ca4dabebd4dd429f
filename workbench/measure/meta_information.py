"""Measure in bits what a confidence tells of its own answers: meta-I (Dayan 2023) and its two
normalised forms.

*meta-I* is the mutual information of confidence and correctness. It asks for no model of how the
confidence is to be read, so an upside-down confidence has as many bits as an upright one; it grows
with the steps of the confidence that tell something. The plug-in value is too large by about
(groups - 1) / (2 n ln 2) bits, which is taken off (Miller and Madow 1955): a confidence that tells
nothing lies around 0 and may be below.

*meta-I2r* is meta-I over the entropy of correctness: 1 where the confidence settles which answers
are right, whatever their share. *meta-I1r* is meta-I over what a two-choice observer with normal
noise and this accuracy would have if its confidence were the whole of its evidence; it can exceed
1. The observer has two equally likely choices, so for open questions that denominator is a
yardstick that depends on accuracy alone, not a bound, and it is undefined at an accuracy of one
half or less.

Intervals are normal ones from the variance of the pointwise terms plus that of the bias taken off:
resampling would lengthen the bits by the same bias again. Of a ratio it is Fieller's, for the
accuracy below the line is estimated too. There is none where fewer than five answers stand apart
from the largest group, or where the line below may be 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import entr
from scipy.stats import norm

from workbench.arrays import Bools, Floats
from workbench.measure.equal_groups import GROUPS, equal_groups
from workbench.measure.inputs import checked
from workbench.measure.interval import Estimate
from workbench.measure.weighted import FEWEST, OwnBounds, ratio
from workbench.settings.defaults import LEVEL

_GRID = np.linspace(-12.0, 12.0, 4801)


@dataclass(frozen=True)
class MetaInformation:
    """What a confidence tells of its answers: ``bits`` (meta-I), ``of_entropy`` (meta-I2r) and
    ``of_normal`` (meta-I1r of an unbiased two-choice observer with the same accuracy).
    """

    bits: Estimate
    of_entropy: Estimate
    of_normal: Estimate


def meta_information(
    confidence: ArrayLike, correct: ArrayLike, *, groups: int = GROUPS, level: float = LEVEL
) -> MetaInformation:
    """Return meta-I of ``confidence`` [n] (any scale, NaN skipped) and ``correct`` [n], in at most
    ``groups`` groups of confidence.
    """
    scores, labels = checked(confidence, correct)
    known = ~np.isnan(scores)
    scores, labels, n = scores[known], labels[known], int(known.sum())
    counted = Bits(equal_groups(scores, groups), labels)
    everyone = np.ones((1, n))
    found = [
        Estimate(float(each(everyone)[0]), *each.bounds(everyone, level), n)
        for each in (counted, BitsOver(counted, entropy), BitsOver(counted, normal_information))
    ]
    return MetaInformation(*found)


class Bits(OwnBounds):
    """The mutual information of ``group`` [c] and ``correct`` [c] in bits, less its bias, as a
    function of counts: [r, c] -> [r].
    """

    def __init__(self, group: np.ndarray, correct: Bools) -> None:
        self._cell = group * 2 + correct
        self._size = 2 * (int(group.max(initial=-1)) + 1)

    def joint(self, counts: Floats) -> Floats:
        """Return how often each group holds a wrong and a right answer: [r, groups, 2]."""
        rows, size = len(counts), self._size
        at = (self._cell + np.arange(rows)[:, None] * size).ravel()
        cells = np.bincount(at, counts.ravel(), minlength=rows * size)
        return cells.astype(np.float64).reshape(rows, size // 2, 2)

    def __call__(self, counts: Floats) -> Floats:
        joint = self.joint(counts)
        n = joint.sum(axis=(1, 2))
        return ratio((joint * pointwise(joint)).sum(axis=(1, 2)), n) - ratio(
            freedom(joint), 2 * n * np.log(2)
        )

    def bounds(self, counts: Floats, level: float) -> tuple[float, float]:
        joint, value = self.joint(counts), float(self(counts)[0])
        if not _enough(value, joint):
            return float("nan"), float("nan")
        half = float(norm.ppf((1 + level) / 2)) * _bits_variance(joint) ** 0.5
        return value - half, value + half


class BitsOver(OwnBounds):
    """The quotient of :class:`Bits` and a ``whole`` of the accuracy ([r] -> [r], in bits), as a
    function of counts: [r, c] -> [r].
    """

    def __init__(self, bits: Bits, whole: Callable[[Floats], Floats]) -> None:
        self._bits, self._whole = bits, whole

    def __call__(self, counts: Floats) -> Floats:
        return ratio(self._bits(counts), self._whole(_accuracy(self._bits.joint(counts))))

    def bounds(self, counts: Floats, level: float) -> tuple[float, float]:
        joint = self._bits.joint(counts)
        accuracy, value, step = _accuracy(joint), float(self(counts)[0]), 1e-5
        if not _enough(value, joint):
            return float("nan"), float("nan")
        whole = float(self._whole(accuracy)[0])
        slope = float((self._whole(accuracy + step) - self._whole(accuracy - step))[0]) / (2 * step)
        # An answer moves the bits by its pointwise term and the whole by its grade's.
        grade = slope * (np.array([0.0, 1.0]) - accuracy[:, None])[:, None, :]
        return _ratio_bounds(value, joint, grade, whole, level)


def _enough(value: float, joint: Floats) -> bool:
    n, most = float(joint.sum()), float(joint.sum(axis=2).max(initial=0))
    return bool(np.isfinite(value)) and n - most >= FEWEST


def _bits_variance(joint: Floats) -> float:
    """Return the variance of the corrected bits of ``joint`` [1, g, 2]."""
    n = float(joint.sum())
    return _covariance(joint, pointwise(joint), pointwise(joint)) + float(freedom(joint)[0]) / (
        2 * (n * np.log(2)) ** 2
    )


def _covariance(joint: Floats, first: Floats, second: Floats) -> float:
    """Return the covariance of the means of two terms of each answer."""
    n = float(joint.sum())
    product = float((joint * first * second).sum()) / n
    means = float((joint * first).sum()) * float((joint * second).sum()) / n**2
    return (product - means) / n


def _ratio_bounds(
    value: float, joint: Floats, grade: Floats, whole: float, level: float
) -> tuple[float, float]:
    """Return Fieller's interval of the bits over the ``whole``: every quotient q for which bits
    less q times the whole is no farther from 0 than noise takes it.
    """
    z2 = float(norm.ppf((1 + level) / 2)) ** 2
    of_whole = whole**2 - z2 * _covariance(joint, grade, grade)
    between = value * whole**2 - z2 * _covariance(joint, pointwise(joint), grade)
    of_bits = (value * whole) ** 2 - z2 * _bits_variance(joint)
    inside = between**2 - of_whole * of_bits
    # The whole itself may be 0: any quotient would do.
    if of_whole <= 0 or inside < 0:
        return float("nan"), float("nan")
    low, high = ((between + sign * np.sqrt(inside)) / of_whole for sign in (-1, 1))
    return float(low), float(high)


def pointwise(joint: Floats) -> Floats:
    """Return log2 of how much more often each cell of ``joint`` [r, g, 2] was seen than its margins
    say; 0 where it was not seen.
    """
    n = joint.sum(axis=(1, 2), keepdims=True)
    expected = joint.sum(axis=2, keepdims=True) * joint.sum(axis=1, keepdims=True)
    seen = joint > 0
    share = np.divide(joint * n, expected, out=np.ones_like(joint), where=seen)
    return np.asarray(np.log2(share))


def freedom(joint: Floats) -> Floats:
    """Return the degrees of freedom [r] of independence: (groups - 1) (grades - 1), of those that
    were seen.
    """
    groups = (joint.sum(axis=2) > 0).sum(axis=1)
    grades = (joint.sum(axis=1) > 0).sum(axis=1)
    return np.asarray((groups - 1) * (grades - 1), dtype=np.float64)


def _accuracy(joint: Floats) -> Floats:
    return ratio(joint[:, :, 1].sum(axis=1), joint.sum(axis=(1, 2)))


def entropy(accuracy: Floats) -> Floats:
    """Return the entropy in bits of right and wrong at ``accuracy`` [r]."""
    return np.asarray((entr(accuracy) + entr(1 - accuracy)) / np.log(2), dtype=np.float64)


def normal_information(accuracy: Floats) -> Floats:
    """Return meta-I in bits of an unbiased two-choice observer with normal noise whose choices have
    this ``accuracy`` [r] and whose confidence is all of its evidence; 0 at one half or less.
    """
    able = np.clip(accuracy, 0.5, 1 - 1e-12)
    half = norm.ppf(able)[:, None]
    evidence = (norm.pdf(_GRID - half) + norm.pdf(_GRID + half)) / 2
    right = 1 / (1 + np.exp(-2 * half * np.abs(_GRID)))
    left = np.trapezoid(evidence * entropy(right), _GRID, axis=1)
    return np.asarray(np.maximum(entropy(able) - left, 0.0), dtype=np.float64)
