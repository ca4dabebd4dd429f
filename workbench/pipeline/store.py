"""Keep a run's folder: one folder per stage, tables as parquet, tensors as safetensors, the rest as
JSON; nothing pickled.

Every file is written under a temporary name and renamed, so a reader never sees half a file. A
damaged file of a finished stage is named, with the mend; damaged parts of an unfinished one are
computed again. Only the Trainer's checkpoints, which an unfinished stage resumes from, hold pickled
states; they are removed when it finishes.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.files.json_files import read_json
from workbench.files.locks import hold_folder
from workbench.files.ownership import claim_folder
from workbench.files.seals import find_fault, seal_files
from workbench.files.writing import sweep_temporary_files, write_json
from workbench.pipeline.fingerprint import fingerprint
from workbench.pipeline.stage_store import STATES, StageStore
from workbench.stream.rounds import run_together

if TYPE_CHECKING:
    from workbench.states.layout import Layout
    from workbench.states.writer import StatesWriter

__all__ = [
    "ROW",
    "BatchRunner",
    "Part",
    "RunStore",
    "StageStore",
    "code_version",
    "compute_parts",
    "fingerprint",
    "merge_parts",
    "run_parts",
]

ROW = "row"


@lru_cache(maxsize=1)
def code_version() -> str:
    """Return the hash of the package's source, so that results of other code are not taken for this
    code's.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class Part:
    """The results of one batch of a stage: a table whose ``row`` column names its rows, and arrays
    along the same rows.
    """

    table: pd.DataFrame
    tensors: dict[str, NDArray[Any]]

    def __post_init__(self) -> None:
        for name, array in self.tensors.items():
            if len(array) != len(self.table):
                raise WorkbenchError(
                    f"Tensor {name!r} has {len(array)} rows, its table {len(self.table)}."
                )


@dataclass(frozen=True)
class RunStore:
    """The folder of one run."""

    folder: Path

    def stage(self, name: str, key: str) -> StageStore:
        """Return the folder of one of its stages."""
        return StageStore(self.folder / name, key)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Make the folder, mark it as the workbench's, and keep other processes out of it inside
        the block.

        Raises:
            WorkbenchError: where it is somebody else's, or another process is at work in it.
        """
        claim_folder(self.folder, "another --name or --runs")
        with hold_folder(self.folder, "wait until it ends, or give this run another --name"):
            sweep_temporary_files(self.folder)
            yield


BatchRunner = Callable[[Sequence[Any], Callable[[Any], Part], str], Part]
"""A function that computes every batch and merges the parts. Its arguments are the batches, the
function of one batch, and a description.

:func:`compute_parts` works in memory; ``partial(run_parts, stage)`` lets a killed process continue
after its last batch.
"""


def compute_parts(batches: Sequence[Any], compute: Callable[[Any], Part], description: str) -> Part:
    """Compute every batch in memory and return all rows in the order of their ``row``."""
    return merge_parts(run_together([partial(compute, batch) for batch in batches], description))


def run_parts(
    stage: StageStore,
    batches: Sequence[Any],
    compute: Callable[[Any], Part],
    description: str,
    layout: Layout | None = None,
) -> Part:
    """Compute every batch, keeping each as it is done, and return all rows in the order of their
    ``row``.

    A killed process loses the batch it was in; finished ones are read back, and computed again
    where they are damaged.

    Args:
        layout: where it is given, the tensor ``states`` of each part stays on disk as a shard, and
            is not among the tensors that are returned; the stage opens it.
    """
    folder = stage.folder / "parts"
    names = [f"{description.replace(' ', '-')}-{index:05d}" for index in range(len(batches))]
    before, started = stage.spent(), time.monotonic()
    writer = None if layout is None else _open_writer(stage, layout)

    def work(name: str, batch: Any) -> Part:
        part = _kept_part(folder, name)
        if part is None or (writer is not None and not writer.holds(name, part.table[ROW])):
            part = compute(batch)
            if writer is not None:
                part = _shard_states(writer, name, part)
            part = _keep_part(folder, name, part)
            stage.note_spent(before + time.monotonic() - started)
        return part

    works = [partial(work, *pair) for pair in zip(names, batches, strict=True)]
    return merge_parts(run_together(works, description))


def _open_writer(stage: StageStore, layout: Layout) -> StatesWriter:
    from workbench.states.writer import StatesWriter

    return StatesWriter(stage.folder / STATES, layout)


def _shard_states(writer: StatesWriter, name: str, part: Part) -> Part:
    """Write the states of a part as a shard; return the part without them."""
    tensors = dict(part.tensors)
    writer.write(name, part.table[ROW], tensors.pop(STATES))
    return Part(part.table, tensors)


def _keep_part(folder: Path, name: str, part: Part) -> Part:
    """Write a part and, last, its seals; return it as it will be read back."""
    store = StageStore(folder, "")
    store.save_tensors(name, part.tensors)
    store.save_table(name, part.table)
    files = [folder / f"{name}{end}" for end in (".parquet", ".safetensors")]
    write_json(folder / f"{name}.json", seal_files(folder, files), sync=False)
    return Part(store.table(name), store.tensors(name))


def _kept_part(folder: Path, name: str) -> Part | None:
    """Return a part that was kept whole; None where there is none, or it was damaged."""
    store = StageStore(folder, "")
    try:
        seals = read_json(folder / f"{name}.json", "")
        if not seals or find_fault(folder, seals) is not None:
            return None
        return Part(store.table(name), store.tensors(name))
    except (WorkbenchError, KeyError, TypeError, ValueError, AttributeError):
        return None


def merge_parts(parts: Iterable[Part]) -> Part:
    """Return all parts as one, sorted by row (stable, so several lines of one row keep their
    order).
    """
    items = list(parts)
    table = pd.concat([part.table for part in items], ignore_index=True)
    order = np.argsort(table[ROW].to_numpy(), kind="stable")
    tensors = {
        name: np.concatenate([part.tensors[name] for part in items])[order]
        for name in items[0].tensors
    }
    return Part(table.iloc[order].reset_index(drop=True), tensors)
