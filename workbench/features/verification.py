"""Patch some features truly, to say how far their gradient scores can be trusted.

The features of largest mean absolute score, and as many drawn at random from the other scored ones,
get the donor's activations one by one in the packed engine. Compared over all pairs of row and cell
are effect (patched - base) and score: Spearman's rho, and the slope of effect on score through the
origin (1: right size; between 0 and 1: exaggerated; negative: wrong sign), with 95 % bootstrap
intervals over rows. The largest are largest by score, so their slope shows a winner's curse.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.features.attribution import FeatureScores
from workbench.features.patches import donor_features
from workbench.measure import Estimate
from workbench.patch.inputs import ModelInputs, Reading, recorded
from workbench.patch.metrics import Metric
from workbench.patch.verification import KINDS, Check, Kind, compare
from workbench.trace.interventions import Branch


@dataclass(frozen=True, eq=False)
class FeatureAgreement:
    """The scores and true effects of some features, [rows, cells] each.

    Attributes:
        features, positions: [cells] which feature, at which place of the runs' positions.
    """

    kind: Kind
    features: tuple[int, ...]
    positions: tuple[int, ...]
    scores: Floats
    effects: Floats
    rho: Estimate
    slope: Estimate

    def __str__(self) -> str:
        return (
            f"{len(self.features)} {self.kind} features: Spearman {self.rho:.2f}, slope "
            f"{self.slope:.2f}"
        )


def verify_features(
    base: ModelInputs,
    donor: ModelInputs,
    scores: FeatureScores,
    metric: Metric,
    check: Check,
    *,
    tokens_per_forward: int,
) -> tuple[FeatureAgreement, ...]:
    """Patch features truly and compare their effects with their ``scores``: the largest first, then
    random ones where others are left.

    Raises:
        WorkbenchError: where no feature has a score.
    """
    table = scores.table()
    if table.empty:
        raise WorkbenchError("No feature is active in either run, so none has a score to verify.")
    rest = np.arange(check.cells, len(table))
    drawn = np.random.default_rng(check.seed).permutation(rest)[: check.cells]
    found = []
    for kind, lines in zip(KINDS, (np.arange(min(check.cells, len(table))), drawn), strict=True):
        if not len(lines):
            continue
        features = tuple(int(f) for f in table["feature"].to_numpy()[lines])
        positions = tuple(int(p) for p in table["position"].to_numpy()[lines])
        effects = _effects(
            base, donor, scores, features, positions, metric, check, tokens_per_forward
        )
        known = _dense(scores, features, positions)
        rho, slope = compare(known, effects, resamples=check.resamples, seed=check.seed)
        found.append(FeatureAgreement(kind, features, positions, known, effects, rho, slope))
    return tuple(found)


def _effects(
    base: ModelInputs,
    donor: ModelInputs,
    scores: FeatureScores,
    features: tuple[int, ...],
    positions: tuple[int, ...],
    metric: Metric,
    check: Check,
    tokens_per_forward: int,
) -> Floats:
    book = scores.dictionary.to(base.lm.device)
    places = sorted(set(positions))
    states = recorded(donor, [book.source_site], places, tokens_per_forward, metric.tree)[:, 0]
    branches: list[Branch] = [
        (
            donor_features(
                book, [feature], states[:, places.index(position)], base.positions[:, position]
            ),
        )
        for feature, position in zip(features, positions, strict=True)
    ]
    out = Reading(metric, tokens_per_forward, check.engine).values(base, branches)
    return (out.patched - out.base[:, None]).double().cpu().numpy()


def _dense(scores: FeatureScores, features: tuple[int, ...], positions: tuple[int, ...]) -> Floats:
    """Return the scores [rows, cells] of some features at some positions, 0 where not active."""
    out = torch.zeros((len(scores.error), len(features)), dtype=torch.float64)
    for cell, (feature, position) in enumerate(zip(features, positions, strict=True)):
        here = (scores.feature == feature) & (scores.position == position)
        out[scores.row[here], cell] = scores.score[here].double()
    return out.numpy()
