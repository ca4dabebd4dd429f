from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.jobs import COUNT, TARGETS, training_job
from workbench.models import LanguageModel
from workbench.teach.batch import batch_targets
from workbench.teach.examples import Example
from workbench.teach.losses import brier_reward, log_reward
from workbench.teach.recipes import train_on_examples
from workbench.teach.recipes.objectives import (
    configured_objective,
    expectation_objective,
    expected_reward_objective,
)
from workbench.teach.sampler import SeededOrder
from workbench.teach.training_forward import Passes
from workbench.teach.training_job import TrainingJob

MakeTiny = Callable[..., LanguageModel]


@pytest.mark.parametrize("target", ["distribution", "text"])
def test_examples_state_the_probabilities_as_set(tiny_lm: LanguageModel, target: str) -> None:
    """The first token of the scale's nearest number, or its share of the bell."""
    job = training_job(tiny_lm, np.linspace(0, 1, COUNT), target=target)
    trie = job.numbers.trie
    for example, p in list(zip(configured_objective(job).examples, job.targets, strict=True))[::7]:
        first = dict(zip(example.places[0].tokens, example.places[0].probabilities, strict=True))
        steps, _ = trie.ends[round(100 * p)]
        if target == "text":
            assert first == {steps[0][1]: 1.0}
        else:
            bell = np.exp(-0.5 * ((np.arange(101) / 100 - p) / job.settings.target_std) ** 2)
            bell /= bell.sum()
            share = sum(
                q for q, (path, _) in zip(bell, trie.ends, strict=True) if path[0][1] == steps[0][1]
            )
            assert first[steps[0][1]] == pytest.approx(share)


def read(lm: LanguageModel, job: TrainingJob, row: int) -> np.ndarray:
    """[values] from every inner node as a string of its own."""
    trie, tokens = job.numbers.trie, job.conversations[row].tokens
    with torch.no_grad():
        logits = [
            lm.model(input_ids=torch.tensor([[*tokens, *path]])).logits[0, -1]
            for path in trie.inner
        ]
    return trie.distribution(trie.readout(torch.stack(logits)))


@pytest.mark.parametrize("kind", ["digits", "whole_numbers", "merged_space"])
@pytest.mark.parametrize("name", ["expectation", "log", "brier", "restricted"])
def test_a_plans_loss_is_the_loss_of_what_is_read(
    make_tiny: MakeTiny, kind: str, name: str
) -> None:
    lm = make_tiny(tokenizer=kind)
    job = training_job(lm, np.round(TARGETS))
    plan = {
        "expectation": expectation_objective,
        "log": expected_reward_objective(log_reward, scale=5.0, wrong_format=-3.0, kl=0.05),
        "brier": expected_reward_objective(brier_reward, scale=2.0, wrong_format=-3.0, kl=0.0),
        "restricted": expected_reward_objective(brier_reward, scale=1.0, wrong_format=None, kl=0.0),
    }[name](job)
    rows, stated, expected = [4, 0, 2], np.arange(101) / 100, []
    for row in rows:
        q, y = read(lm, job, row), job.targets[[row]]
        off = 1 - q.sum()
        if name == "expectation":
            expected.append(((q @ stated) / q.sum() - y[0]) ** 2 + off**2)
        elif name == "log":
            whole, base = np.append(q, off), np.append(job.base[row], 1 - job.base[row].sum())
            pull = (whole * np.log(whole / base)).sum()
            expected.append(-5 * q @ log_reward(stated, y) + 15 * off + 0.05 * pull)
        elif name == "brier":
            expected.append(-2 * q @ brier_reward(stated, y) + 6 * off)
        else:
            expected.append(-q @ brier_reward(stated, y) / q.sum())
    chosen = [plan.examples[row] for row in rows]
    with torch.no_grad():
        logits = Passes(lm, chosen, None, 0, 0).logits(lm.model, range(len(chosen)))
        found = float(plan.loss(rows, logits)) - float(
            batch_targets(chosen, lm.device).loss(logits)
        )
    assert found == pytest.approx(np.mean(expected), rel=2e-3, abs=1e-4)


def test_exact_arms_log_the_reward_of_each_step_and_the_tokens_so_far(
    tiny_lm: LanguageModel, tmp_path: Path
) -> None:
    """The first step is that of the model as it was: its expected reward, 6 lost where it states
    no number.
    """
    settings = {"epochs": 2, "batch_size": 25, "lora": {"rank": 2}, "adapter_scope": "conversation"}
    job = replace(training_job(tiny_lm, np.round(TARGETS), **settings), folder=tmp_path)
    teach = train_on_examples(
        expected_reward_objective(brier_reward, scale=2.0, wrong_format=-3.0, kl=0.05)
    )
    own = SeededOrder([len(c.tokens) for c in job.conversations], 25, 0)
    own.set_epoch(0)
    first, rewards = list(own)[:25], []
    for row in first:
        q, y = read(tiny_lm, job, row), job.targets[[row]]
        rewards.append(2 * q @ brier_reward(np.arange(101) / 100, y) - 6 * (1 - q.sum()))
    log = teach(job).log
    assert log[0]["reward"] == pytest.approx(np.mean(rewards), rel=2e-3)
    sizes = [
        len(c.tokens) + e.tree.size
        for c, e in zip(job.conversations, rewarded_examples(job), strict=True)
    ]
    assert log[0]["tokens"] == sum(sizes[row] for row in first)
    assert [row["tokens"] for row in log[1::2]] == [sum(sizes), 2 * sum(sizes)]


def rewarded_examples(job: TrainingJob) -> list[Example]:
    return expected_reward_objective(brier_reward, scale=1.0, wrong_format=None, kl=0.0)(
        job
    ).examples


def test_some_numbers_are_followed_by_their_ending(tiny_lm: LanguageModel) -> None:
    """On a scale of digits "7" may go on, "73" may not: behind the latter stand the sign and the
    end of the turn.
    """
    job = training_job(tiny_lm)
    inner = len(job.numbers.trie.inner)
    lengths = {len(example.places) - inner for example in expectation_objective(job).examples}
    assert lengths == {0, 2}
    weights = {
        place.weight
        for example in expectation_objective(job).examples
        for place in example.places[:inner]
    }
    assert weights == {0.0}
