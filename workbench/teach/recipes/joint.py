"""Define the competing recipe that trains answer and confidence together: one reply holds both, and
both are rewarded.

The model is asked the question; GRPO samples its answer, which is graded anew, and after the
format's words its confidence (:mod:`workbench.teach.rollout`). With y = 1 for a right answer and c
the stated share, ``rlcr`` rewards y - (c - y)^2, which lies in [-1, 1]: a right answer pays, and so
does saying how likely it is right. ``brier-only`` rewards -(c - y)^2 alone, so nothing asks for
right answers, and being surely wrong is as good as being surely right. A reply without an answer,
or with anything but a number of the scale in place of its confidence, costs ``WRONG_FORMAT``, more
than the worst that can be stated. The penalty on divergence from the model without the adapter is
as strong as in rewarded doubt, relative to the reward's range. The shuffled control is rewarded by
another question's grade, whatever it answers.

The table's first columns are about the base model's answers, as for every recipe; those of ``own``
are about the answers the trained model gives, whose accuracy is ``accuracy, adapter on``. The table
compares with the other recipes at equal answers only where answers stayed the same
(``unchanged_answers``). Published for models that reason before they answer; here they do not.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.teach.losses import Reward
from workbench.teach.on_policy import SAMPLED, Reinforcement, require_trl
from workbench.teach.recipes.recipe import SIZE, Arm, Recipe
from workbench.teach.reinforce import train_on_policy
from workbench.teach.replies import whole_replies
from workbench.teach.target_inputs import correctness_targets

WRONG_FORMAT, KL = -2.0, 0.01


def correct_and_brier(
    stated: NDArray[np.float64], correct: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the reward of a right answer plus the Brier score of what is stated about it: correct
    - (stated - correct)^2.
    """
    return correct + brier_alone(stated, correct)


def brier_alone(stated: NDArray[np.float64], correct: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the Brier score of what is stated alone, higher is better: -(stated - correct)^2."""
    return -((stated - correct) ** 2)


def _arm(name: str, about: str, reward: Reward) -> Arm:
    plan = Reinforcement(reward, 1.0, WRONG_FORMAT, KL, replies=whole_replies)
    about = f"{about} of sampled answers with their confidence (GRPO), KL .01 to the base model"
    teacher = train_on_policy(plan)
    return Arm(
        name,
        about,
        correctness_targets,
        teacher,
        teach=SAMPLED,
        on_policy=True,
        trains_answers=True,
        requires=require_trl,
    )


JOINT = Recipe(
    name="joint",
    about=(
        "reward right answers and the Brier score of the confidence stated in them, sampled "
        "together"
    ),
    source="RLCR (arXiv 2507.16806)",
    arms=(
        _arm("rlcr", "correctness and Brier score", correct_and_brier),
        _arm("brier-only", "Brier score alone, nothing for right answers,", brier_alone),
    ),
    default=("rlcr",),
    settings={"elicit.format": "percent-one-turn"},
    # A step samples and scores whole replies: too few to learn from, enough to see that all works;
    # the scripts take STEPS.
    size={**SIZE, "teach.on_policy_steps": 4},
)
