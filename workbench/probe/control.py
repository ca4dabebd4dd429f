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
from torch import Tensor

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure import auroc2, auroc2_within
from workbench.probe.crossfit import LayerPosition, LayerwiseProbe
from workbench.probe.crossfit_layer import train
from workbench.probe.logistic import feature_weights
from workbench.probe.states import States, check_states, layer_states
from workbench.probe.workers import each_layer


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
    n = check_states(states)[0]
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
    labels = torch.from_numpy(shuffled.astype(np.float64))
    shapes = probe.weights.shape

    def scores(layer: int) -> Floats:
        """Return the log-odds [positions, shuffles, m] of the held-out rows of one layer."""
        fitted = layer_states(states, layer).transpose(0, 1)
        tested = layer_states(held_out_states, layer).transpose(0, 1)
        return np.stack(
            [
                _decisions(fitted[position], tested[position], labels, float(c))
                for position, c in enumerate(probe.c[layer])
            ]
        )

    decisions = np.stack(each_layer(scores, shapes[0], n, "Fitting shuffled probes"))
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
    fitted, tested = (
        layer_states(part, site.layer)[:, site.position] for part in (states, held_out_states)
    )
    labels = torch.from_numpy(shuffled.astype(np.float64))
    return _decisions(fitted, tested, labels, float(probe.c[site.layer, site.position]))


def _decisions(fitted: Tensor, tested: Tensor, labels: Tensor, c: float) -> Floats:
    """Return the log-odds [shuffles, m] of the rows ``tested`` [m, width] by probes fitted on
    ``fitted`` [n, width] with each row of ``labels`` [shuffles, n].
    """
    same = torch.full((len(labels),), c, dtype=torch.float64)
    trained = train(fitted[None].to(torch.float64), labels, same, np.arange(len(fitted)))
    direction, intercept = feature_weights(trained.solutions, trained.standardised, trained.scaling)
    found: Floats = (direction[0] @ tested.to(torch.float64).mT + intercept[0, :, None]).numpy()
    return found


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
