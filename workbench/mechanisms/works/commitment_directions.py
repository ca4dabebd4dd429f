"""Measure the angle between the directions of two quantities in hidden states, freed of noise.

A direction is the covariance of a target with the states, whitened by their principal components on
the same questions and centred within domain: the cosine of two of them is the correlation that the
two linear readouts have over questions. Directions fitted on few questions in many dimensions are
mostly noise, and noise is orthogonal to everything, so that a small cosine by itself shows nothing.
Products of two directions are therefore summed over pairs of different questions, which noise does
not move, and the *corrected* cosine divides by the lengths that are left. ``signal`` is the share
of a direction's squared length that is left: surely above 0 where the states tell the target at
all. Beside it stand the cosines of shuffled targets.

Sign: positive where states that tell more of one tell more of the other. Intervals are the
jackknife's over questions. Nothing here shows that the model reads either direction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from workbench.arrays import Floats, Rows
from workbench.measure.interval import Estimate, summarise_null
from workbench.measure.within_groups import centre_within, shuffle_rows_within
from workbench.mechanisms.outcomes import Estimates
from workbench.settings.defaults import LEVEL

SHUFFLES = 200
MOST_COMPONENTS = 32
QUESTIONS_EACH = 8
"""Questions for each principal component that is kept."""


@dataclass(frozen=True, eq=False)
class Directions:
    """The angle of two directions.

    Attributes:
        cosine: as fitted.
        corrected: freed of noise.
        first_signal, second_signal: shares of the squared lengths that are no noise.
        shuffled: the cosine for shuffled targets, and where 95 % of them lie.
    """

    cosine: Estimate
    corrected: Estimate
    first_signal: Estimate
    second_signal: Estimate
    shuffled: Estimate


def whiten(states: Floats, codes: Rows) -> Floats:
    """Return the first principal components [n, k] of ``states`` [n, width] within domain, each of
    variance one.
    """
    left, _, _ = np.linalg.svd(centre_within(states, codes), full_matrices=False)
    kept = max(2, min(MOST_COMPONENTS, len(states) // QUESTIONS_EACH, left.shape[1]))
    return np.asarray(left[:, :kept] * np.sqrt(len(states)))


def measure_angle(
    whitened: Floats, first: Floats, second: Floats, codes: Rows, seed: int
) -> Directions:
    """Measure the angle between the directions of ``first`` [n] and ``second`` [n] in ``whitened``
    states [n, k], all within domain.
    """
    pair = [_unit(centre_within(each, codes)) for each in (first, second)]
    n, domains = len(codes), len(np.unique(codes))
    products = np.stack([whitened * target[:, None] for target in pair])
    # Taking domain means out takes as much of each question's own part with it.
    own = np.stack(
        [(products[a] * products[b]).sum(axis=1) for a, b in ((0, 1), (0, 0), (1, 1))]
    ) * (n / (n - domains))
    whole = products.sum(axis=1)
    values = _angles(whole, own.sum(axis=1))
    without = _angles(whole[:, None] - products, own.sum(axis=1)[:, None] - own)
    cosine, corrected, one_signal, other_signal = (
        _jackknife(float(value), left_out, n)
        for value, left_out in zip(values, without, strict=True)
    )
    rng, mixed = np.random.default_rng(seed), []
    for _ in range(SHUFFLES):
        one, other = (whitened.T @ target[shuffle_rows_within(codes, rng)] for target in pair)
        mixed.append(_cosine(one, other))
    return Directions(cosine, corrected, one_signal, other_signal, summarise_null(mixed, n))


def _cosine(one: Floats, other: Floats) -> float:
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    return float(one @ other / lengths) if lengths > 0 else 0.0


def _unit(values: Floats) -> Floats:
    spread = values.std()
    return np.asarray(values / spread) if spread > 0 else values


def _angles(whole: Floats, own: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return cosine, corrected cosine and the two signals [...] of two directions ``whole`` [2,
    ..., k], of whose three products single questions add ``own`` [3, ...].
    """
    one, other = whole
    product, first, second = (
        (a * b).sum(axis=-1) for a, b in ((one, other), (one, one), (other, other))
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = product / np.sqrt(first * second)
        freed = (product - own[0]) / np.sqrt((first - own[1]) * (second - own[2]))
        return cosine, freed, (first - own[1]) / first, (second - own[2]) / second


def _jackknife(value: float, without: Floats, n: int) -> Estimate:
    known = without[~np.isnan(without)]
    if np.isnan(value) or len(known) < n:
        return Estimate(value, float("nan"), float("nan"), n)
    error = np.sqrt((n - 1) / n * ((known - known.mean()) ** 2).sum())
    half = float(norm.ppf((1 + LEVEL) / 2) * error)
    return Estimate(value, value - half, value + half, n)


@dataclass(frozen=True)
class StatesLaw:
    """How a simulated world makes states: two directions of them at a ``cosine`` tell the two
    targets, each with noise as large as the signal.
    """

    cosine: float = 0.0


WIDTH = 12


def simulate_states(rng: np.random.Generator, questions: int, *, law: StatesLaw) -> Estimates:
    """Draw the states of one world and measure the angle."""
    states = rng.standard_normal((questions, WIDTH))
    along = law.cosine * states[:, 0] + np.sqrt(1 - law.cosine**2) * states[:, 1]
    commit, correct = states[:, 0], along
    codes = np.zeros(questions, dtype=np.int64)
    noise = rng.standard_normal((2, questions))
    return angle_quantities(
        measure_angle(
            whiten(states, codes),
            commit + noise[0],
            (correct + noise[1] > 0).astype(np.float64),
            codes,
            0,
        )
    )


def angle_quantities(angle: Directions) -> dict[str, Estimate]:
    """Return the quantities of the angle between commitment and correctness."""
    return {
        "cosine": angle.cosine,
        "cosine_corrected": angle.corrected,
        "commit_signal": angle.first_signal,
        "correct_signal": angle.second_signal,
        "cosine_shuffled": angle.shuffled,
    }
