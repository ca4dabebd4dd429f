"""Define recipe C: calibration tuning on graded answers (Kapoor et al. 2024, arXiv 2406.08391).

After its answer the model is asked whether that answer is correct, (i) no or (ii) yes; its
confidence is the probability of (ii) among the two, from one forward. ``before`` in the table is
that query without training (zero-shot). ``head`` leaves the model alone and trains a small network
on its last hidden state at the answer's last token, ``lora`` trains an adapter together with that
network. ``lora-prompt`` trains an adapter to answer the query, with a penalty on divergence from
the base model on the answer's tokens; ``lora-prompt-free`` is that without the penalty.
``embeddings`` puts the same network on a sentence encoder's embedding of question and answer;
``<arm>-25-percent`` and ``-50-percent`` are ``lora-prompt`` and ``head`` on that share of the
labels (the smaller shares are parts of the larger). A fifth of the training questions is kept back
and a temperature fitted on it, shown as ``<arm>-temperature``.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from workbench.teach.correctness_query import correctness_query_objective
from workbench.teach.embedding import encoder_folder, read_embedding_head, teach_embedding_head
from workbench.teach.heads import (
    read_head,
    read_head_and_adapter,
    teach_head,
    teach_head_and_adapter,
)
from workbench.teach.recipes.recipe import Arm, Recipe, train_on_examples
from workbench.teach.target_inputs import correctness_targets, label_fraction

KEPT_BACK = {"calibration_fraction": 0.2}
TUNED = {
    **KEPT_BACK,
    "adapter_scope": "conversation",
    "start_layer": 0,
    "learning_rate": 1e-4,
    "loraplus_lr_ratio": 1,
    "weight_decay": 0.01,
    "epochs": 1,
    "batch_size": 4,
    "gradient_accumulation_steps": 2,
    "lora": {"rank": 8, "alpha": 32, "dropout": 0.1, "target_modules": ("q_proj", "v_proj")},
}

CURVES = ("lora-prompt", "head")
LABELS = (25, 50)
"""Arms that are also trained on shares of the labels, and the shares in per cent: curves that end
in the arms themselves.
"""


def with_label_fraction(arm: Arm, percent: int) -> Arm:
    """Return the arm trained on a share of its labels."""
    about = f"{arm.name} with {percent} % of the labels"
    return replace(
        arm, name=share_name(arm.name, percent), about=about, subset=label_fraction(percent / 100)
    )


def share_name(arm: str, percent: int) -> str:
    """Return the name of an arm with a share of its labels; with all of them it keeps its name."""
    return arm if percent == 100 else f"{arm}-{percent}-percent"


def share_of(name: str) -> tuple[str, int]:
    """Split the name of an arm into the name of the arm with all labels and the per cent of
    labels.
    """
    arm, _, percent = name.removesuffix("-percent").rpartition("-")
    return (arm, int(percent)) if name.endswith("-percent") else (name, 100)


HEAD = Arm(
    "head",
    "small network on the frozen model's last hidden state at the answer's last token",
    correctness_targets,
    teach_head,
    head_reader=read_head,
    teach=KEPT_BACK,
)
LORA_PROMPT = Arm(
    "lora-prompt",
    "adapter taught to answer the query, pulled to the base model on the answer's tokens",
    correctness_targets,
    train_on_examples(partial(correctness_query_objective, kappa=1.0)),
    teach=TUNED,
)
CALIBRATION = Recipe(
    name="calibration",
    about="answer whether the own answer is correct, taught on graded answers",
    source="Kapoor et al. 2024 (arXiv 2406.08391)",
    arms=(
        HEAD,
        Arm(
            "lora",
            "the same network on the hidden state of a model whose adapter is trained with it",
            correctness_targets,
            teach_head_and_adapter,
            teach=TUNED,
            head_reader=read_head_and_adapter,
        ),
        LORA_PROMPT,
        Arm(
            "lora-prompt-free",
            "the same without the pull",
            correctness_targets,
            train_on_examples(partial(correctness_query_objective, kappa=0.0)),
            teach=TUNED,
        ),
        Arm(
            "embeddings",
            "the same network on sentence embeddings of question and answer, without the model",
            correctness_targets,
            teach_embedding_head,
            head_reader=read_embedding_head,
            requires=encoder_folder,
            teach=KEPT_BACK,
        ),
        *(with_label_fraction(arm, percent) for arm in (LORA_PROMPT, HEAD) for percent in LABELS),
    ),
    default=("head", "lora-prompt"),
    settings={"elicit.format": "i-ii"},
)
