"""Compare directions of a residual stream, in the space itself and by what they read of its states,
and say where a number lies among those of random directions.

A direction is used in two ways that must not be mixed up (Haufe et al. 2014). As a *filter* w it
reads states, x . w; its entries also cancel what it must not read. As a *pattern* it is what
changes in the states when the reading rises: the covariance of states and reading, S w. Two filters
are compared by their cosine in the space, which is ruled by the axes along which states hardly
vary, and in the metric of the covariance S of states: w' S v / sqrt(w' S w v' S v), the correlation
of the two readings over questions. There a filter and its pattern are one vector. Sign: positive
where both readings rise together.

The number of a direction means nothing alone: states vary along few axes, and whatever follows
these agrees. So the same number is taken of random directions: *isotropic* ones; ones drawn with
the covariance of the states, which are random mixtures of the questions' deviations; and probes
fitted with the same penalty to grades shuffled within domain, which share all that the fit and the
domains' difficulty bring about. No number here depends on a direction's length. A band is of one
number at one layer; over many layers one in twenty lies outside its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError

LEVEL = 0.95
INDEPENDENT = 1e-9
"""Smallest singular value of rows, as a share of the largest, that counts."""


@dataclass(frozen=True)
class RandomRange:
    """The range of a number over random directions: ``low`` and ``high`` bound the middle LEVEL of
    them; ``p`` is the share of them that lies as far out as the observed one, on both sides.
    """

    low: float
    high: float
    p: float


def range_of(observed: float, drawn: Floats) -> RandomRange:
    """Return the range of the ``drawn`` numbers [draws] and where the ``observed`` one lies.

    The observed one is counted among the drawn, so p is never below 1 / (draws + 1).
    """
    if np.isnan(observed) or np.isnan(drawn).any():
        return RandomRange(float("nan"), float("nan"), float("nan"))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    tails = [1 + int((drawn <= observed).sum()), 1 + int((drawn >= observed).sum())]
    return RandomRange(float(low), float(high), min(1.0, 2 * min(tails) / (len(drawn) + 1)))


def deviations_of(states: Floats) -> Floats:
    """Return states [questions, width] less their mean, float64, divided so that the product of the
    result with itself is their covariance.

    Raises:
        WorkbenchError: for fewer than three questions, and states that are not finite.
    """
    wide = np.asarray(states, dtype=np.float64)
    if wide.ndim != 2 or len(wide) < 3:
        raise WorkbenchError(
            f"directions are compared over the states [questions, width] of at least three "
            f"questions; got {list(wide.shape)}"
        )
    if not np.isfinite(wide).all():
        raise WorkbenchError(
            "a state is not finite; trace in float32 or bfloat16, or drop that question"
        )
    deviations: Floats = (wide - wide.mean(axis=0)) / np.sqrt(len(wide))
    return deviations


def readings(filters: Floats, deviations: Floats) -> Floats:
    """Return what ``filters`` [..., width] read of each question, [..., questions]. Inner products
    of readings are those of filters in the metric of the covariance.
    """
    found: Floats = filters @ deviations.T
    return found


def patterns(filters: Floats, deviations: Floats) -> Floats:
    """Return the pattern of each of ``filters`` [..., width]: the covariance of states and
    reading.
    """
    found: Floats = readings(filters, deviations) @ deviations
    return found


def cosines(vectors: Floats, other: Floats) -> Floats:
    """Return the cosine of each of ``vectors`` [..., k] with ``other`` [k]; NaN where one is
    zero.
    """
    sizes = np.linalg.norm(vectors, axis=-1) * np.linalg.norm(other)
    return _ratio(vectors @ other, sizes)


def span_of(rows: Floats) -> Floats:
    """Return an orthonormal basis [rank, k] of the span of ``rows`` [n, k]."""
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    basis: Floats = axes[sizes > INDEPENDENT * sizes[0]] if sizes[0] > 0 else axes[:0]
    return basis


def shares_within(vectors: Floats, basis: Floats) -> Floats:
    """Return the share of the squared length of each of ``vectors`` [..., k] that lies in the span
    of an orthonormal ``basis`` [rank, k]; NaN for a zero vector.

    Of readings it is the share of their variance that a linear map of the basis's readings gives.
    """
    inside = np.square(vectors @ basis.T).sum(axis=-1)
    return _ratio(inside, np.square(vectors).sum(axis=-1))


def draw_isotropic(count: int, width: int, seed: int) -> Floats:
    """Draw ``count`` directions [count, width] without a preferred axis."""
    return np.random.default_rng([seed, 0]).standard_normal((count, width))


def draw_with_covariance(count: int, deviations: Floats, seed: int) -> Floats:
    """Draw ``count`` directions [count, width] with the covariance of states, from their
    ``deviations`` [questions, width].
    """
    draws = np.random.default_rng([seed, 1]).standard_normal((count, len(deviations)))
    found: Floats = draws @ deviations
    return found


def draw_shuffled_probes(
    count: int,
    states: Floats,
    correct: Bools,
    domain: np.ndarray,
    inverse_penalty: float,
    seed: int,
) -> Floats:
    """Draw the filters [count, width] of probes of grades shuffled within ``domain`` [questions],
    from the ``states`` [questions, width] and grades ``correct`` [questions] of a probe fitted with
    ``inverse_penalty``.

    Each is the first Newton step of the logistic regression on standardised states, from the share
    of right answers: with strong penalties, as probes have, it points where the fit does.

    Raises:
        WorkbenchError: for grades of one kind only.
    """
    rng = np.random.default_rng([seed, 2])
    labels = np.tile(np.asarray(correct, dtype=np.float64), (count, 1))
    for name in np.unique(domain):
        labels[:, domain == name] = rng.permuted(labels[:, domain == name], axis=1)
    return newton_probes(states, labels, inverse_penalty)


def newton_probes(states: Floats, labels: Floats, inverse_penalty: float) -> Floats:
    """Return the first Newton step [n, width] of a probe of each of ``labels`` [n, questions], as a
    filter of the ``states`` [questions, width] as they are.

    Raises:
        WorkbenchError: for labels of one kind only.
    """
    share = labels.mean(axis=1, keepdims=True)
    weight = float((share * (1 - share)).mean())
    if weight <= 0:
        raise WorkbenchError("a probe needs right and wrong answers; all grades are the same")
    deviations = np.asarray(states, dtype=np.float64) - np.mean(states, axis=0, dtype=np.float64)
    scale = deviations.std(axis=0)
    scale[scale == 0] = 1.0
    standardised = deviations / scale
    gram = standardised @ standardised.T
    gram[np.diag_indices_from(gram)] += 1 / (inverse_penalty * weight)
    found: Floats = solve(gram, ((labels - share) / weight).T, assume_a="pos").T
    filters: Floats = found @ standardised / scale
    return filters


def _ratio(above: Floats, below: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(below > 0, above / below, np.nan)
    return found
