"""Measure what fitting probes costs, beside scikit-learn on the same fits, and how it grows.

The goal's size is 30 layers x 3 positions of 1,000 questions at width 4,096, 5 folds (nested: 15
training sets and all rows) and 8 penalties. A few sites are fitted and the seconds are multiplied
by the number of sites; of scikit-learn, a few of a site's fits are made (every penalty, on an outer
and an inner training set), and multiplied by the number of fits. Both are scaled, and the values
say by how much. Sites cost alike, as their shapes are alike; how many steps a fit takes depends on
the states' spectrum, which is random here (:mod:`workbench.bench.probe_states`).

Seconds of the clock suffer from a machine's other work, so seconds of the processor are measured
beside them; a ratio is between the two in one run. AUROC2 is compared on the rows outside each
sampled training set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from workbench.arrays import Floats
from workbench.bench.probe_states import LabelledStates, make_states
from workbench.bench.timing import Seconds, measure
from workbench.measure import auroc2
from workbench.probe import ProbeSettings, fit_layerwise, stratified_folds
from workbench.probe.crossfit_layer import SiteFits, fit_large_site, fit_sites, site_problems
from workbench.probe.folds import Plan, plan_folds
from workbench.probe.primal import SAMPLED, fit_primal
from workbench.probe.site_rows import SiteRows, bytes_of_rows, open_rows
from workbench.probe.states import site_reader
from workbench.progress import track

PARTS = ("goal", "growth")
FOLDS = 5
FEATURES, GRAM, SKLEARN = "in the space of features", "on Gram matrices", "scikit-learn"
SKLEARN_SETS = 2
"""Training sets that scikit-learn fits, of all of a site's."""


@dataclass(frozen=True)
class Point:
    """The processor's seconds of one site by one method, at a size."""

    method: str
    rows: int
    width: int
    processor: float


@dataclass(frozen=True)
class ProbeBench:
    """What was measured: ``values`` by dotted key, and the points of the curves."""

    values: dict[str, Any]
    points: list[Point]


def settings_of(strengths: int) -> ProbeSettings:
    """Return the settings of the measured probes: C from 1e-4 to 0.1."""
    grid = tuple(float(c) for c in np.geomspace(1e-4, 1e-1, strengths))
    return ProbeSettings(FOLDS, FOLDS - 1, grid, seed=0)


def bench_probes(
    *,
    rows: int,
    width: int,
    layers: int,
    positions: int,
    strengths: int,
    sampled_sites: int,
    growth_rows: Sequence[int],
    growth_widths: Sequence[int],
    gram_rows: int,
    parts: Sequence[str],
) -> ProbeBench:
    """Measure the ``parts``: the goal's size, and the growth over rows (at ``width``) and width (at
    ``rows``).

    Args:
        sampled_sites: sites that are fitted, of layers x positions.
        gram_rows: most rows that are also fitted on Gram matrices.
    """
    settings = settings_of(strengths)
    values: dict[str, Any] = {
        "rows": rows, "width": width, "sites": layers * positions, "sampled_sites": sampled_sites,
        "folds": FOLDS, "strengths": strengths, "threads": torch.get_num_threads(),
    }  # fmt: skip
    points: list[Point] = []
    if "goal" in parts:
        values |= _goal(make_states(rows, sampled_sites, width, 0), layers * positions, settings)
    if "growth" in parts:
        sizes = [(each, width) for each in growth_rows] + [(rows, each) for each in growth_widths]
        for size in track(dict.fromkeys(sizes), "fitting probes of growing size"):
            points += _growth(*size, settings, gram_rows)
    return ProbeBench(values, points)


def _goal(data: LabelledStates, sites: int, settings: ProbeSettings) -> dict[str, Any]:
    sampled = data.states.shape[1]
    fit_layerwise(data.states[:, :1], data.labels, settings)
    probe, ours = measure(lambda: fit_layerwise(data.states, data.labels, settings))
    plan = plan_folds(data.labels, stratified_folds(data.labels, settings), settings)
    theirs, fits, gap = _sklearn(data, plan, settings)
    whole = sites / sampled
    return {
        "goal.seconds": ours.clock * whole,
        "goal.processor_seconds": ours.processor * whole,
        "goal.sklearn_seconds": theirs.clock * sites,
        "goal.sklearn_processor_seconds": theirs.processor * sites,
        "goal.sklearn_over_ours": theirs.clock * sampled / ours.clock,
        "goal.sklearn_over_ours_processor": theirs.processor * sampled / ours.processor,
        "goal.sklearn_fits_made": fits,
        "goal.largest_auroc2_difference": gap,
        "goal.out_of_fold_auroc2": float(probe.out_of_fold_auroc2.mean()),
    }


def _sklearn(
    data: LabelledStates, plan: Plan, settings: ProbeSettings
) -> tuple[Seconds, int, float]:
    """Return scikit-learn's seconds for a whole site, scaled from the fits it made; how many it
    made; and the largest difference of AUROC2 to ours outside the training sets.
    """
    states = data.states[:, 0, 0].astype(np.float64)
    problems, number_of = site_problems(data.labels, plan, settings.inverse_penalties)
    count = len(settings.inverse_penalties)
    ours = fit_primal(_rows_of(data), problems, len(problems.c)).decision.numpy()
    gaps, clock, processor, made = [], 0.0, 0.0, 0
    for split in (plan.outer[0], plan.inner[0][0])[:SKLEARN_SETS]:
        train = states[split.train]
        features = (states - train.mean(0)) / train.std(0)
        rest = np.setdiff1d(np.arange(len(states)), split.train)
        first = number_of[split.train.tobytes()] * count
        for at, c in enumerate(track(settings.inverse_penalties, "fitting with scikit-learn")):
            model = LogisticRegression(C=c, max_iter=1000)
            _, taken = measure(partial(model.fit, features[split.train], data.labels[split.train]))
            clock, processor, made = clock + taken.clock, processor + taken.processor, made + 1
            wanted: Floats = model.decision_function(features[rest])
            labels = data.labels[rest]
            gaps.append(abs(auroc2(wanted, labels) - auroc2(ours[first + at, rest], labels)))
    share = len(problems.c) / made
    return Seconds(clock * share, processor * share), made, float(max(gaps))


def _growth(rows: int, width: int, settings: ProbeSettings, gram_rows: int) -> list[Point]:
    """Return the points of one size."""
    data = make_states(rows, 1, width, 1)
    plan = plan_folds(data.labels, stratified_folds(data.labels, settings), settings)
    grid = settings.inverse_penalties

    def features() -> SiteFits:
        return fit_large_site(_rows_of(data), data.labels, plan, grid, rows * len(grid))

    def gram() -> SiteFits:
        states = torch.from_numpy(data.states[:, 0, 0].astype(np.float64))
        return fit_sites(states[None], data.labels, plan, grid)

    methods = {FEATURES: features} | ({GRAM: gram} if rows <= gram_rows else {})
    return [
        Point(name, rows, width, measure(method)[1].processor) for name, method in methods.items()
    ]


def _rows_of(data: LabelledStates) -> SiteRows:
    """Hold the states of the first site."""
    rows, _, _, width = data.states.shape
    return open_rows(
        site_reader(data.states, 0, 0), rows, width, bytes_of_rows(rows, width), SAMPLED
    )
