"""Plans: from a lesson to training examples and a loss. Recipes name them; each is a plain function."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from workbench.errors import WorkbenchError
from workbench.teach.examples import Example, distribution_examples, scale_examples, text_examples
from workbench.teach.losses import (
    Reward,
    added,
    brier_of_expectation,
    cross_entropy,
    expected_reward,
    mean_reward,
)
from workbench.teach.pairwise_examples import pair_examples, size_of, within_budget
from workbench.teach.scale_distribution import scale_paths
from workbench.teach.targets import scale_targets, spread_targets
from workbench.teach.training_job import Lesson, Plan


def as_set(lesson: Lesson) -> Plan:
    """A bell around the target, or its nearest value written out: what ``teach.target`` says."""
    tokenizer, fmt, numbers = lesson.lm.tokenizer, lesson.fmt, lesson.numbers
    if lesson.settings.target == "distribution":
        bells = spread_targets(lesson.targets, fmt.scale, lesson.settings.spread)
        examples = distribution_examples(tokenizer, fmt, numbers, lesson.conversations, bells)
    else:
        written = scale_targets(lesson.targets, fmt.scale).tolist()
        examples = text_examples(tokenizer, fmt, numbers, lesson.conversations, written)
    return Plan(examples, cross_entropy(examples))


def compared(lesson: Lesson) -> Plan:
    """Comparisons of two questions by their levels, of as many tokens as :func:`as_set` would take."""
    examples = _pairs_within(lesson, _tokens(as_set(lesson).examples))
    return Plan(examples, cross_entropy(examples))


def mixed(lesson: Lesson) -> Plan:
    """Single questions and comparisons, half of the tokens of :func:`as_set` each."""
    single = as_set(lesson).examples
    order = np.random.default_rng(lesson.seed).permutation(len(single))
    half = _tokens(single) / 2
    examples = [*within_budget([single[number] for number in order], half), *_pairs_within(lesson, half)]
    return Plan(examples, cross_entropy(examples))


def _pairs_within(lesson: Lesson, tokens: float) -> list[Example]:
    if lesson.levels is None:
        raise WorkbenchError("Comparisons are drawn between levels of confidence; give the arm its levels.")
    made = pair_examples(lesson.lm, lesson.questions, lesson.levels, 2 * len(lesson.questions), lesson.seed)
    return within_budget(made, tokens)


def _tokens(examples: Sequence[Example]) -> int:
    return sum(map(size_of, examples))


def expectation(lesson: Lesson) -> Plan:
    """The mean of the distribution at the target, by squared error."""
    examples = scale_examples(lesson.lm.tokenizer, lesson.fmt, lesson.numbers, lesson.conversations, lesson.seed)
    brier = brier_of_expectation(scale_paths(lesson.numbers.trie), lesson.targets, lesson.fmt.scale.certain)
    return Plan(examples, added(cross_entropy(examples), brier))


def rewarded(reward: Reward, *, scale: float, wrong_format: float | None, kl: float) -> Callable[[Lesson], Plan]:
    """The expected reward in closed form, for targets that are right or wrong; each step logs that of its batch as ``reward``.

    Args:
        scale: best reward of a stated value; the worst is its negative.
        wrong_format: reward of stating no value, in units of ``scale``; None: the distribution is restricted to the scale.
        kl: weight of the divergence from the model without the adapter.
    """

    def plan(lesson: Lesson) -> Plan:
        tokenizer, trie = lesson.lm.tokenizer, lesson.numbers.trie
        examples = scale_examples(tokenizer, lesson.fmt, lesson.numbers, lesson.conversations, lesson.seed)
        stated = np.asarray(trie.values, dtype=np.float64) / lesson.fmt.scale.certain
        paths, rewards = scale_paths(trie), scale * reward(stated, lesson.targets[:, None])
        wrong = None if wrong_format is None else scale * wrong_format
        loss = expected_reward(paths, rewards, wrong_format=wrong, kl=kl, base=lesson.base)
        measured = {"reward": mean_reward(paths, rewards, wrong_format=wrong)}
        return Plan(examples, added(cross_entropy(examples), loss), measured)

    return plan
