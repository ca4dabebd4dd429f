"""Define the stages of one training: train it, read what it states, and the same for its control on
shuffled targets.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.experiments.recipes.trainings import Training
from workbench.loop.answers import questions_and_answers
from workbench.loop.confidence import confidence_conversations, evaluate_adapter, read_adapter
from workbench.loop.positions import run_positions
from workbench.loop.probes import fit_probes
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.targets import states_of
from workbench.loop.teaching import teach_arm
from workbench.pipeline.store import ROW, StageStore
from workbench.teach.training_job import HeadInputs


def teach_training(context: Run, stage: StageStore, training: Training) -> dict[str, Any]:
    """Train the arm."""
    return teach_arm(
        context.with_teach(training.teach), stage, training.arm, seed=training.seed, shuffled=False
    )


def teach_control(context: Run, stage: StageStore, training: Training) -> dict[str, Any]:
    """Train the arm on permuted targets."""
    return teach_arm(
        context.with_teach(training.teach), stage, training.arm, seed=training.seed, shuffled=True
    )


def elicit_training(context: Run, stage: StageStore, training: Training) -> dict[str, Any]:
    """Read what the training states on held-out questions and those kept back; on all, with states,
    if probes are to be fitted again.
    """
    rows = rows_read(context, training)
    if training.arm.head_reader is not None:
        return elicit_trained(
            context,
            stage,
            training,
            context.stage(training.stage("teach")),
            rows,
            f"reading {training.name}",
        )
    if training.probe:
        rows = np.arange(len(context.stage("questions").table("questions")))
    record = run_positions(context) if training.probe else ()
    taught, description = training.stage("teach"), f"reading {training.name}"
    return evaluate_adapter(
        context.with_teach(training.teach), stage, taught, rows, record, description, most_on=None
    )


def elicit_control(context: Run, stage: StageStore, training: Training) -> dict[str, Any]:
    """Read what the control states on the same questions."""
    taught = context.stage(training.stage("teach_control"))
    return elicit_trained(
        context,
        stage,
        training,
        taught,
        rows_read(context, training),
        f"reading {training.control.name}",
    )


def elicit_trained(
    context: Run,
    stage: StageStore,
    training: Training,
    taught: StageStore,
    rows: NDArray[np.int64],
    description: str,
) -> dict[str, Any]:
    """Read what the training in the stage ``taught``, of this run or of another on its model,
    states on this run's ``rows``.
    """
    if training.arm.head_reader is not None:
        return _read_head(context, stage, training, taught, rows)
    return read_adapter(context.with_teach(training.teach), stage, taught, rows, description)


def probe_training(context: Run, stage: StageStore, training: Training) -> dict[str, Any]:
    """Fit probes on the trained model's states."""
    return fit_probes(context, stage, training.stage("elicit"))


def rows_read(context: Run, training: Training) -> NDArray[np.int64]:
    """Return the questions the training is read on: held-out ones, and those kept back where the
    arm needs them.
    """
    questions, _ = load_questions(context)
    kept = context.stage(training.stage("teach")).table("kept_back")[ROW]
    return np.flatnonzero((questions["split"] == "test") | questions[ROW].isin(kept))


def _read_head(
    context: Run, stage: StageStore, training: Training, taught: StageStore, rows: NDArray[np.int64]
) -> dict[str, Any]:
    """Read a head's probabilities as the expected confidence; it states nothing as text."""
    assert training.arm.head_reader is not None
    conversations, model = confidence_conversations(context), context.config.model
    questions, answered = questions_and_answers(context, rows)
    probability = training.arm.head_reader(
        HeadInputs(
            questions=questions,
            answers=answered,
            conversations=[conversations[row] for row in rows],
            states=states_of(context, rows),
            folder=taught.folder,
            with_adapter=partial(context.with_adapter_of, taught),
            tokens_per_forward=model.tokens_per_forward,
        )
    )
    table = pd.DataFrame({ROW: rows, "stated": np.nan, "expected": probability})
    stage.save_table("confidence", table)
    return {}
