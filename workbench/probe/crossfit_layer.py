"""Cross-fit the sites of one layer: from states to out-of-fold probabilities and a final probe of
every site.

For outer fold k, models without fold k are fitted for every C; C_k has the smallest log loss over
the inner folds, whose models have not seen fold k either; the fold's rows are then scored by the
model with C_k. So the out-of-fold probability of a row depends on no label of its fold. The final
probe is refitted on all rows, with the C of smallest log loss over the outer folds. Standardisation
always uses the training rows of the respective fit. Sign: probabilities are of a right answer. The
inner scores are minima over the C grid: good for comparing sites that share the grid, a little
optimistic as estimates.

Fits of few rows are made on Gram matrices, several sites at once (:func:`fit_sites`), those of many
rows in the space of features, all training sets and C of a site at once (:func:`fit_large_site`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.arrays import Floats, Rows
from workbench.measure import auroc2
from workbench.probe.folds import Plan, Split
from workbench.probe.logistic import Solutions, Standardiser, feature_weights, fit, standardiser
from workbench.probe.primal import Problems, fit_primal
from workbench.probe.site_rows import SiteRows


@dataclass(frozen=True)
class SiteFits:
    """The results of cross-fitting s sites; n rows, k outer folds, d features.

    ``out_of_fold`` [s, n], ``fold_c`` [s, k], ``inner_log_loss`` and ``inner_auroc2`` [s, k] (over
    the rows outside fold k, by inner models with C_k), the final ``c`` [s], its ``weights`` [s, d]
    and ``intercept`` [s] in units of the states, and the ``mean`` and ``scale`` [s, d] of the final
    fit.
    """

    out_of_fold: Floats
    fold_c: Floats
    inner_log_loss: Floats
    inner_auroc2: Floats
    c: Floats
    weights: Floats
    intercept: Floats
    mean: Floats
    scale: Floats


@dataclass(frozen=True)
class Trained:
    """The fits of b problems at s sites on the same rows, and the log-odds ``decision`` [s, b, n]
    of all rows under them.
    """

    solutions: Solutions
    scaling: Standardiser
    standardised: Tensor
    decision: Tensor


def train(states: Tensor, labels: Tensor, c: Tensor, rows: Rows) -> Trained:
    """Fit ``labels`` [b, n] with strengths ``c`` [b] on ``rows`` of ``states`` [s, n, d]
    float64, scoring all n rows.
    """
    index = torch.from_numpy(rows)
    scaling = standardiser(states[:, index])
    everything = scaling(states)
    standardised = everything[:, index]
    gram = everything @ standardised.mT
    solutions = fit(gram[:, index], labels[:, index], c)
    return Trained(solutions, scaling, standardised, solutions.decision(gram))


def fit_sites(
    states: Tensor, correct: NDArray[np.bool_], plan: Plan, inverse_penalties: Sequence[float]
) -> SiteFits:
    """Cross-fit and refit s sites: ``states`` [s, n, d] float64, ``correct`` [n]."""
    strengths = np.array(inverse_penalties, dtype=np.float64)
    labels = torch.from_numpy(correct.astype(np.float64)).expand(len(strengths), -1)
    decided: dict[bytes, Floats] = {}

    def decision(split: Split) -> Floats:
        """Return the log-odds [s, C, test rows]; a training set that serves several splits is
        fitted once.
        """
        key = split.train.tobytes()
        if key not in decided:
            decided[key] = train(
                states, labels, torch.from_numpy(strengths), split.train
            ).decision.numpy()
        return decided[key][:, :, split.test]

    choice = _choose(decision, len(states), correct, plan, strengths)
    refits = [_refit(states[i : i + 1], labels[:1], c) for i, c in enumerate(choice.c)]
    return SiteFits(
        **vars(choice),
        weights=np.stack([weights for weights, *_ in refits]),
        intercept=np.array([intercept for _, intercept, *_ in refits]),
        mean=np.stack([scaling.mean[0, 0].numpy() for *_, scaling in refits]),
        scale=np.stack([scaling.scale[0, 0].numpy() for *_, scaling in refits]),
    )


def fit_large_site(
    rows: SiteRows,
    correct: NDArray[np.bool_],
    plan: Plan,
    inverse_penalties: Sequence[float],
    together: int,
) -> SiteFits:
    """Cross-fit and refit one site of many rows, ``together`` problems at once; ``correct`` [n]."""
    strengths = np.array(inverse_penalties, dtype=np.float64)
    problems, number_of = site_problems(correct, plan, inverse_penalties)
    count = len(problems.c)
    fits = fit_primal(rows, problems, together)
    decisions = fits.decision.view(-1, len(strengths), len(correct)).numpy()

    def decision(split: Split) -> Floats:
        return decisions[None, number_of[split.train.tobytes()]][:, :, split.test]

    choice = _choose(decision, 1, correct, plan, strengths)
    last = count - len(strengths) + int(np.flatnonzero(strengths == choice.c[0])[0])
    return SiteFits(
        **vars(choice),
        weights=fits.weights[last : last + 1].numpy(),
        intercept=fits.intercept[last : last + 1].numpy(),
        mean=fits.mean[-1:].numpy(),
        scale=fits.scale[-1:].numpy(),
    )


def site_problems(
    correct: NDArray[np.bool_], plan: Plan, inverse_penalties: Sequence[float]
) -> tuple[Problems, dict[bytes, int]]:
    """Return the problems of one site, every training set at every C, the one of all rows last; and
    the number of each training set by the bytes of its rows.
    """
    trained = {
        split.train.tobytes(): split.train
        for k, outer in enumerate(plan.outer)
        for split in (outer, *plan.inner[k])
    }
    splits = torch.zeros((len(trained) + 1, len(correct)), dtype=torch.bool)
    for number, train in enumerate(trained.values()):
        splits[number, torch.from_numpy(train)] = True
    splits[-1] = True
    strengths = torch.tensor(inverse_penalties, dtype=torch.float64)
    problems = Problems(
        labels=torch.from_numpy(correct).expand(len(splits) * len(strengths), -1),
        splits=splits,
        split_of=torch.arange(len(splits)).repeat_interleave(len(strengths)),
        c=strengths.repeat(len(splits)),
    )
    return problems, {key: number for number, key in enumerate(trained)}


@dataclass(frozen=True)
class _Choice:
    """What the nested choice of C gives, in the shapes of :class:`SiteFits`."""

    out_of_fold: Floats
    fold_c: Floats
    inner_log_loss: Floats
    inner_auroc2: Floats
    c: Floats


def _choose(
    decision: Callable[[Split], Floats],
    sites: int,
    correct: NDArray[np.bool_],
    plan: Plan,
    strengths: Floats,
) -> _Choice:
    """Choose C for every outer fold and for the final probe of ``sites`` sites, from the log-odds
    [s, C, test rows] of each split.
    """
    n, folds = len(correct), len(plan.outer)
    each = np.arange(sites)
    out_of_fold, held_out = np.empty((sites, n)), np.empty((sites, len(strengths), n))
    fold_c, inner_log_loss, inner_auroc2 = (np.empty((sites, folds)) for _ in range(3))
    for k, outer in enumerate(plan.outer):
        tested = np.concatenate([split.test for split in plan.inner[k]])
        inner = np.concatenate([decision(split) for split in plan.inner[k]], axis=2)
        losses = decision_log_loss(inner, correct[tested])
        chosen = losses.argmin(axis=1)
        held_out[:, :, outer.test] = decision(outer)
        out_of_fold[:, outer.test] = probability(held_out[each, chosen][:, outer.test])
        fold_c[:, k], inner_log_loss[:, k] = strengths[chosen], losses[each, chosen]
        inner_auroc2[:, k] = [auroc2(scores, correct[tested]) for scores in inner[each, chosen]]
    final_c = strengths[decision_log_loss(held_out, correct).argmin(axis=1)]
    return _Choice(out_of_fold, fold_c, inner_log_loss, inner_auroc2, final_c)


def decision_log_loss(decision: Floats, correct: NDArray[np.bool_]) -> Floats:
    """Return the mean log loss [...] in nats of log-odds [..., n] against ``correct`` [n]."""
    return (np.logaddexp(0.0, decision) - correct * decision).mean(axis=-1)


def probability(decision: Floats) -> Floats:
    """Return the probability of a right answer from log-odds, without overflow for large ones."""
    return 0.5 * (1.0 + np.tanh(decision / 2))


def _refit(states: Tensor, labels: Tensor, c: float) -> tuple[Floats, float, Standardiser]:
    """Fit the final probe of one site on all rows; return weights [d], intercept, and the
    standardisation used.
    """
    trained = train(
        states, labels, torch.tensor([c], dtype=torch.float64), np.arange(labels.shape[1])
    )
    direction, intercept = feature_weights(trained.solutions, trained.standardised, trained.scaling)
    return direction[0, 0].numpy(), float(intercept[0, 0]), trained.scaling
