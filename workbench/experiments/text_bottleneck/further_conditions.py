"""Teach the curriculum, and read confidence and states in the conditions that a run does not hold.

The run holds what its adapter states of every question; of the one taught on shuffled targets it
holds what is stated of held-out questions, without states. Here that one and the curriculum's two
are read on the held-out questions and on some training questions, which readings are fitted on.
Fitted on fewer questions, a reading finds less: compare conditions that have as many.

The curriculum is taught with the run's own settings of teaching, so that it compares with the run's
adapter; its first stage is one pass, which the run's adapter does not have.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from workbench.experiments.text_bottleneck.beginnings import compute_beginnings
from workbench.experiments.text_bottleneck.conditions import (
    CURRICULUM,
    FURTHER,
    ModelCondition,
    model_in,
)
from workbench.loop.confidence import confidence_conversations, read_tuned
from workbench.loop.positions import run_positions
from workbench.loop.questions import held_out_rows, load_questions, spread_rows
from workbench.loop.run import Run
from workbench.loop.teaching import teach_arm
from workbench.pipeline.stages import Stage
from workbench.pipeline.store import StageStore
from workbench.teach.recipes import PROBE


def stages_of_conditions(
    conditions: tuple[ModelCondition, ...], training_questions: int
) -> list[Stage]:
    """Return the stages that teach and read those of the ``conditions`` that a run does not
    hold.
    """
    further = [each for each in conditions if each in FURTHER]
    stages = []
    if any(each.taught == CURRICULUM for each in further):
        stages.append(Stage(CURRICULUM, teach_curriculum, ("model", "teach", "seed"), ("probe",)))
    for each in further:
        work = partial(read_condition, condition=each, training_questions=training_questions)
        assert each.taught is not None
        stages.append(
            Stage(
                each.readings,
                work,
                ("model", "elicit"),
                (each.taught, "elicit"),
                given={"training_questions": training_questions},
            )
        )
    return stages


def teach_curriculum(context: Run, stage: StageStore) -> dict[str, Any]:
    """Teach the probe recipe's curriculum with the run's settings; both stages' adapters are
    kept.
    """
    arm = PROBE.arm("curriculum")
    return teach_arm(context, stage, arm, seed=context.config.seed, shuffled=False)


def read_condition(
    context: Run, stage: StageStore, *, condition: ModelCondition, training_questions: int
) -> dict[str, Any]:
    """Read what the model states in the condition, with the states at the run's positions, of every
    held-out question and at most ``training_questions`` others.
    """
    questions, _ = load_questions(context)
    train = np.flatnonzero(questions["split"] == "train")
    rows = np.sort(np.r_[spread_rows(train, training_questions), held_out_rows(context)])
    with model_in(context, condition) as tuned:
        compute_beginnings(context, tuned, confidence_conversations(context), rows)
        description = f"reading the model {condition.label}"
        return read_tuned(context, tuned, stage, rows, run_positions(context), description)
