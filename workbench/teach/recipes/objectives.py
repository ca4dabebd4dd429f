"""Define training plans: plain functions from a job to training examples and a loss. Recipes name
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.errors import WorkbenchError
from workbench.teach.examples import Example, distribution_examples, scale_examples, text_examples
from workbench.teach.losses import (
    Reward,
    add_losses,
    brier_of_expectation,
    cross_entropy,
    expected_reward,
    mean_reward,
)
from workbench.teach.pairwise_examples import pair_examples, size_of, within_budget
from workbench.teach.targets import scale_targets, spread_targets
from workbench.teach.training_job import Objective, TrainingJob


def configured_objective(job: TrainingJob) -> Objective:
    """Return examples whose target is a bell around the probability, or its nearest value written
    out, as ``teach.target`` says.
    """
    tokenizer, fmt, numbers = job.lm.tokenizer, job.fmt, job.numbers
    if job.settings.target == "distribution":
        bells = spread_targets(job.targets, fmt.scale, job.settings.target_std)
        examples = distribution_examples(tokenizer, fmt, numbers, job.conversations, bells)
    else:
        written = scale_targets(job.targets, fmt.scale).tolist()
        examples = text_examples(tokenizer, fmt, numbers, job.conversations, written)
    return Objective(examples, cross_entropy(examples))


def pairwise_objective(job: TrainingJob) -> Objective:
    """Return comparisons of two questions by their levels, with as many tokens as
    :func:`configured_objective` would take.
    """
    examples = _pairs_within(job, _tokens(configured_objective(job).examples))
    return Objective(examples, cross_entropy(examples))


def mixed_objective(job: TrainingJob) -> Objective:
    """Return examples of single questions and comparisons, half of the tokens of
    :func:`configured_objective` each.
    """
    single = configured_objective(job).examples
    order = np.random.default_rng(job.seed).permutation(len(single))
    half = _tokens(single) / 2
    examples = [
        *within_budget([single[number] for number in order], half),
        *_pairs_within(job, half),
    ]
    return Objective(examples, cross_entropy(examples))


def _pairs_within(job: TrainingJob, tokens: float) -> list[Example]:
    if job.levels is None:
        raise WorkbenchError(
            "Comparisons are drawn between levels of confidence; give the arm its levels."
        )
    made = pair_examples(job.lm, job.questions, job.levels, 2 * len(job.questions), job.seed)
    return within_budget(made, tokens)


def _tokens(examples: Sequence[Example]) -> int:
    return sum(map(size_of, examples))


def expectation_objective(job: TrainingJob) -> Objective:
    """Return examples and a loss that move the mean of the distribution to the target, by squared
    error.
    """
    examples = scale_examples(job.lm.tokenizer, job.fmt, job.numbers, job.conversations, job.seed)
    brier = brier_of_expectation(job.numbers.trie, job.targets, job.fmt.scale.certain)
    return Objective(examples, add_losses(cross_entropy(examples), brier))


def expected_reward_objective(
    reward: Reward, *, scale: float, wrong_format: float | None, kl: float
) -> Callable[[TrainingJob], Objective]:
    """Return a plan whose loss is the expected reward in closed form, for targets that are right or
    wrong. Each step logs the reward of its batch as ``reward``.

    Args:
        scale: best reward of a stated value; the worst is its negative.
        wrong_format: reward of stating no value, in units of ``scale``; None: the distribution is
            restricted to the scale.
        kl: weight of the divergence from the model without the adapter.
    """

    def plan(job: TrainingJob) -> Objective:
        tokenizer, trie = job.lm.tokenizer, job.numbers.trie
        examples = scale_examples(tokenizer, job.fmt, job.numbers, job.conversations, job.seed)
        stated = np.asarray(trie.values, dtype=np.float64) / job.fmt.scale.certain
        rewards = scale * reward(stated, job.targets[:, None])
        wrong = None if wrong_format is None else scale * wrong_format
        loss = expected_reward(trie, rewards, wrong_format=wrong, kl=kl, base=job.base)
        measured = {"reward": mean_reward(trie, rewards, wrong_format=wrong)}
        return Objective(examples, add_losses(cross_entropy(examples), loss), measured)

    return plan
