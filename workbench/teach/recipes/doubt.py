"""Define recipe R with an exact expectation: reward doubt by a proper score, without sampling.

The published method samples a reply, rewards its stated confidence by a score of the answer's grade
and follows the policy gradient. The confidence distribution is finite and the number trie gives it
exactly, so here the expected reward itself is the loss. Sampled reinforcement is this gradient plus
noise: ``grpo`` and ``rloo``, to which ``log-whole`` is the exact arm of the same scope and
settings; the page draws the reward of each against the tokens computed. Targets are the grades.
``tokenised-brier`` is the competing method that restricts the softmax to the scale and penalises
nothing else.

The comparison at equal compute does not show the best learning rate of each arm. They share one.
"""

from __future__ import annotations

from workbench.teach.losses import brier_reward, log_reward
from workbench.teach.on_policy import (
    GRPO,
    RLOO,
    SAMPLED,
    Algorithm,
    Reinforcement,
    require_trl,
)
from workbench.teach.recipes.objectives import expected_reward_objective
from workbench.teach.recipes.recipe import Arm, Recipe, train_on_examples
from workbench.teach.reinforce import train_on_policy
from workbench.teach.target_inputs import correctness_targets

SCALE, WRONG_FORMAT, KL = 5.0, -3.0, 0.05
# A reward is linear in the distribution, so a rate that jumps puts all mass on one far number, from
# which no gradient leads back: at the loop's rates the mean training reward of the default
# model ends at 3.5, below the 4.0 of one constant.
EXACT = {"learning_rate": 3e-4, "loraplus_lr_ratio": 1, "start_layer": 0}
LOG = train_on_examples(
    expected_reward_objective(log_reward, scale=SCALE, wrong_format=WRONG_FORMAT, kl=KL)
)


def _sampled(name: str, about: str, algorithm: Algorithm) -> Arm:
    plan = Reinforcement(log_reward, SCALE, WRONG_FORMAT, KL, algorithm=algorithm)
    about = (
        f"log score by sampled replies, {about} (TRL), KL .05 to the base model, whole conversation"
    )
    return Arm(
        name,
        about,
        correctness_targets,
        train_on_policy(plan),
        teach=SAMPLED,
        on_policy=True,
        requires=require_trl,
    )


DOUBT = Recipe(
    name="doubt",
    about="maximise the exact expected reward of a proper score of the grade",
    source="Rewarding Doubt (arXiv 2503.02623); tokenised Brier (ConfTuner)",
    arms=(
        Arm(
            "log",
            "log score clipped at .001, KL .05 to the base model",
            correctness_targets,
            LOG,
            teach=EXACT,
        ),
        Arm(
            "brier",
            "Brier score, KL .05 to the base model",
            correctness_targets,
            train_on_examples(
                expected_reward_objective(
                    brier_reward, scale=SCALE, wrong_format=WRONG_FORMAT, kl=KL
                )
            ),
            teach=EXACT,
        ),
        Arm(
            "log-free",
            "log score without a pull to the base model",
            correctness_targets,
            train_on_examples(
                expected_reward_objective(
                    log_reward, scale=SCALE, wrong_format=WRONG_FORMAT, kl=0.0
                )
            ),
            teach=EXACT,
        ),
        _sampled("grpo", "each against the mean of its group", GRPO),
        _sampled("rloo", "each against the others of its group", RLOO),
        Arm(
            "log-whole",
            "log score, KL .05 to the base model, whole conversation, with the settings of grpo",
            correctness_targets,
            LOG,
            teach=SAMPLED,
        ),
        Arm(
            "tokenised-brier",
            "Brier score of the distribution restricted to the scale",
            correctness_targets,
            train_on_examples(
                expected_reward_objective(brier_reward, scale=1.0, wrong_format=None, kl=0.0)
            ),
            teach=EXACT,
        ),
    ),
    default=("log",),
)
