"""Define losses as plain functions of the examples in a batch and the logits at their places.

A loss that a proper score defines is written over the exact distribution q of the confidence scale,
so it is a closed form without sampling. With R(v, y) the reward for stating v when the answer is
right (y = 1) or wrong (y = 0), and ``wrong_format`` the reward for stating no number of the scale
at all, the loss of a row is

    - sum_v q(v) R(v, y) - q(no number) wrong_format + kl * KL(q || q of the model without the
      adapter),

which is what policy-gradient methods estimate by sampling replies (Rewarding Doubt, arXiv
2503.02623), here with zero variance. With the Brier score on q restricted to the scale it is
tokenised Brier (ConfTuner).

A reward's expectation does not fix how the probability is spread. It is linear in q, so its best
answer is all mass on one value; the Brier score OF the expectation (:func:`brier_of_expectation`)
fixes the mean alone and nothing about the spread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.elicit.trie import ScaleTrie
from workbench.teach.batch import batch_targets
from workbench.teach.examples import Example

Loss = Callable[[Sequence[int], Tensor], Tensor]
"""A loss: a function of the numbers of a batch's examples and their logits [rows, places, vocab],
which gives the mean over rows, a scalar.
"""
Reward = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""A reward: a function of stated confidences [values] and right or wrong [rows, 1], both on 0-1,
which gives the reward [rows, values].
"""
CLIP = 0.001
SMALLEST_BASE = 1e-8


def cross_entropy(examples: Sequence[Example]) -> Loss:
    """Return the cross-entropy of what should follow at every place, as the examples say (see
    :mod:`workbench.teach.examples`).
    """

    def loss(rows: Sequence[int], logits: Tensor) -> Tensor:
        return batch_targets([examples[row] for row in rows], logits.device).loss(logits)

    return loss


def log_reward(stated: NDArray[np.float64], correct: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the log score with confidence clipped to [.001, .999], moved onto [-1, 1]. Proper only
    inside the clip.
    """
    clipped = np.clip(stated, CLIP, 1 - CLIP)
    score = np.where(correct > 0.5, np.log(clipped), np.log1p(-clipped))
    worst, best = np.log(CLIP), np.log1p(-CLIP)
    return 2 * (score - worst) / (best - worst) - 1


def brier_reward(stated: NDArray[np.float64], correct: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Brier score moved onto [-1, 1]: 1 - 2 (stated - correct)^2."""
    return 1 - 2 * (stated - correct) ** 2


def expected_reward(
    trie: ScaleTrie,
    rewards: NDArray[np.float64],
    *,
    wrong_format: float | None,
    kl: float,
    base: NDArray[np.float64] | None,
) -> Loss:
    """Return the loss: minus the expected reward, plus the weighted divergence from the base model.

    Args:
        rewards: [examples, values].
        wrong_format: reward of a reply that states no value; None: the distribution is restricted
            to the scale.
        kl: weight of the divergence; 0 needs no ``base``.
        base: [examples, values] probabilities of the model without the adapter, as elicited; they
            sum to the mass on the scale.
    """
    gains = _gains(rewards, wrong_format)
    reference = None if kl == 0 or base is None else _log_with_rest(base)

    def loss(rows: Sequence[int], logits: Tensor) -> Tensor:
        scores = trie.log_probabilities_and_rest(logits[:, : len(trie.inner)])
        total = -_expected(scores, gains[list(rows)])
        if reference is not None:
            total = total + kl * _divergence(scores, reference[list(rows)].to(scores.device))
        return total.mean()

    return loss


def mean_reward(
    trie: ScaleTrie, rewards: NDArray[np.float64], *, wrong_format: float | None
) -> Loss:
    """Return the expected reward alone, which sampled reinforcement estimates; higher is better.
    Arguments are as in :func:`expected_reward`.
    """
    gains = _gains(rewards, wrong_format)

    def measure(rows: Sequence[int], logits: Tensor) -> Tensor:
        return _expected(
            trie.log_probabilities_and_rest(logits[:, : len(trie.inner)]), gains[list(rows)]
        ).mean()

    return measure


def brier_of_expectation(trie: ScaleTrie, targets: NDArray[np.float64], certain: float) -> Loss:
    """Return the loss (E[v] - target)^2, with the mean over the distribution restricted to the
    scale, plus (mass off the scale)^2.

    ``targets`` [examples] are shares of certainty. Without the second term, the mass off the scale
    would be left free.
    """
    wanted = torch.as_tensor(targets, dtype=torch.float32)
    values = torch.as_tensor(trie.values, dtype=torch.float32) / certain

    def loss(rows: Sequence[int], logits: Tensor) -> Tensor:
        scores = trie.log_probabilities_and_rest(logits[:, : len(trie.inner)])
        mean = scores[:, :-1].softmax(dim=-1) @ values.to(scores.device)
        off = scores[:, -1].exp()
        return ((mean - wanted[list(rows)].to(scores.device)) ** 2 + off**2).mean()

    return loss


def add_losses(*losses: Loss) -> Loss:
    """Return the sum of several losses on the same batch."""

    def loss(rows: Sequence[int], logits: Tensor) -> Tensor:
        return torch.stack([each(rows, logits) for each in losses]).sum()

    return loss


def _gains(rewards: NDArray[np.float64], wrong_format: float | None) -> Tensor:
    """Return the rewards [rows, values], and after them that of stating no value where there is
    one.
    """
    gains = torch.as_tensor(rewards, dtype=torch.float32)
    return (
        gains
        if wrong_format is None
        else torch.cat([gains, torch.full((len(gains), 1), wrong_format)], dim=1)
    )


def _expected(scores: Tensor, gains: Tensor) -> Tensor:
    """Return the mean [rows] of ``gains`` under log-probabilities ``scores`` [rows, values + 1],
    restricted to the outcomes they cover.
    """
    covered = scores if gains.shape[1] == scores.shape[1] else scores[:, :-1].log_softmax(dim=-1)
    return (covered.exp() * gains.to(scores.device)).sum(dim=-1)


def _divergence(scores: Tensor, reference: Tensor) -> Tensor:
    """Return KL(q || reference) [rows] over values and the rest; both are log-probabilities [rows,
    values + 1].
    """
    return (scores.exp() * (scores - reference)).sum(dim=-1)


def _log_with_rest(base: NDArray[np.float64]) -> Tensor:
    """Return the log of the base's probabilities and of the rest. Probabilities are at least
    SMALLEST_BASE, because elicited ones may round to 0.
    """
    rest = 1 - base.sum(axis=-1, keepdims=True)
    return torch.as_tensor(
        np.log(np.maximum(np.concatenate([base, rest], axis=-1), SMALLEST_BASE)),
        dtype=torch.float32,
    )
