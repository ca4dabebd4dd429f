"""Verify how far an attribution can be trusted, by truly patching its largest cells and random
others.

For each component the ``cells`` cells of largest mean absolute score, and as many drawn at random
from the rest, are patched one by one in the packed engine and their effects (patched - base)
compared with their scores over all pairs of row and cell: Spearman's rho, and the slope of effect
on score through the origin (1: right size; between 0 and 1: exaggerated; negative: wrong sign).
Intervals are 95 % bootstrap intervals over rows, NaN for a single row; a rho without variation is
NaN.

The largest cells are largest by score, so their slope shows exaggeration (a winner's curse); the
random ones represent the map.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.measure.percentile import bounds
from workbench.models.slices import SLICED
from workbench.patch.components import ComponentSet
from workbench.patch.inputs import ModelInputs, Reading, recorded
from workbench.patch.metrics import Metric
from workbench.progress import task
from workbench.settings.defaults import CHECKED_CELLS, LEVEL, RESAMPLES
from workbench.trace.backends import PACKED, Engine
from workbench.trace.checks import site_width
from workbench.trace.interventions import Branch, Patch
from workbench.trace.sites import Component, Site

Kind = Literal["largest", "random"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Check:
    """The settings of a verification.

    ``cells`` largest and ``cells`` random cells of each component are drawn with ``seed``;
    ``resamples`` of the bootstrap give the intervals. ``engine`` patches the cells
    (:func:`workbench.trace.backends.engine`).
    """

    cells: int = CHECKED_CELLS
    seed: int = 0
    resamples: int = RESAMPLES
    engine: Engine = PACKED

    def __post_init__(self) -> None:
        if self.cells < 1 or self.resamples < 1:
            raise WorkbenchError(
                "An attribution is always checked: patch at least one cell, with at least one "
                "resample."
            )


@dataclass(frozen=True, eq=False)
class Agreement:
    """The scores and the true effects of one component's cells, [rows, cells] each.

    ``sites`` and ``positions`` [cells] name them, positions by their place in the run's positions.
    """

    component: Component
    kind: Kind
    sites: tuple[Site, ...]
    positions: tuple[int, ...]
    scores: Floats
    effects: Floats
    rho: Estimate
    slope: Estimate

    def __str__(self) -> str:
        return (
            f"{self.component}, {len(self.sites)} {self.kind} cells: Spearman {self.rho:.2f}, "
            f"slope {self.slope:.2f}"
        )


@dataclass(frozen=True)
class Verification:
    """The agreements of every component, largest cells first."""

    agreements: tuple[Agreement, ...]

    def __str__(self) -> str:
        return "\n".join(str(agreement) for agreement in self.agreements)

    def of(self, component: Component, kind: Kind) -> Agreement:
        """Return the agreement of one component's largest or random cells.

        Raises:
            WorkbenchError: if no such cells were patched.
        """
        for agreement in self.agreements:
            if (agreement.component, agreement.kind) == (component, kind):
                return agreement
        raise WorkbenchError(f"No {kind} cells of {component} were patched.")

    def table(self) -> pd.DataFrame:
        """Return one line per component and kind: cells, items, rho and slope with their
        intervals.
        """
        return pd.DataFrame(
            [
                {
                    "component": a.component,
                    "kind": a.kind,
                    "cells": len(a.sites),
                    "items": len(a.scores),
                }
                | a.rho.to_dict("rho")
                | a.slope.to_dict("slope")
                for a in self.agreements
            ]
        )


def verify(
    base: ModelInputs,
    donor: ModelInputs,
    cut: ComponentSet,
    metric: Metric,
    scores: Mapping[Component, Tensor],
    check: Check,
    *,
    tokens_per_forward: int,
) -> Verification:
    """Patch cells truly and compare their effects with ``scores``, as in
    :class:`workbench.patch.attribution.Scores`.
    """
    agreements = []
    with task("patching cells of the attribution"):
        for component in cut.components:
            table = scores[component].double().numpy()
            for kind, chosen in zip(KINDS, choose(table, check), strict=True):
                if len(chosen):
                    agreements.append(
                        _agreement(
                            base,
                            donor,
                            cut,
                            metric,
                            component,
                            kind,
                            table,
                            chosen,
                            check,
                            tokens_per_forward,
                        )
                    )
    return Verification(tuple(agreements))


def choose(scores: Floats, check: Check) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose cells [k], as flat indices into the axes after the rows: the largest, and random ones
    of the rest (maybe fewer).
    """
    order = np.argsort(-np.abs(scores).mean(axis=0).ravel(), kind="stable")
    rest = order[check.cells :]
    drawn = np.random.default_rng(check.seed).permutation(len(rest))[: check.cells]
    return order[: check.cells], rest[drawn]


