"""Manage the checkpoints of a training: find the one a run resumes from, and remove bad ones.

A checkpoint at step s holds the weights after s updates; whether they are of any use shows when the
loss of step s + 1 is computed with them. So two checkpoints are kept, and when a loss is not
finite, the one that gave it is removed. Each holds size and SHA-256 of its files, written last; one
without them, or with others than its files have, was cut short by a kill or a power cut and is
removed, so that the training goes on from the one before or from the start. The folder of
checkpoints is marked as the workbench's before anything in it is removed.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from transformers.trainer_utils import get_last_checkpoint

from workbench.errors import WorkbenchError
from workbench.files.ownership import claim_folder
from workbench.files.seals import find_fault, seal_files
from workbench.files.writing import write_json

KEPT = 2
SEALS = "workbench_seals.json"


def seal_checkpoint(checkpoint: Path) -> None:
    """Write down size and SHA-256 of a checkpoint's files, once all of them are there."""
    write_json(
        checkpoint / SEALS,
        seal_files(checkpoint, [path for path in checkpoint.rglob("*") if path.is_file()]),
    )


def drop_damaged(folder: Path) -> None:
    """Remove checkpoints in ``folder`` that are not whole.

    Raises:
        WorkbenchError: where ``folder`` holds what the workbench did not write.
    """
    claim_folder(folder, "another folder for the training")
    for checkpoint in folder.glob("checkpoint-*"):
        if not _is_whole(checkpoint):
            shutil.rmtree(checkpoint, ignore_errors=True)


def _is_whole(checkpoint: Path) -> bool:
    try:
        return find_fault(checkpoint, json.loads((checkpoint / SEALS).read_text())) is None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint in ``folder``."""
    found = get_last_checkpoint(str(folder)) if folder.is_dir() else None
    return None if found is None else Path(found)


@contextmanager
def kept_on_file_errors(folder: Path) -> Iterator[None]:
    """Turn a full disk, or another file error of the block, into an error that says what of the
    training in ``folder`` is kept.

    Raises:
        WorkbenchError: in place of such an error.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        # torch's writer raises RuntimeError, as much else does.
        if isinstance(error, RuntimeError) and "inline_container" not in str(error):
            raise
        drop_damaged(folder)
        last = last_checkpoint(folder)
        kept = (
            "no checkpoint had been written before"
            if last is None
            else f"the last checkpoint is kept in {last}"
        )
        raise WorkbenchError(
            f"The training stopped at a file error in {folder}: {error}; {kept}. Make room on the "
            "disk and run again."
        ) from error


def diverged(folder: Path, step: int) -> WorkbenchError:
    """Return the error for a loss that is not finite after ``step`` updates, and remove a
    checkpoint of these weights.
    """
    shutil.rmtree(folder / f"checkpoint-{step}", ignore_errors=True)
    last = last_checkpoint(folder)
    kept = (
        "no checkpoint had been written before"
        if last is None
        else f"the last good checkpoint is kept in {last}"
    )
    return WorkbenchError(
        f"The training loss became NaN or infinite at step {step + 1}; {kept}. Lower "
        "teach.learning_rate or use float32 "
        "precision, then run again."
    )
