"""The stages of one pupil: teach it, read what it states, and the same for its twin on shuffled targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from workbench.elicit.conversation import POSITIONS
from workbench.loop.asking import load_questions
from workbench.loop.context import Context
from workbench.loop.probing import fit_probes
from workbench.loop.pupils import Pupil
from workbench.loop.teaching import look_again, read_taught, teach_arm
from workbench.store import StageStore


def teach_pupil(context: Context, stage: StageStore, pupil: Pupil) -> dict[str, Any]:
    """Teach the arm."""
    return teach_arm(context.with_teach(pupil.teach), stage, pupil.arm, seed=pupil.seed, shuffled=False)


def teach_twin(context: Context, stage: StageStore, pupil: Pupil) -> dict[str, Any]:
    """Teach the arm on permuted targets."""
    return teach_arm(context.with_teach(pupil.teach), stage, pupil.arm, seed=pupil.seed, shuffled=True)


def read_pupil(context: Context, stage: StageStore, pupil: Pupil) -> dict[str, Any]:
    """What it states on held-out questions; on all, with states, if probes are to be fitted again."""
    questions, _ = load_questions(context)
    test = np.flatnonzero(questions["split"] == "test")
    rows = np.arange(len(questions)) if pupil.probed else test
    record = POSITIONS if pupil.probed else ()
    description = f"reading {pupil.name}"
    return look_again(
        context.with_teach(pupil.teach), stage, pupil.stage("teach"), rows, record, description, most_on=None
    )


def read_twin(context: Context, stage: StageStore, pupil: Pupil) -> dict[str, Any]:
    """What the twin states on held-out questions."""
    return read_taught(context.with_teach(pupil.teach), stage, pupil.stage("control"), f"reading {pupil.twin_name}")


def probe_pupil(context: Context, stage: StageStore, pupil: Pupil) -> dict[str, Any]:
    """Probes on the taught model's states."""
    return fit_probes(context, stage, pupil.stage("read"))
