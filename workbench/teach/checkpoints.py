"""Checkpoints of a training: which one a run resumes from, and which one is good.

A checkpoint at step s holds the weights after s updates; whether they are of any use shows when the loss of step s + 1 is
computed with them. So two checkpoints are kept, and when a loss is not finite, the one that gave it is removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from transformers.trainer_utils import get_last_checkpoint

from workbench.errors import WorkbenchError

KEPT = 2
STATE = "trainer_state.json"


def drop_unfinished(folder: Path) -> None:
    """Remove checkpoints that a killed process did not finish; the Trainer writes its state last."""
    for checkpoint in folder.glob("checkpoint-*"):
        if not (checkpoint / STATE).exists():
            shutil.rmtree(checkpoint)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in ``folder``."""
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    return None if found is None else Path(found)


@contextmanager
def kept_on_file_errors(folder: Path) -> Iterator[None]:
    """Turn a disk that is full, or another file error of the block, into one that says what of the training in ``folder`` is kept."""
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch's writer raises RuntimeError, as much else does.
        if isinstance(error, RuntimeError) and "inline_container" not in str(error):
            raise
        drop_unfinished(folder)
        last = last_checkpoint(folder)
        kept = "no checkpoint had been written before" if last is None else f"the last checkpoint is kept in {last}"
        raise WorkbenchError(
            f"The training stopped at a file error in {folder}: {error}; {kept}. Make room on the disk and run again."
        ) from error


def diverged(folder: Path, step: int) -> WorkbenchError:
    """The error for a loss that is not finite after ``step`` updates; a checkpoint of these very weights is removed."""
    shutil.rmtree(folder / f"checkpoint-{step}", ignore_errors=True)
    last = last_checkpoint(folder)
    kept = "no checkpoint had been written before" if last is None else f"the last good checkpoint is kept in {last}"
    return WorkbenchError(
        f"The training loss became NaN or infinite at step {step + 1}; {kept}. Lower teach.learning_rate or use float32 "
        "precision, then run again."
    )
