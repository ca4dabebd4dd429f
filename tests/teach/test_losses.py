"""Losses against hand numbers, finite differences, and the sampling that they replace."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from workbench.elicit.trie import build_trie
from workbench.teach.losses import (
    CLIP,
    Loss,
    add_losses,
    brier_of_expectation,
    brier_reward,
    expected_reward,
    log_reward,
)

# Digits 0 and 1, "1" continued by "0" to ten; certain is 10. Token 2 is no number.
TRIE = build_trie([(0,), (1,), (1, 0)], (0, 1, 10))
STATED = np.array([0.0, 0.1, 1.0])
CORRECT = np.array([1.0, 0.0])


def random_logits(seed: int = 0) -> Tensor:
    return torch.randn(2, 2, 3, generator=torch.Generator().manual_seed(seed))


def distribution_of(logits: Tensor) -> np.ndarray:
    """[rows, values + 1] by plain products."""
    p = logits.double().softmax(dim=-1).numpy()
    ended = 1 - p[:, 1, 0]
    values = np.stack([p[:, 0, 0], p[:, 0, 1] * ended, p[:, 0, 1] * p[:, 1, 0]], axis=1)
    return np.concatenate([values, 1 - values.sum(axis=1, keepdims=True)], axis=1)


REWARDS = {
    "log": 5 * log_reward(STATED, CORRECT[:, None]),
    "brier": 5 * brier_reward(STATED, CORRECT[:, None]),
}


def loss_of(
    name: str, wrong: float | None = -15.0, kl: float = 0.0, base: np.ndarray | None = None
) -> Loss:
    return expected_reward(TRIE, REWARDS[name], wrong_format=wrong, kl=kl, base=base)


def test_the_log_reward_by_hand() -> None:
    found = log_reward(np.array([0.0, 0.5, 1.0]), np.array([[1.0], [0.0]]))
    half = 2 * (np.log(0.5) - np.log(CLIP)) / (np.log(1 - CLIP) - np.log(CLIP)) - 1
    assert found == pytest.approx(np.array([[-1, half, 1], [1, half, -1]]))


def test_the_brier_reward_by_hand() -> None:
    found = brier_reward(np.array([0.0, 0.25, 1.0]), np.array([[1.0], [0.0]]))
    assert found == pytest.approx(np.array([[-1, 1 - 2 * 0.5625, 1], [1, 1 - 2 * 0.0625, -1]]))


@pytest.mark.parametrize("reward", [log_reward, brier_reward])
@pytest.mark.parametrize("p", [0.02, 0.3, 0.77, 0.98])
def test_stating_the_probability_is_best(reward: object, p: float) -> None:
    stated = np.arange(101) / 100
    each = reward(stated, np.array([[1.0], [0.0]]))  # type: ignore[operator]
    assert stated[(p * each[0] + (1 - p) * each[1]).argmax()] == pytest.approx(p)


@pytest.mark.parametrize("name", ["log", "brier"])
def test_the_expected_reward_by_brute_force(name: str) -> None:
    logits = random_logits()
    q = distribution_of(logits)
    whole = np.concatenate([REWARDS[name], np.full((2, 1), -15.0)], axis=1)
    assert float(loss_of(name)([0, 1], logits)) == pytest.approx(
        -(q * whole).sum(axis=1).mean(), rel=1e-5
    )
    inside = q[:, :-1] / q[:, :-1].sum(axis=1, keepdims=True)
    restricted = float(loss_of(name, wrong=None)([0, 1], logits))
    assert restricted == pytest.approx(-(inside * REWARDS[name]).sum(axis=1).mean(), rel=1e-5)


def test_rows_are_found_by_their_number() -> None:
    logits = random_logits()
    both = [float(loss_of("log")([row], logits[[place]])) for place, row in enumerate((1, 0))]
    assert float(loss_of("log")([1, 0], logits)) == pytest.approx(np.mean(both), rel=1e-6)


def test_tokenised_brier_is_the_restricted_brier_reward() -> None:
    """sum_i q_i (y - i/N)^2 over the softmax restricted to the scale: the same up to the
    reward's affine map.
    """
    logits = random_logits(3)
    q = distribution_of(logits)[:, :-1]
    q /= q.sum(axis=1, keepdims=True)
    published = (q * (CORRECT[:, None] - STATED) ** 2).sum(axis=1).mean()
    loss = expected_reward(
        TRIE, brier_reward(STATED, CORRECT[:, None]), wrong_format=None, kl=0.0, base=None
    )
    assert float(loss([0, 1], logits)) == pytest.approx(2 * published - 1, rel=1e-5)


def test_the_divergence_by_brute_force_and_zero_for_the_base_itself() -> None:
    logits, base = random_logits(), distribution_of(random_logits(7))
    q = distribution_of(logits)
    expected = (q * np.log(q / base)).sum(axis=1).mean()
    apart = float(loss_of("log", kl=1.0, base=base[:, :-1])([0, 1], logits)) - float(
        loss_of("log")([0, 1], logits)
    )
    assert apart == pytest.approx(expected, rel=1e-4)
    same = float(loss_of("log", kl=1.0, base=q[:, :-1])([0, 1], logits)) - float(
        loss_of("log")([0, 1], logits)
    )
    assert same == pytest.approx(0, abs=1e-5)


LOSSES = {
    "log": loss_of("log", kl=0.05, base=distribution_of(random_logits(7))[:, :-1]),
    "brier": loss_of("brier"),
    "restricted": loss_of("brier", wrong=None),
    "expectation": brier_of_expectation(TRIE, np.array([0.8, 0.1]), 10),
}


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_finite_differences(name: str) -> None:
    loss, logits, step = LOSSES[name], random_logits(5), 1e-2
    leaf = logits.clone().requires_grad_()
    loss([0, 1], leaf).backward()
    assert leaf.grad is not None
    for place in np.ndindex(2, 2, 3):
        up, down = logits.clone(), logits.clone()
        up[place] += step
        down[place] -= step
        slope = (float(loss([0, 1], up)) - float(loss([0, 1], down))) / (2 * step)
        assert float(leaf.grad[place]) == pytest.approx(
            slope, abs=2e-3 * max(1.0, float(leaf.grad.abs().max()))
        )


def test_the_gradient_is_what_sampled_policy_gradients_estimate() -> None:
    """REINFORCE over 40,000 sampled replies, by the score function; its mean lies within five
    standard errors.
    """
    logits, rng, draws = random_logits(5), np.random.default_rng(0), 40_000
    leaf = logits.clone().requires_grad_()
    loss_of("log")([0, 1], leaf).backward()
    assert leaf.grad is not None
    rewards = np.concatenate([REWARDS["log"], np.full((2, 1), -15.0)], axis=1)
    scores = torch.stack(
        [
            torch.stack([score_function(logits, row, outcome) for outcome in range(4)])
            for row in range(2)
        ]
    ).numpy()  # [rows, outcomes, nodes * tokens]
    for row, q in enumerate(distribution_of(logits)):
        outcome = rng.choice(4, size=draws, p=q)
        sampled = -rewards[row, outcome][:, None] * scores[row, outcome] / 2
        error = sampled.std(axis=0) / np.sqrt(draws)
        assert (
            np.abs(sampled.mean(axis=0) - leaf.grad[row].flatten().numpy()) < 5 * error + 1e-6
        ).all()


def score_function(logits: Tensor, row: int, outcome: int) -> Tensor:
    """Gradient of the log-probability of one outcome of one row by that row's logits."""
    leaf = logits[[row]].clone().requires_grad_()
    TRIE.log_probabilities_and_rest(leaf)[0, outcome].backward()
    assert leaf.grad is not None
    return leaf.grad.flatten()


def test_the_brier_score_of_the_expectation_by_hand() -> None:
    """Half on 0, half on ten, one tenth off the scale: the mean is one half."""
    q = torch.tensor([[[0.45, 0.45, 0.1], [1 - 2e-6, 1e-6, 1e-6]]]).log()
    found = brier_of_expectation(TRIE, np.array([0.8]), 10)([0], q)
    assert float(found) == pytest.approx((0.5 - 0.8) ** 2 + 0.1**2, abs=1e-4)


def test_losses_add_up() -> None:
    logits = random_logits()
    both = float(add_losses(LOSSES["log"], LOSSES["brier"])([0, 1], logits))
    assert both == pytest.approx(
        sum(float(LOSSES[n]([0, 1], logits)) for n in ("log", "brier")), rel=1e-6
    )
