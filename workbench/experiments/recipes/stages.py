"""The stages of one pupil: teach it, read what it states, and the same for its twin on shuffled targets."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.conversation import POSITIONS
from workbench.experiments.recipes.trainings import Pupil
from workbench.loop.answers import questions_and_answers
from workbench.loop.confidence import conversations_of, look_again, read_taught
from workbench.loop.probes import fit_probes
from workbench.loop.questions import load_questions
from workbench.loop.run import Context
from workbench.loop.targets import states_of
from workbench.loop.teaching import teach_arm
from workbench.pipeline.store import ROW, StageStore
from workbench.teach.training_job import Judged


def teach_pupil(context: Context, stage: StageStore, pupil: Pupil) -> dict[str, Any]:
    """Teach the arm."""
    return teach_arm(context.with_teach(pupil.teach), stage, pupil.arm, seed=pupil.seed, shuffled=False)


def teach_twin(context: Context, stage: StageStore, pupil: Pupil) -> dict[str, Any]:
    """Teach the arm on permuted targets."""
    return teach_arm(context.with_teach(pupil.teach), stage, pupil.arm, seed=pupil.seed, shuffled=True)


def read_pupil(context: Context, stage: StageStore, pupil: Pupil) -> dict[str, Any]:
    """What it states on held-out questions and those kept back; on all, with states, if probes are to be fitted again."""
    rows = rows_read(context, pupil)
    if pupil.arm.reader is not None:
        return read_from(context, stage, pupil, context.stage(pupil.stage("teach")), rows, f"reading {pupil.name}")
    if pupil.probed:
        rows = np.arange(len(context.stage("questions").table("questions")))
    record = POSITIONS if pupil.probed else ()
    taught, description = pupil.stage("teach"), f"reading {pupil.name}"
    return look_again(context.with_teach(pupil.teach), stage, taught, rows, record, description, most_on=None)


def read_twin(context: Context, stage: StageStore, pupil: Pupil) -> dict[str, Any]:
    """What the twin states on the same questions."""
    taught = context.stage(pupil.stage("control"))
    return read_from(context, stage, pupil, taught, rows_read(context, pupil), f"reading {pupil.twin_name}")


def read_from(
    context: Context, stage: StageStore, pupil: Pupil, taught: StageStore, rows: NDArray[np.int64], description: str
) -> dict[str, Any]:
    """What ``taught``, where the pupil was taught in this run or in another on its model, states on this run's ``rows``."""
    if pupil.arm.reader is not None:
        return _read_head(context, stage, pupil, taught, rows)
    return read_taught(context.with_teach(pupil.teach), stage, taught, rows, description)


def probe_pupil(context: Context, stage: StageStore, pupil: Pupil) -> dict[str, Any]:
    """Probes on the taught model's states."""
    return fit_probes(context, stage, pupil.stage("read"))


def rows_read(context: Context, pupil: Pupil) -> NDArray[np.int64]:
    """The questions it is not taught, as far as the arm has use for them: held-out ones, and those kept back."""
    questions, _ = load_questions(context)
    kept = context.stage(pupil.stage("teach")).table("kept_back")[ROW]
    return np.flatnonzero((questions["split"] == "test") | questions[ROW].isin(kept))


def _read_head(
    context: Context, stage: StageStore, pupil: Pupil, taught: StageStore, rows: NDArray[np.int64]
) -> dict[str, Any]:
    """A head's probabilities as the expected confidence; it states nothing as text."""
    assert pupil.arm.reader is not None
    conversations, model = conversations_of(context), context.config.model
    questions, answered = questions_and_answers(context, rows)
    probability = pupil.arm.reader(
        Judged(
            questions=questions,
            answers=answered,
            conversations=[conversations[row] for row in rows],
            states=states_of(context, rows),
            folder=taught.folder,
            tuned=partial(context.carrying, taught),
            tokens_per_batch=model.tokens_per_batch,
        )
    )
    table = pd.DataFrame({ROW: rows, "stated": np.nan, "expected": probability})
    stage.save_table("confidence", table)
    return {}
