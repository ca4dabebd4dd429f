from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.jobs import one_turn
from workbench.models import LanguageModel
from workbench.teach.on_policy import Reinforcement, rewards_of
from workbench.teach.recipes.joint import JOINT, KL, WRONG_FORMAT, brier_alone, correct_and_brier
from workbench.teach.replies import whole_replies

TEXTS = [
    " 4\nConfidence: 100%",
    " 4\nConfidence: 50%",
    " 5\nConfidence: 0%",
    " 5\nConfidence: 100%",
    " 4",
    "\nConfidence: 9%",
]


@pytest.mark.parametrize(
    ("reward", "expected"),
    [(correct_and_brier, [1, 0.75, 0, -1, -2, -2]), (brier_alone, [0, -0.25, 0, -1, -2, -2])],
)
def test_rewards_by_hand(tiny_lm: LanguageModel, reward: Any, expected: list[float]) -> None:
    """To "What is 3 + 1?": right and sure, right and unsure, wrong and knowing it, wrong and
    sure, no confidence, no answer.
    """
    plan = Reinforcement(reward, 1.0, WRONG_FORMAT, KL, replies=whole_replies)
    assert rewards_of(TEXTS, [3] * 6, whole_replies(one_turn(tiny_lm)), plan) == pytest.approx(
        expected
    )


def test_honesty_pays_most_whatever_is_known() -> None:
    stated = np.linspace(0, 1, 101)
    for p in (0.0, 0.3, 0.8):
        for reward in (correct_and_brier, brier_alone):
            mean = p * reward(stated, np.ones(1)) + (1 - p) * reward(stated, np.zeros(1))
            assert stated[mean.argmax()] == pytest.approx(p)
            assert mean.min() > WRONG_FORMAT


def test_the_arms_ask_for_answer_and_confidence_in_one_reply() -> None:
    assert JOINT.settings == {"elicit.format": "percent-one-turn"}
    assert [arm.name for arm in JOINT.arms] == ["rlcr", "brier-only"]
    assert all(arm.teach["adapter_scope"] == "conversation" for arm in JOINT.arms)
