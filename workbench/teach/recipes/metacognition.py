"""Define recipe M: single-question confidence and comparisons of two questions, from
self-consistency (Steyvers, Belem, Smyth 2025).

Ten answers are sampled of every training question; how often answers were right at that consistency
is the confidence to state (:mod:`workbench.teach.consistency`). ``single`` states it after the
answer, ``pairwise`` says before any answer which of two questions would be answered correctly more
likely, the two from different bins of consistency, ``both`` mixes the two. All arms compute about
the same tokens, prompts of the questions stated singly, and both tasks are measured for every arm:
the source finds that neither task alone transfers to the other.
"""

from __future__ import annotations

from collections.abc import Callable

from workbench.teach.consistency import SOURCE, balanced_bins, bin_levels, bin_targets
from workbench.teach.recipes.objectives import (
    configured_objective,
    mixed_objective,
    pairwise_objective,
)
from workbench.teach.recipes.recipe import Arm, Recipe, train_on_examples
from workbench.teach.training_job import Objective, TrainingJob

TAUGHT = {
    "adapter_scope": "conversation",
    "start_layer": 0,
    "target": "distribution",
    "learning_rate": 5e-4,
    "epochs": 3,
}


def _arm(name: str, about: str, plan: Callable[[TrainingJob], Objective]) -> Arm:
    return Arm(
        name,
        about,
        bin_targets,
        train_on_examples(plan),
        (SOURCE,),
        TAUGHT,
        subset=balanced_bins,
        bin_accuracy=bin_levels,
    )


METACOGNITION = Recipe(
    name="metacognition",
    about="state how often answers as consistent were right, and compare questions by it",
    source="Steyvers, Belem, Smyth 2025 (arXiv 2510.05126)",
    arms=(
        _arm("single", "confidence after the answer", configured_objective),
        _arm(
            "pairwise",
            "which of two questions would be answered correctly more likely",
            pairwise_objective,
        ),
        _arm("both", "half of the tokens each", mixed_objective),
    ),
    default=("both",),
    size={"questions.limit": 140},
    pairs=True,
)
