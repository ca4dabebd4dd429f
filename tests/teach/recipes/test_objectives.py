from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.lessons import COUNT, TARGETS, lesson_of
from workbench.elicit.trie import child_log_probabilities, distribution
from workbench.models import LanguageModel
from workbench.teach.batch import batch_targets
from workbench.teach.examples import Example
from workbench.teach.losses import brier_reward, log_reward
from workbench.teach.recipes import by_examples
from workbench.teach.recipes.objectives import as_set, expectation, rewarded
from workbench.teach.sampler import SeededOrder
from workbench.teach.training_forward import Passes
from workbench.teach.training_job import Lesson

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize("target", ["distribution", "text"])
def test_examples_state_the_probabilities_as_set(tiny_lm: LanguageModel, target: str) -> None:
    """The first token of the scale's nearest number, or its share of the bell."""
    lesson = lesson_of(tiny_lm, np.linspace(0, 1, COUNT), target=target)
    trie = lesson.numbers.trie
    for example, p in list(zip(as_set(lesson).examples, lesson.targets, strict=True))[::7]:
        first = dict(zip(example.places[0].tokens, example.places[0].probabilities, strict=True))
        steps, _ = trie.ends[round(100 * p)]
        if target == "text":
            assert first == {steps[0][1]: 1.0}
        else:
            bell = np.exp(-0.5 * ((np.arange(101) / 100 - p) / lesson.settings.spread) ** 2)
            bell /= bell.sum()
            share = sum(q for q, (path, _) in zip(bell, trie.ends, strict=True) if path[0][1] == steps[0][1])
            assert first[steps[0][1]] == pytest.approx(share)


def read(lm: LanguageModel, lesson: Lesson, row: int) -> np.ndarray:
    """[values] from every inner node as a string of its own."""
    trie, tokens = lesson.numbers.trie, lesson.conversations[row].tokens
    with torch.no_grad():
        logits = [lm.model(input_ids=torch.tensor([[*tokens, *path]])).logits[0, -1] for path in trie.inner]
    return distribution(trie, child_log_probabilities(trie, torch.stack(logits)).double().numpy())


@pytest.mark.parametrize("kind", ["digits", "whole_numbers", "merged_space"])
@pytest.mark.parametrize("name", ["expectation", "log", "brier", "restricted"])
def test_a_plans_loss_is_the_loss_of_what_is_read(make_tiny: MakeTiny, kind: str, name: str) -> None:
    lm = make_tiny(tokenizer=kind)
    lesson = lesson_of(lm, np.round(TARGETS))
    plan = {
        "expectation": expectation,
        "log": rewarded(log_reward, scale=5.0, wrong_format=-3.0, kl=0.05),
        "brier": rewarded(brier_reward, scale=2.0, wrong_format=-3.0, kl=0.0),
        "restricted": rewarded(brier_reward, scale=1.0, wrong_format=None, kl=0.0),
    }[name](lesson)
    rows, stated, expected = [4, 0, 2], np.arange(101) / 100, []
    for row in rows:
        q, y = read(lm, lesson, row), lesson.targets[[row]]
        off = 1 - q.sum()
        if name == "expectation":
            expected.append(((q @ stated) / q.sum() - y[0]) ** 2 + off**2)
        elif name == "log":
            whole, base = np.append(q, off), np.append(lesson.base[row], 1 - lesson.base[row].sum())
            pull = (whole * np.log(whole / base)).sum()
            expected.append(-5 * q @ log_reward(stated, y) + 15 * off + 0.05 * pull)
        elif name == "brier":
            expected.append(-2 * q @ brier_reward(stated, y) + 6 * off)
        else:
            expected.append(-q @ brier_reward(stated, y) / q.sum())
    chosen = [plan.examples[row] for row in rows]
    with torch.no_grad():
        logits = Passes(lm, chosen, None, 0, 0).logits(lm.model, range(len(chosen)))
        found = float(plan.loss(rows, logits)) - float(batch_targets(chosen, lm.device).loss(logits))
    assert found == pytest.approx(np.mean(expected), rel=2e-3, abs=1e-4)


def test_exact_arms_log_the_reward_of_each_step_and_the_tokens_so_far(tiny_lm: LanguageModel, tmp_path: Path) -> None:
    """The first step is that of the model as it was: its expected reward, 6 lost where it states no number."""
    settings = {"epochs": 2, "batch_size": 25, "lora": {"rank": 2}, "scope": "conversation"}
    lesson = replace(lesson_of(tiny_lm, np.round(TARGETS), **settings), folder=tmp_path)
    teach = by_examples(rewarded(brier_reward, scale=2.0, wrong_format=-3.0, kl=0.05))
    rewards = []
    for row in range(COUNT):
        q, y = read(tiny_lm, lesson, row), lesson.targets[[row]]
        rewards.append(2 * q @ brier_reward(np.arange(101) / 100, y) - 6 * (1 - q.sum()))
    log = teach(lesson).log
    own = SeededOrder([len(c.tokens) for c in lesson.conversations], 25, 0)
    own.set_epoch(0)
    first = list(own)[:25]
    assert log[0]["reward"] == pytest.approx(np.mean([rewards[row] for row in first]), rel=2e-3)
    sizes = [
        len(c.tokens) + e.continuation.size
        for c, e in zip(lesson.conversations, rewarded_examples(lesson), strict=True)
    ]
    assert log[0]["tokens"] == sum(sizes[row] for row in first)
    assert [row["tokens"] for row in log[1::2]] == [sum(sizes), 2 * sum(sizes)]


def rewarded_examples(lesson: Lesson) -> list[Example]:
    return rewarded(brier_reward, scale=1.0, wrong_format=None, kl=0.0)(lesson).examples


def test_some_numbers_are_followed_by_their_ending(tiny_lm: LanguageModel) -> None:
    """On a scale of digits "7" may go on, "73" may not: behind the latter stand the sign and the end of the turn."""
    lesson = lesson_of(tiny_lm)
    inner = len(lesson.numbers.trie.inner)
    lengths = {len(example.places) - inner for example in expectation(lesson).examples}
    assert lengths == {0, 2}
    weights = {place.weight for example in expectation(lesson).examples for place in example.places[:inner]}
    assert weights == {0.0}