def _agreement(
    base: ModelInputs,
    donor: ModelInputs,
    cut: ComponentSet,
    metric: Metric,
    component: Component,
    kind: Kind,
    table: Floats,
    chosen: NDArray[np.int64],
    check: Check,
    tokens_per_forward: int,
) -> Agreement:
    axes = np.unravel_index(chosen, table.shape[1:])
    heads = axes[1] if component in SLICED else [None] * len(chosen)
    sites = tuple(
        Site(cut.layers[layer], component)
        if head is None
        else cut.slice_site(base.lm, cut.layers[layer], component, int(head))
        for layer, head in zip(axes[0], heads, strict=True)
    )
    positions = tuple(int(position) for position in axes[-1])
    effects = true_effects(
        base,
        donor,
        metric,
        sites,
        positions,
        tokens_per_forward=tokens_per_forward,
        engine=check.engine,
    )
    picked = table.reshape(len(table), -1)[:, chosen]
    rho, slope = compare(picked, effects, resamples=check.resamples, seed=check.seed)
    return Agreement(component, kind, sites, positions, picked, effects, rho, slope)


def true_effects(
    base: ModelInputs,
    donor: ModelInputs,
    metric: Metric,
    sites: Sequence[Site],
    positions: Sequence[int],
    *,
    tokens_per_forward: int,
    engine: Engine = PACKED,
) -> Floats:
    """Return the metric [rows, cells] with the donor's state patched in at one site and position,
    minus the base's metric.

    ``sites`` [cells] and ``positions`` [cells], by their place in the runs' positions.
    """
    where = list(dict.fromkeys(positions))
    states: dict[Site, Tensor] = {}
    for width in sorted({site_width(donor.lm, site) for site in sites}):  # windows may end short
        wanted = [s for s in dict.fromkeys(sites) if site_width(donor.lm, s) == width]
        found = recorded(donor, wanted, where, tokens_per_forward, metric.tree)
        states.update(zip(wanted, found.unbind(dim=1), strict=True))
    branches: list[Branch] = [
        (Patch(site, base.positions[:, at], states[site][:, where.index(at)]),)
        for site, at in zip(sites, positions, strict=True)
    ]
    out = Reading(metric, tokens_per_forward, engine).values(base, branches)
    return (out.patched - out.base[:, None]).double().cpu().numpy()


def compare(
    scores: Floats, effects: Floats, *, resamples: int, seed: int
) -> tuple[Estimate, Estimate]:
    """Return Spearman's rho and the slope through the origin of ``effects`` on ``scores`` [rows,
    cells], over all pairs.
    """
    rows = len(scores)
    everyone = np.arange(rows)[None]
    estimates = []
    for statistic in (rank_correlation, slope_through_origin):
        value = float(statistic(scores[everyone], effects[everyone])[0])
        low = high = float("nan")
        if rows > 1:
            drawn = np.random.default_rng(seed).integers(0, rows, size=(resamples, rows))
            each = statistic(scores[drawn], effects[drawn])
            low, high = (float(bound) for bound in bounds(value, each, LEVEL, rows))
        estimates.append(Estimate(value, low, high, rows))
    return estimates[0], estimates[1]


def rank_correlation(scores: Floats, effects: Floats) -> Floats:
    """Return Spearman's rho [n] of each pair of ``scores`` and ``effects`` [n, ...] over all their
    entries; NaN where one does not vary.
    """
    x, y = (rankdata(part.reshape(len(part), -1), axis=1) for part in (scores, effects))
    x, y = (part - part.mean(axis=1, keepdims=True) for part in (x, y))
    with np.errstate(invalid="ignore"):
        return np.asarray((x * y).sum(axis=1) / np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1)))


def slope_through_origin(scores: Floats, effects: Floats) -> Floats:
    """Return the slope [n] through the origin of each of ``effects`` on ``scores`` [n, ...] over
    all their entries; NaN where the scores are zero.
    """
    x, y = (part.reshape(len(part), -1) for part in (scores, effects))
    with np.errstate(invalid="ignore"):
        return np.asarray((x * y).sum(axis=1) / (x**2).sum(axis=1))
