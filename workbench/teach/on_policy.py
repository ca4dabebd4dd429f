"""Define what sampled reinforcement rewards, with which of TRL's trainers, and for how long.

A reply's reward is ``scale`` times a score of what it states, higher is better, and
``wrong_format`` times the scale where it states nothing on the scale. The training itself is
:func:`workbench.teach.reinforce.train_on_policy`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from workbench.errors import WorkbenchError
from workbench.teach.losses import Reward
from workbench.teach.replies import Replies, confidence_replies
from workbench.teach.training_job import TrainingJob

STEPS = 40
"""Updates of an arm, unless ``teach.on_policy_steps`` says another number."""
SAMPLED: Mapping[str, Any] = {
    "adapter_scope": "conversation",
    "start_layer": 0,
    "learning_rate": 1e-4,
    "loraplus_lr_ratio": 1,
    "weight_decay": 0.0,
    "batch_size": 2,
    "checkpoint_steps": 10,
    "lora": {"dropout": 0.0},
}
"""Training settings of sampled arms. They have no dropout, because replies would be sampled and
scored under different masks.
"""


@dataclass(frozen=True)
class Algorithm:
    """A training algorithm: one of TRL's trainers.

    Attributes:
        trainer, config: names in ``trl``, which is not needed by anything else.
        options: fields of its configuration.
        passes: number of passes over every token of a prompt and its reply, without the pass of the
            model without the adapter.
        opens: whether replies may have an opening.
    """

    trainer: str
    config: str
    options: Mapping[str, Any]
    passes: int
    opens: bool = False


GRPO = Algorithm("GRPOTrainer", "GRPOConfig", {"scale_rewards": "none"}, passes=2, opens=True)
RLOO = Algorithm("RLOOTrainer", "RLOOConfig", {"normalize_advantages": False}, passes=3)


@dataclass(frozen=True)
class Reinforcement:
    """A plan of sampled reinforcement: what is rewarded, how, and for how long.

    Attributes:
        reward: function of stated shares and grades, with values in [-1, 1].
        scale, wrong_format: as in
            :func:`workbench.teach.recipes.objectives.expected_reward_objective`.
        kl: weight of the divergence from the model without the adapter.
        steps: updates, unless ``teach.on_policy_steps`` says another number; each samples
            ``teach.group_size`` replies to each of ``teach.batch_size`` prompts.
        replies: what is sampled.
    """

    reward: Reward
    scale: float
    wrong_format: float
    kl: float
    steps: int = STEPS
    algorithm: Algorithm = GRPO
    replies: Callable[[TrainingJob], Replies] = confidence_replies

    @property
    def passes(self) -> int:
        """The number of passes over every token of a prompt and its reply."""
        return self.algorithm.passes + (self.kl > 0)


def require_trl() -> None:
    """Refuse an environment without TRL.

    Raises:
        WorkbenchError: if TRL is missing; it names the extra that brings it.
    """
    if find_spec("trl") is None:
        raise WorkbenchError(
            "Sampled reinforcement needs trl, which is not installed: pip install "
            "'confidence-workbench[rl]'."
        )


def rewards_of(
    texts: Sequence[str], rows: Sequence[int], replies: Replies, plan: Reinforcement
) -> list[float]:
    """Return the reward of each reply ``texts`` to the prompts ``rows``.

    A reply whose answer could not be graded gets the mean reward of the others to its prompt, so
    that it has no effect.
    """
    judged = [replies.judge(row, text) for row, text in zip(rows, texts, strict=True)]
    stated, correct = (
        np.array([getattr(one, name) for one in judged]) for name in ("stated", "correct")
    )
    known = ~np.isnan(stated)
    ungraded = known & np.isnan(correct)
    scores = plan.reward(np.where(known, stated, 0.5), np.where(np.isnan(correct), 0.0, correct))
    rewards = plan.scale * np.where(known, scores, plan.wrong_format)
    own = np.asarray(rows)
    for at in np.flatnonzero(ungraded):
        others = rewards[(own == own[at]) & ~ungraded]
        rewards[at] = others.mean() if len(others) else 0.0
    found: list[float] = rewards.tolist()
    return found
