from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.jobs import training_job
from tests.support.settings import written
from workbench.config import RunConfig
from workbench.experiments.recipes.trainings import arm_settings
from workbench.models import LanguageModel
from workbench.teach.losses import expected_reward, log_reward
from workbench.teach.recipes import DOUBT
from workbench.teach.recipes.doubt import SCALE, WRONG_FORMAT


@pytest.mark.parametrize("arm", [arm.name for arm in DOUBT.arms])
def test_every_arm_teaches_grades_without_other_measurements(arm: str) -> None:
    assert DOUBT.arm(arm).sources == ()
    assert DOUBT.arm(arm).head_reader is None


def test_stating_no_number_costs_three_times_the_worst_reward(tiny_lm: LanguageModel) -> None:
    """All mass off the scale: every row's loss is 15, whatever its grade; the pull to the base
    model comes on top.
    """
    job = training_job(tiny_lm)
    trie = job.numbers.trie
    rewards = SCALE * log_reward(np.arange(101) / 100, np.round(job.targets)[:, None])
    assert rewards.min() == pytest.approx(-5)
    assert rewards.max() == pytest.approx(5)
    loss = expected_reward(trie, rewards, wrong_format=SCALE * WRONG_FORMAT, kl=0.0, base=None)
    logits = torch.zeros(2, len(trie.inner), 384)
    logits[..., 7] = 60.0
    assert float(loss([0, 1], logits)) == pytest.approx(15, rel=1e-4)


def test_sampled_arms_and_their_exact_counterpart_share_their_settings() -> None:
    sampled, other, exact = (
        arm_settings(written(), DOUBT.arm(name)) for name in ("grpo", "rloo", "log-whole")
    )
    assert sampled == other == exact
    assert sampled.lora.dropout == 0
    assert sampled.lora.rank == RunConfig().teach.lora.rank
