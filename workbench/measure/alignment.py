"""Measure confidence-probability alignment (Kumar et al. 2024, arXiv 2405.16282): does stated
confidence rise with internal confidence?

rho is Spearman's, tie-corrected: the Pearson correlation of mid-ranks, which a stated scale of six
steps needs. Its interval is a bootstrap over questions with ranks taken anew in every resample. rho
is NaN when either side is constant. Four cells: both sides are cut into high and low, at the median
(high: at or above it) or at the top step (high: the largest value). consistent = both high;
internal_over = internal high, stated low; external_over = internal low, stated high; discordant =
both low. rho does not show whether either confidence is right (their AUROC2 are reported with it),
nor agreement in level: it depends on order only. Where nearly all is stated at the ceiling, rho
rests on the few other replies: see the ceiling share. Shuffled pairs give the rho of a stated
confidence that belongs to another question: around zero, and where pairs stay within their domain,
what knowing the domain alone gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.auroc2_interval import auroc2_estimate
from workbench.measure.inputs import checked, checked_domain, parse_rate
from workbench.measure.interval import Estimate, summarise_null
from workbench.measure.resampling import Reading, Table, resampled
from workbench.measure.weighted import CountStatistic
from workbench.settings.defaults import LEVEL, RESAMPLES

Split = Literal["median", "top"]
SHUFFLES = 1000
CELLS = ("consistent", "internal_over", "external_over", "discordant")


@dataclass(frozen=True)
class Alignment:
    """The alignment: rho over the questions with both confidences, with what is needed to
    read it.
    """

    rho: Estimate
    parse_rate: float
    ceiling_share: float
    auroc2_internal: Estimate
    auroc2_stated: Estimate
    cells: dict[str, float]


def alignment(
    internal: ArrayLike,
    stated: ArrayLike,
    correct: ArrayLike,
    *,
    seed: int,
    ceiling: float,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    internal_split: Split = "median",
    stated_split: Split = "top",
) -> Alignment:
    """Return the alignment of ``internal`` [n] and ``stated`` [n] (any scales, NaN = unparsed),
    both judged by ``correct`` [n].

    ``ceiling`` is the stated scale's largest value; its share is over parsed replies.
    """
    scores, labels = checked(internal, correct)
    said, _ = checked(stated, correct)
    parsed, top = parse_rate(said), said[~np.isnan(said)] >= ceiling
    neither = np.isnan(scores) | np.isnan(said)
    scores, said = (np.where(neither, np.nan, values) for values in (scores, said))
    return Alignment(
        rho=spearman(scores, said, seed=seed, resamples=resamples, level=level),
        parse_rate=parsed,
        ceiling_share=float(top.mean()) if len(top) else float("nan"),
        auroc2_internal=auroc2_estimate(
            scores, labels, seed=seed, resamples=resamples, level=level
        ),
        auroc2_stated=auroc2_estimate(said, labels, seed=seed, resamples=resamples, level=level),
        cells=four_cells(scores, said, internal_split=internal_split, stated_split=stated_split),
    )


def spearman(
    first: ArrayLike,
    second: ArrayLike,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """Return the tie-corrected Spearman rho of two confidences [n] over the questions with both,
    with its bootstrap interval.
    """
    a, b = _both(first, second)
    readings = [Reading(column, np.zeros(len(a), dtype=np.bool_)) for column in (a, b)]
    if not len(a):
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    found = resampled(_rho, readings, None, seed=seed, resamples=resamples, level=level, bins=1)
    return found.estimates["rho"]


def shuffled_spearman(
    first: ArrayLike,
    second: ArrayLike,
    domain: ArrayLike | None = None,
    *,
    seed: int,
    shuffles: int = SHUFFLES,
    level: float = LEVEL,
) -> Estimate:
    """Return rho with every question's second confidence exchanged for another question's, within
    its ``domain`` [n] if given.

    The value is the mean over ``shuffles``, the interval holds ``level`` of them: it is the spread
    of a null, not of a measurement.
    """
    a, b = _both(first, second)
    nothing = Estimate(float("nan"), float("nan"), float("nan"), len(a))
    if not len(a) or not np.ptp(a) or not np.ptp(b):
        return nothing
    codes = np.zeros(len(a), dtype=np.int64)
    if domain is not None:
        both = ~np.isnan(np.asarray(first, dtype=np.float64)) & ~np.isnan(
            np.asarray(second, dtype=np.float64)
        )
        codes = checked_domain(np.asarray(domain)[both], len(a))
    x, y = (
        ranks - ranks.mean()
        for ranks in (_Ranks(column)(np.ones((1, len(a))))[0] for column in (a, b))
    )
    rng, members = (
        np.random.default_rng(seed),
        [np.flatnonzero(codes == code) for code in np.unique(codes)],
    )
    found = np.zeros(shuffles)
    for rows in members:
        found += rng.permuted(np.tile(y[rows], (shuffles, 1)), axis=1) @ x[rows]
    found /= np.sqrt((x @ x) * (y @ y))
    return summarise_null(found, len(a), level)


def four_cells(
    internal: ArrayLike, stated: ArrayLike, *, internal_split: Split, stated_split: Split
) -> dict[str, float]:
    """Return the share of the questions with both confidences in each of CELLS; NaN when there are
    none.
    """
    a, b = _both(internal, stated)
    if not len(a):
        return dict.fromkeys(CELLS, float("nan"))
    high_a, high_b = a >= cut_of(a, internal_split), b >= cut_of(b, stated_split)
    hits = (high_a & high_b, high_a & ~high_b, ~high_a & high_b, ~high_a & ~high_b)
    return {name: float(hit.mean()) for name, hit in zip(CELLS, hits, strict=True)}


def cut_of(values: Floats, split: Split) -> float:
    """Return the smallest value of ``values`` [n] that counts as high."""
    return float(values.max() if split == "top" else np.median(values))


def _both(first: ArrayLike, second: ArrayLike) -> tuple[Floats, Floats]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise WorkbenchError(
            f"two confidences have shapes {a.shape} and {b.shape}; pass one value of each per "
            "question"
        )
    known = ~np.isnan(a) & ~np.isnan(b)
    return a[known], b[known]


def _rho(table: Table) -> dict[str, CountStatistic]:
    ranks = [_Ranks(reading.scores) for reading in table.readings]

    def rho(counts: Floats) -> Floats:
        n = counts.sum(axis=1, keepdims=True)
        # Mid-ranks average (n + 1) / 2 whatever the ties.
        x, y = (each(counts) - (n + 1) / 2 for each in ranks)
        product, xx, yy = ((counts * p).sum(axis=1) for p in (x * y, x * x, y * y))
        spread = np.sqrt(xx * yy)
        return np.divide(product, spread, out=np.full(len(counts), np.nan), where=spread > 0)

    return {"rho": rho}


class _Ranks:
    """The mid-ranks of fixed values, as a function of how often each is counted: [r, c] ->
    [r, c].
    """

    def __init__(self, values: Floats) -> None:
        self._order = np.argsort(values, kind="stable")
        ordered = values[self._order]
        self._starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
        self._inverse = np.unique(values, return_inverse=True)[1]

    def __call__(self, counts: Floats) -> Floats:
        size = np.add.reduceat(counts[:, self._order], self._starts, axis=1)
        return (np.cumsum(size, axis=1) - size / 2 + 0.5)[:, self._inverse]
