"""Run the stages of a further training: train the main loop's arm with another seed, read what it
states on held-out questions, and patch its states at the questions of the first training.

Donors, readouts and signs are those of :mod:`workbench.loop.patching`. Only three of its conditions
are swept: the own donor, another question's donor, and the reverse. So a further training has no
noise floor and no random vector beside it; the first training's stand for all.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from workbench.loop.confidence import read_adapter
from workbench.loop.patching import sweep_of_adapter
from workbench.loop.questions import held_out_rows
from workbench.loop.run import Run
from workbench.loop.seeds import TEACH, seed_stage
from workbench.loop.targets import main_arm
from workbench.loop.teaching import teach_arm
from workbench.patch.controls import CONDITIONS
from workbench.pipeline.store import ROW, StageStore, run_parts

SWEPT = ("own_tuned", "other_tuned", "reverse")
"""The conditions of patching that further trainings are swept under."""


def teach_seed(context: Run, stage: StageStore, seed: int) -> dict[str, Any]:
    """Train the main loop's arm with another seed, on the targets of the first training."""
    return teach_arm(context, stage, main_arm(context), seed=seed, shuffled=False)


def elicit_seed(context: Run, stage: StageStore, seed: int) -> dict[str, Any]:
    """Read what the training states on the held-out questions."""
    taught, rows = context.stage(seed_stage(seed, TEACH)), held_out_rows(context)
    return read_adapter(context, stage, taught, rows, f"reading confidence of seed {seed}")


def patch_seed(context: Run, stage: StageStore, seed: int) -> dict[str, Any]:
    """Sweep the conditions SWEPT at the questions that the first training was patched at, and save
    the table "sweep".
    """
    items = np.sort(context.stage("patch").table("sweep")[ROW].unique())
    conditions = [condition for condition in CONDITIONS if condition.name in SWEPT]
    with sweep_of_adapter(context, context.stage(seed_stage(seed, TEACH)), items) as sweep:
        table = sweep.table(items, partial(run_parts, stage), conditions)
    stage.save_table("sweep", table)
    return {"items": len(items)}
