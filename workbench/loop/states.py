"""Find the states that a stage recorded, in one array or in shards on disk.

Both are indexed alike, [questions, layers, positions, width] in the order of the stage's rows, and
``numpy.asarray`` gives the array of what was taken. Small recordings are one tensor of the stage;
those above ``model.recorded_bytes`` are shards, of which only the layers and positions that
somebody takes are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from workbench.arrays import Floats
from workbench.elicit.conversation import QUESTION_END
from workbench.errors import WorkbenchError
from workbench.pipeline.stage_store import StageStore
from workbench.states.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workbench.loop.run import Run
    from workbench.models import LanguageModel
    from workbench.probe.states import States

READINGS, STATES, DISTRIBUTION = "readings", "states", "distribution"


def shard_layout(
    context: Run, lm: LanguageModel, rows: int, record: Sequence[str]
) -> Layout | None:
    """Return how the states of ``rows`` questions at the positions ``record`` are kept in shards;
    None where they fit into memory as one array of float32.
    """
    settings = context.config.model
    whole = 4 * rows * lm.n_layers * len(record) * lm.width
    if not record or whole <= settings.recorded_bytes:
        return None
    auto = settings.recorded_dtype == "auto"
    dtype = str(lm.dtype).removeprefix("torch.") if auto else settings.recorded_dtype
    return Layout(lm.n_layers, tuple(record), lm.width, dtype)


def states_of_stage(stage: StageStore) -> States:
    """Return the states at the run's positions, [rows, layers, positions, width].

    Raises:
        WorkbenchError: where the stage recorded none, or they are damaged.
    """
    kept = stage.states()
    if kept is not None:
        names = kept.layout.positions
        return kept[:, :, [at for at, name in enumerate(names) if name != QUESTION_END]]
    tensors = stage.tensors(READINGS, STATES)
    if STATES not in tensors:
        raise WorkbenchError(f"The stage in {stage.folder} recorded no states.")
    return tensors[STATES]


def question_end_states(stage: StageStore) -> States | None:
    """Return the states at the question's end, [rows, layers, width]; None where the stage did not
    record them.

    Raises:
        WorkbenchError: where they are damaged.
    """
    kept = stage.states()
    if kept is not None:
        names = kept.layout.positions
        return kept[:, :, names.index(QUESTION_END)] if QUESTION_END in names else None
    return stage.tensors(READINGS, QUESTION_END).get(QUESTION_END)


def distribution_of(stage: StageStore) -> Floats:
    """Return the distribution over the scale that a stage read, [rows, values], without reading the
    states that lie in the same file.

    Raises:
        WorkbenchError: where it is missing or damaged.
    """
    found: Floats = stage.tensors(READINGS, DISTRIBUTION)[DISTRIBUTION]
    return found
