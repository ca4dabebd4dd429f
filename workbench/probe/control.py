"""Fit the shuffled-label control: the score of a probe with nothing to learn on held-out questions.

At every site the training labels are permuted, a probe is fitted with the C chosen for the real
labels, and its scores are compared with the TRUE labels of held-out questions. Expected AUROC2:
0.5, in either direction by chance. With ``domain`` the permutation stays within domain, so each
domain keeps its share of right answers and the probe learns to tell easy domains from hard ones.
Its AUROC2 is then not expected at 0.5 but shows what the difficulty of the domain gives: pooled
often far above 0.5, and within domain above 0.5 too where features of correctness also indicate an
easy domain. The null of "nothing to learn" is the shuffle without ``domain``. It does not account
for selection: it is a null for a site fixed beforehand, not for the best of many sites; compare the
best site with the largest value of each shuffle (``auroc2.max(axis=(1, 2))``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure import auroc2, auroc2_within
from workbench.probe.crossfit import LayerPosition, LayerwiseProbe
from workbench.probe.crossfit_layer import train
from workbench.probe.logistic import feature_weights
from workbench.probe.primal import SAMPLED, Problems, fit_primal
from workbench.probe.site_rows import open_rows
from workbench.probe.states import States, check_states, score_site, site_reader
from workbench.probe.workers import FitPlan, Size, each_layer, plan_fits


@dataclass(frozen=True)
class ShuffledControl:
    """The scores of the control: ``auroc2`` and ``auroc2_within`` [shuffles, layers, positions] on
    held-out questions; the latter NaN without domains.
    """

    auroc2: Floats
    auroc2_within: Floats

    def __post_init__(self) -> None:
        if self.auroc2.ndim != 3 or self.auroc2.shape != self.auroc2_within.shape:
            raise ValueError(
                f"{self.auroc2.shape} and {self.auroc2_within.shape} must be [shuffles, layers, "
                "positions]"
            )


def shuffled_control(
    probe: LayerwiseProbe,
    states: States,
    held_out_states: States,
    held_out_correct: ArrayLike,
    *,
    n_shuffles: int,
    seed: int,
    domain: ArrayLike | None = None,
    held_out_domain: ArrayLike | None = None,
) -> ShuffledControl:
    """Fit the control for ``probe``, which was fitted on ``states`` [n, layers, positions, width].
    Labels are taken from the probe.

    ``held_out_states`` [m, layers, positions, width] with true ``held_out_correct`` [m]. ``domain``
    [n] shuffles within domain, ``held_out_domain`` [m] adds the AUROC2 within domain. All sites
    share the same shuffles.

    Raises:
        WorkbenchError: for states of another shape than the probe's, fewer than one shuffle, and
            unequal numbers of questions.
    """
    n, layers, positions, width = check_states(states)
    rows = check_states(held_out_states)[0]
    if (
        tuple(states.shape[1:]) != probe.weights.shape
        or tuple(held_out_states.shape[1:]) != probe.weights.shape
    ):
        raise WorkbenchError(
            "the states differ from the probe's in layers, positions or width; trace them alike"
        )
    truth = np.asarray(held_out_correct)
    if n != len(probe.correct) or truth.shape != (rows,):
        raise WorkbenchError(
            f"the probe was fitted on {len(probe.correct)} questions and {n} were passed; "
            f"{rows} held-out states come with correct {truth.shape}"
        )
    if n_shuffles < 1:
        raise WorkbenchError(f"n_shuffles is {n_shuffles}; use at least 1")
    shuffled = shuffled_labels(probe.correct, n_shuffles=n_shuffles, seed=seed, domain=domain)
    plan = plan_fits(Size(n, layers, positions, width, 1, n_shuffles), probe.settings.memory_bytes)

    def scores(layer: int) -> Floats:
        """Return the log-odds [positions, shuffles, m] of the held-out rows of one layer."""
        return np.stack(
            [
                _decisions(plan, LayerPosition(layer, at), states, held_out_states, shuffled, c)
                for at, c in enumerate(probe.c[layer])
            ]
        )

    decisions = np.stack(each_layer(scores, layers, plan.workers, "Fitting shuffled probes"))
    pooled = np.apply_along_axis(auroc2, 3, decisions, truth)
    if held_out_domain is None:
        within = np.full_like(pooled, np.nan)
    else:
        within = np.apply_along_axis(
            auroc2_within, 3, decisions, truth, np.asarray(held_out_domain)
        )
    return ShuffledControl(np.moveaxis(pooled, 2, 0), np.moveaxis(within, 2, 0))


def shuffled_scores(
    probe: LayerwiseProbe,
    site: LayerPosition,
    states: States,
    held_out_states: States,
    *,
    n_shuffles: int,
    seed: int,
) -> Floats:
    """Return the log-odds [n_shuffles, m] that probes on shuffled labels give the held-out rows at
    one site.

    Args:
        states: [n, layers, positions, width] that ``probe`` was fitted on.
        held_out_states: [m, layers, positions, width].
    """
    shuffled = shuffled_labels(probe.correct, n_shuffles=n_shuffles, seed=seed, domain=None)
    n, _, _, width = check_states(states)
    plan = plan_fits(Size(n, 1, 1, width, 1, n_shuffles), probe.settings.memory_bytes)
    c = probe.c[site.layer, site.position]
    return _decisions(plan, site, states, held_out_states, shuffled, float(c))


def _decisions(
    plan: FitPlan,
    site: LayerPosition,
    fitted: States,
    tested: States,
    labels: NDArray[np.bool_],
    c: float,
) -> Floats:
    """Return the log-odds [shuffles, m] of the questions ``tested`` at one site by probes fitted on
    those of ``fitted`` with each row of ``labels`` [shuffles, n].
    """
    at, (shuffles, n) = (site.layer, site.position), labels.shape
    same = torch.full((shuffles,), c, dtype=torch.float64)
    read = site_reader(fitted, *at)
    if plan.gram:
        states = torch.empty((n, fitted.shape[-1]), dtype=torch.float64)
        for rows, block in read(n):
            states[rows] = block.to(torch.float64)
        trained = train(
            states[None], torch.from_numpy(labels.astype(np.float64)), same, np.arange(n)
        )
        direction, shift = feature_weights(trained.solutions, trained.standardised, trained.scaling)
        return score_site(tested, *at, direction[0].numpy(), shift[0].numpy())
    site_rows = open_rows(read, n, fitted.shape[-1], plan.rows_bytes, SAMPLED)
    everyone = torch.ones((1, n), dtype=torch.bool)
    problems = Problems(
        torch.from_numpy(labels), everyone, torch.zeros(shuffles, dtype=torch.int64), same
    )
    fits = fit_primal(site_rows, problems, plan.problems)
    return score_site(tested, *at, fits.weights.numpy(), fits.intercept.numpy())


def shuffled_labels(
    correct: NDArray[np.bool_], *, n_shuffles: int, seed: int, domain: ArrayLike | None
) -> NDArray[np.bool_]:
    """Return ``n_shuffles`` permutations [n_shuffles, n] of ``correct`` [n], within each value of
    ``domain`` [n] when given.

    Raises:
        WorkbenchError: if ``domain`` and ``correct`` differ in length.
    """
    names = np.zeros(len(correct), dtype=np.int64) if domain is None else np.asarray(domain)
    if names.shape != correct.shape:
        raise WorkbenchError(
            f"domain has shape {names.shape} for {len(correct)} training questions; pass one each"
        )
    rng = np.random.default_rng(seed)
    shuffled = np.repeat(correct[None], n_shuffles, axis=0)
    for name in np.unique(names):
        members = np.flatnonzero(names == name)
        shuffled[:, members] = rng.permuted(shuffled[:, members], axis=1)
    return shuffled
