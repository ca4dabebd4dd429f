"""Recipe M: single-question confidence and comparisons of two questions, from self-consistency (Steyvers, Belem, Smyth 2025).

Ten answers are sampled of every training question; how often answers were right at that consistency is the confidence to state
(:mod:`workbench.teach.consistency`). ``single`` states it after the answer, ``pairwise`` says before any answer which of two
questions would be answered correctly more likely, the two from different bins of consistency, ``both`` mixes the two. All arms compute about the same tokens, prompts of the questions stated
singly, and both tasks are measured for every arm: the source finds that neither task alone carries over to the other.
"""

from __future__ import annotations

from collections.abc import Callable

from workbench.teach.consistency import SOURCE, balanced_bins, bin_levels, bin_targets
from workbench.teach.recipes.objectives import as_set, compared, mixed
from workbench.teach.recipes.recipe import Arm, Recipe, by_examples
from workbench.teach.training_job import Lesson, Plan

TAUGHT = {"scope": "conversation", "target": "distribution", "learning_rate": 5e-4, "epochs": 3}


def _arm(name: str, about: str, plan: Callable[[Lesson], Plan]) -> Arm:
    return Arm(name, about, bin_targets, by_examples(plan), (SOURCE,), TAUGHT, drawn=balanced_bins, levels=bin_levels)


METACOGNITION = Recipe(
    name="metacognition",
    about="state how often answers as consistent were right, and compare questions by it",
    source="Steyvers, Belem, Smyth 2025 (arXiv 2510.05126)",
    arms=(
        _arm("single", "confidence after the answer", as_set),
        _arm("pairwise", "which of two questions would be answered correctly more likely", compared),
        _arm("both", "half of the tokens each", mixed),
    ),
    default=("both",),
    size={"questions.limit": 140},
    pairs=True,
)
