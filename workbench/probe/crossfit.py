"""Fit linear probes of "was my answer correct" at every layer and position, cross-fitted on the
training questions.

:func:`fit_layerwise` runs :mod:`workbench.probe.crossfit_layer` at every (layer, position), one
layer in memory at a time. What is nested:
- out-of-fold probability of a row at a given site: weights, standardisation and C all come from the
  other outer folds;
- :func:`crossfitted_targets`: for fold k also the site is chosen by inner models that never saw
  fold k. Given the folds, the target of a row depends on no label of its fold, its own included. So
  targets may be trained on.
What is not nested:
- the folds are stratified, so which fold a row is in depends on the labels (pass ``fold_of`` to fix
  them beforehand);
- ``LayerwiseProbe.best`` and the final C use the out-of-fold scores of all training rows: the score
  AT the best site is optimistic. Quote it on held-out questions (:mod:`workbench.probe.evaluate`)
  or use the score of the crossfitted targets.
Sign: probabilities of a right answer. A high score says that correctness can be read there
linearly, not that the model uses it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from workbench.arrays import Floats, Rows
from workbench.errors import WorkbenchError
from workbench.measure import auroc2
from workbench.probe.crossfit_layer import SiteFits, fit_large_site, fit_sites, probability
from workbench.probe.folds import (
    Criterion,
    ProbeSettings,
    check_labels,
    count_training_sets,
    plan_folds,
    stratified_folds,
)
from workbench.probe.primal import SAMPLED
from workbench.probe.site_rows import open_rows
from workbench.probe.states import States, check_states, layer_states, score_site, site_reader
from workbench.probe.workers import Size, each_layer, plan_fits

SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class LayerPosition:
    """The indices of a layer and a position on the axes of the states the probe was fitted on."""

    layer: int
    position: int


@dataclass(frozen=True)
class LayerwiseProbe:
    """The fitted probes of L layers x P positions x d features, on n training rows in k outer
    folds.

    ``weights`` [L, P, d] and ``intercept`` [L, P] act on raw states (log-odds = states . weights +
    intercept); ``weights * scale`` is the coefficient on states standardised by ``mean`` and
    ``scale`` [L, P, d]. ``out_of_fold`` [n, L, P] probabilities, ``c`` [L, P] of the final refit,
    ``fold_c``, ``inner_log_loss`` and ``inner_auroc2`` [k, L, P] of the nested choice, ``correct``
    [n] and ``fold_of`` [n] of the training rows.
    """

    weights: Floats
    intercept: Floats
    mean: Floats
    scale: Floats
    c: Floats
    out_of_fold: Floats
    fold_c: Floats
    inner_log_loss: Floats
    inner_auroc2: Floats
    correct: NDArray[np.bool_]
    fold_of: Rows
    settings: ProbeSettings

    def __post_init__(self) -> None:
        layers, positions = self.intercept.shape
        rows, folds = len(self.correct), self.settings.folds
        width = self.weights.shape[-1]
        wanted = {
            "weights": (layers, positions, width),
            "mean": (layers, positions, width),
            "scale": (layers, positions, width),
            "c": (layers, positions),
            "out_of_fold": (rows, layers, positions),
            "fold_c": (folds, layers, positions),
            "inner_log_loss": (folds, layers, positions),
            "inner_auroc2": (folds, layers, positions),
            "fold_of": (rows,),
        }
        for name, shape in wanted.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, expected {shape}")

    @property
    def out_of_fold_log_loss(self) -> Floats:
        """The log loss [L, P] in nats of the out-of-fold probabilities."""
        return log_loss(self.out_of_fold, self.correct)

    @property
    def out_of_fold_auroc2(self) -> Floats:
        """The pooled AUROC2 [L, P] of the out-of-fold probabilities."""
        return site_auroc2(self.out_of_fold, self.correct)

    @property
    def best(self) -> LayerPosition:
        """The site with the smallest out-of-fold log loss."""
        return self.best_by("log_loss")

    def best_by(self, criterion: Criterion) -> LayerPosition:
        """Return the site with the best out-of-fold score on the training rows; ties go to the
        earliest layer.
        """
        return best_site(
            -self.out_of_fold_log_loss if criterion == "log_loss" else self.out_of_fold_auroc2
        )


@dataclass(frozen=True)
class CrossfittedTargets:
    """The targets of the training rows: ``probability`` [n] of a right answer, the ``sites`` chosen
    for the folds (one per fold), and ``fold_of`` [n].
    """

    probability: Floats
    sites: tuple[LayerPosition, ...]
    fold_of: Rows

    def __post_init__(self) -> None:
        if self.probability.shape != self.fold_of.shape or int(self.fold_of.max()) >= len(
            self.sites
        ):
            raise ValueError("every row needs a probability and a fold with a chosen site")


def fit_layerwise(
    states: States, correct: ArrayLike, settings: ProbeSettings, *, fold_of: Rows | None = None
) -> LayerwiseProbe:
    """Fit and cross-fit a probe at every layer and position of ``states`` [n, layers, positions,
    width].

    ``states`` is numpy or torch, memory-mapped or not, of any float type, or in shards on disk;
    ``correct`` [n] bool. ``fold_of`` [n] fixes the outer folds (default: stratified by
    ``correct``). What fitting takes stays below ``settings.memory_bytes``.

    Raises:
        WorkbenchError: for states that are not finite, labels of (nearly) one class, or too few
            rows.
    """
    n, layers, positions, width = check_states(states)
    labels = np.asarray(correct)
    if labels.shape != (n,) or not np.isin(labels, (0, 1)).all():
        raise WorkbenchError(
            f"correct must hold one true or false per question: {n} states, correct {labels.shape}"
        )
    labels = labels.astype(np.bool_)
    check_labels(labels, settings)
    assigned = (
        stratified_folds(labels, settings)
        if fold_of is None
        else np.asarray(fold_of, dtype=np.int64)
    )
    plan = plan_folds(labels, assigned, settings)
    grid, sets = settings.inverse_penalties, count_training_sets(plan)
    size = Size(n, layers, positions, width, sets, sets * len(grid))
    work = plan_fits(size, settings.memory_bytes)

    def fit_layer(layer: int) -> list[SiteFits]:
        if work.gram:
            parts = layer_states(states, layer).transpose(0, 1).split(work.positions)
            return [fit_sites(part.to(torch.float64), labels, plan, grid) for part in parts]
        return [
            fit_large_site(
                open_rows(site_reader(states, layer, at), n, width, work.rows_bytes, SAMPLED),
                labels, plan, grid, work.problems,
            )
            for at in range(positions)
        ]  # fmt: skip

    fits = each_layer(fit_layer, layers, work.workers, "Fitting probes")

    def gathered(name: str) -> Floats:
        return np.stack([np.concatenate([getattr(one, name) for one in parts]) for parts in fits])

    def rows_first(name: str) -> Floats:
        return np.moveaxis(gathered(name), -1, 0)

    return LayerwiseProbe(
        weights=gathered("weights"),
        intercept=gathered("intercept"),
        mean=gathered("mean"),
        scale=gathered("scale"),
        c=gathered("c"),
        out_of_fold=rows_first("out_of_fold"),
        fold_c=rows_first("fold_c"),
        inner_log_loss=rows_first("inner_log_loss"),
        inner_auroc2=rows_first("inner_auroc2"),
        correct=labels,
        fold_of=assigned,
        settings=settings,
    )


def crossfitted_targets(probe: LayerwiseProbe, criterion: Criterion) -> CrossfittedTargets:
    """Return the out-of-fold probability of each training row at the site chosen without its fold.

    For fold k every (layer, position) is judged by the inner models of the rows outside k (at their
    chosen C): smallest log loss or largest AUROC2. The out-of-fold predictions of the other folds
    are not used for it, because the models that made them were fitted on fold k.
    """
    scores = -probe.inner_log_loss if criterion == "log_loss" else probe.inner_auroc2
    sites = tuple(best_site(of_fold) for of_fold in scores)
    chosen_layer = np.array([site.layer for site in sites])[probe.fold_of]
    chosen_position = np.array([site.position for site in sites])[probe.fold_of]
    rows = np.arange(len(probe.fold_of))
    return CrossfittedTargets(
        probe.out_of_fold[rows, chosen_layer, chosen_position], sites, probe.fold_of
    )


def ensemble_targets(
    probe: LayerwiseProbe, criterion: Criterion, members: int
) -> NDArray[np.float64]:
    """Return the out-of-fold probability [n] of each training row by the ``members`` best sites
    chosen without its fold.

    It comes from the mean of the sites' log-odds. Sites err differently, so their mean follows
    correctness better than the best one alone and is steadier from question to question, which
    makes it easier to learn. The sites are chosen as in :func:`crossfitted_targets`.

    Raises:
        WorkbenchError: for ``members`` below 1 or above the number of sites.
    """
    scores = -probe.inner_log_loss if criterion == "log_loss" else probe.inner_auroc2
    sites = scores[0].size
    if not 1 <= members <= sites:
        raise WorkbenchError(
            f"An ensemble of {members} sites cannot be drawn from {sites}; use 1 to {sites}."
        )
    chosen = np.argsort(-scores.reshape(len(scores), sites), axis=1, kind="stable")[:, :members]
    inside = np.clip(
        probe.out_of_fold.reshape(-1, sites), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY
    )
    votes = np.take_along_axis(np.log(inside) - np.log1p(-inside), chosen[probe.fold_of], axis=1)
    return 1 / (1 + np.exp(-votes.mean(axis=1)))


def apply(probe: LayerwiseProbe, states: States) -> Floats:
    """Return the probabilities [n, layers, positions] of a right answer for new ``states`` [n,
    layers, positions, width].

    Raises:
        WorkbenchError: for states of another shape than the probe's.
    """
    n, layers, positions, width = check_states(states)
    if (layers, positions, width) != probe.weights.shape:
        raise WorkbenchError(
            f"the probe reads {probe.weights.shape} (layers, positions, width), the states have "
            f"{(layers, positions, width)}; trace them with the same model and positions"
        )
    scores = np.empty((n, layers, positions))
    for layer, at in np.ndindex(layers, positions):
        weights, intercept = probe.weights[layer, at], probe.intercept[layer, at]
        scores[:, layer, at] = score_site(states, layer, at, weights[None], intercept[None])[0]
    return probability(scores)


def log_loss(probabilities: Floats, correct: NDArray[np.bool_]) -> Floats:
    """Return the log loss [L, P] in nats of ``probabilities`` [n, L, P], clipped to [1e-12, 1 -
    1e-12].
    """
    clipped = np.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    given = np.where(correct[:, None, None], clipped, 1 - clipped)
    return -np.log(given).mean(axis=0)


def site_auroc2(scores: Floats, correct: NDArray[np.bool_]) -> Floats:
    """Return the pooled AUROC2 [L, P] of ``scores`` [n, L, P]."""
    _, layers, positions = scores.shape
    return np.array(
        [[auroc2(scores[:, i, j], correct) for j in range(positions)] for i in range(layers)]
    )


def best_site(scores: Floats) -> LayerPosition:
    """Return the site of the largest of ``scores`` [L, P], NaN counting as worst."""
    layer, position = np.unravel_index(
        int(np.where(np.isnan(scores), -np.inf, scores).argmax()), scores.shape
    )
    return LayerPosition(int(layer), int(position))
