"""Define recipe P: train the model to state what a probe reads from it (probe-targeted
fine-tuning).

Targets are cross-fitted probe probabilities (or, as arms, the grades themselves). ``soft`` is the
arm of the main loop: a bell over the scale, the adapter on the confidence reply alone. The four
published configurations write the number as text with an adapter on the whole conversation; the
source shows that they fail or work model by model, so all four are offered. Two more recipes train
the same in the source's other forms: confidence in the answer's reply, and as a digit after a
worked solution.
"""

from __future__ import annotations

from workbench.teach.consistency import SOURCE as CONSISTENCY
from workbench.teach.consistency import consistency_targets
from workbench.teach.recipes.curriculum import train_with_curriculum
from workbench.teach.recipes.objectives import configured_objective, expectation_objective
from workbench.teach.recipes.recipe import Arm, Recipe, train_on_examples
from workbench.teach.target_inputs import correctness_targets, probe_targets

PUBLISHED = {
    "adapter_scope": "conversation",
    "start_layer": 0,
    "target": "text",
    "learning_rate": 2e-4,
    "loraplus_lr_ratio": 1,
    "weight_decay": 0.0,
    "epochs": 3,
    "batch_size": 8,
    "gradient_accumulation_steps": 2,
    "lora": {
        "rank": 16,
        "alpha": 32,
        "dropout": 0.05,
        "target_modules": ("k_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    },
}
LOW_RANK = PUBLISHED | {"lora": {**PUBLISHED["lora"], "rank": 8}}  # type: ignore[dict-item]
GENTLE = {"learning_rate": 5e-5}


def _probed(name: str, about: str, **changes: object) -> Arm:
    return Arm(
        name, about, probe_targets, train_on_examples(configured_objective), ("probe",), changes
    )


SOFT = _probed(
    "soft", "probe targets as a bell over the scale, adapter on the reply", target="distribution"
)
HARD = _probed(
    "hard", "probe targets as the nearest number written out, adapter on the reply", target="text"
)
PRIMARY = _probed("primary", "published: rank 16, rate 2e-4, text, whole conversation", **PUBLISHED)
SOURCE = "Making LLMs Say What They Know (PT-CSFT)"

PROBE = Recipe(
    name="probe",
    about="state what a probe reads from the hidden states",
    source=SOURCE,
    arms=(
        SOFT,
        HARD,
        Arm(
            "brier",
            "squared error between the expected confidence and the probe target",
            probe_targets,
            train_on_examples(expectation_objective),
            ("probe",),
        ),
        Arm(
            "correct-soft",
            "the grades as targets, 0 or 1, as a bell over the scale",
            correctness_targets,
            train_on_examples(configured_objective),
            (),
            {"target": "distribution"},
        ),
        Arm(
            "correct-brier",
            "squared error between the expected confidence and the grade",
            correctness_targets,
            train_on_examples(expectation_objective),
        ),
        Arm(
            "consistency",
            "self-consistency of sampled answers as targets, as a bell over the scale",
            consistency_targets,
            train_on_examples(configured_objective),
            (CONSISTENCY,),
            {"target": "distribution"},
        ),
        Arm(
            "curriculum",
            "soft, after one pass over examples drawn evenly over the scale",
            probe_targets,
            train_with_curriculum(configured_objective),
            ("probe",),
            {"target": "distribution"},
        ),
        PRIMARY,
        _probed("gentle-lr", "published: rank 16, rate 5e-5", **PUBLISHED | GENTLE),
        _probed("low-rank", "published: rank 8, rate 2e-4", **LOW_RANK),
        _probed("gentlest", "published: rank 8, rate 5e-5", **LOW_RANK | GENTLE),
    ),
    default=("soft",),
)

ONE_TURN = Recipe(
    name="probe-one-turn",
    about="as probe, with answer and confidence in one reply",
    source=SOURCE,
    arms=(SOFT, HARD, PRIMARY),
    default=("soft",),
    settings={"elicit.format": "percent-one-turn"},
)

WORKED = Recipe(
    name="probe-worked",
    about="as probe, with a digit 0-9 after a worked solution and its answer, all in one reply",
    source=SOURCE,
    arms=(SOFT, HARD, PRIMARY),
    default=("soft",),
    settings={"elicit.format": "digit-reasoned"},
)
