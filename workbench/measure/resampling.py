"""Choose the bootstrap by size: one engine for every metric, alone or paired.

Metrics are functions of how often each distinct cell (confidence, grade, domain) is counted. Small
tables draw rows, so that two calls with the same questions and seed are paired; larger ones draw
cells (:mod:`workbench.measure.bootstrap`). Where a large table has more than ``MOST_CELLS`` cells,
confidences are first joined into levels; the interval's distance to the value of the levels is then
carried over to the exact value. :attr:`Resampled.method` says which was used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from threadpoolctl import ThreadpoolController

from workbench.arrays import Bools, Floats
from workbench.measure.bootstrap import bootstrap_counts, method_of
from workbench.measure.distinct_rows import Cells, Codes, cells_of, grouped_levels
from workbench.measure.interval import Estimate
from workbench.measure.weighted import CountStatistic

MOST_CELLS = 20_000
LEVELS = 2048
PAIRED_LEVELS = 64


@dataclass(frozen=True)
class Reading:
    """A readout of the questions in each cell: ``scores`` [c] (NaN = unparsed) and
    ``labels`` [c].
    """

    scores: Floats
    labels: Bools


@dataclass(frozen=True)
class Table:
    """The table a metric is built from: one or more readings, domain codes [c] and how many
    questions each cell holds [c].
    """

    readings: tuple[Reading, ...]
    codes: Codes
    multiplicity: Floats


Build = Callable[[Table], Mapping[str, CountStatistic]]


@dataclass(frozen=True)
class Resampled:
    """The estimates by name, and how their intervals were drawn."""

    estimates: dict[str, Estimate]
    method: str


def resampled(
    build: Build,
    readings: Sequence[Reading],
    codes: Codes | None,
    *,
    seed: int,
    resamples: int,
    level: float,
    bins: int,
    used: Mapping[str, int] | None = None,
) -> Resampled:
    """Return the estimates of the statistics that ``build`` makes, over resamples of the questions
    of ``readings`` (each [n]).

    With ``codes`` [n] every domain keeps its size. ``used`` as for
    :func:`~workbench.measure.bootstrap.bootstrap_counts`. ``bins`` are the reliability bins that
    joined levels must respect.
    """
    n = len(readings[0].scores)
    cells = _cells(readings, codes)
    exact = _table(cells, readings, codes)
    drawn, grouped, note = cells, exact, ""
    if method_of(n, resamples) == "cells" and len(cells) > MOST_CELLS:
        joined = _joined(readings, codes, bins)
        drawn = _cells(joined, codes)
        grouped = _table(drawn, joined, codes)
        note = ", neighbouring confidences joined for the interval"
    # The matrix products are small: threads of a shared machine wait for each other longer than
    # they compute.
    with _threads().limit(limits=1, user_api="blas"):
        estimates = bootstrap_counts(
            build(grouped),
            drawn,
            seed=seed,
            resamples=resamples,
            level=level,
            strata=codes,
            used=used,
        )
    if grouped is not exact:
        everyone = exact.multiplicity[None]
        values = {name: float(statistic(everyone)[0]) for name, statistic in build(exact).items()}
        estimates = {name: _moved(estimate, values[name]) for name, estimate in estimates.items()}
    kind = "rows" if method_of(n, resamples) == "rows" else f"{len(drawn):,} cells{note}"
    return Resampled(estimates, f"{resamples:,} bootstrap resamples of {kind}")


@lru_cache(maxsize=1)
def _threads() -> ThreadpoolController:
    """Return the controller of thread pools. It is looked up once, because with thousands of groups
    the search for libraries takes as long as a group's measures.
    """
    return ThreadpoolController()


def _cells(readings: Sequence[Reading], codes: Codes | None) -> Cells:
    columns = [column for reading in readings for column in (reading.scores, reading.labels)]
    return cells_of(*columns, *([] if codes is None else [codes]))


def _table(cells: Cells, readings: Sequence[Reading], codes: Codes | None) -> Table:
    at = cells.first
    return Table(
        tuple(Reading(reading.scores[at], reading.labels[at]) for reading in readings),
        np.zeros(len(at), dtype=np.int64) if codes is None else codes[at],
        cells.multiplicity,
    )


def _joined(readings: Sequence[Reading], codes: Codes | None, bins: int) -> list[Reading]:
    """Return the readings with at most a few thousand distinct scores; fewer levels where they
    multiply with domains or each other.
    """
    domains = 1 if codes is None else len(np.unique(codes))
    levels = max(PAIRED_LEVELS, LEVELS // domains) if len(readings) == 1 else PAIRED_LEVELS
    return [
        replace(reading, scores=grouped_levels(reading.scores, levels, bins))
        for reading in readings
    ]


def _moved(estimate: Estimate, value: float) -> Estimate:
    move = value - estimate.value
    return Estimate(value, estimate.low + move, estimate.high + move, estimate.n)
