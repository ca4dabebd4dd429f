"""Provide the callbacks of the transformers Trainer: progress through the workbench's reporter, new
dropout masks at every step, a check that the weights are finite, and sealed checkpoints.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback

from workbench import progress
from workbench.files.processes import gather, is_first_process, process_number
from workbench.teach.checkpoints import diverged, seal_checkpoint
from workbench.teach.dropout import POOL, MaskPool


class _Progress(TrainerCallback):
    def __init__(self, description: str) -> None:
        self.description = description
        self.task: progress.Task | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.task = progress.Task(self.description, state.max_steps)
        self.task.advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.task:
            self.task.advance()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.task:
            self.task.finish()


class RenewMasks(TrainerCallback):
    """A callback that makes a new pool of dropout masks at every step, so that a resumed run draws
    what an uninterrupted one does.
    """

    def __init__(self, pool: MaskPool, size: int = POOL) -> None:
        self.pool, self.size = pool, max(size, POOL)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.pool.renew(self.size)


class SoundCheckpoints(TrainerCallback):
    """A callback that stops where an update makes weights that are not finite, before anything is
    computed with them or they become the result, and that seals the checkpoints that are written.
    """

    def __init__(self, checkpoints: Path) -> None:
        self.checkpoints = checkpoints

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        trained = (weight for weight in kwargs["model"].parameters() if weight.requires_grad)
        if not all(bool(torch.isfinite(weight).all()) for weight in trained):
            raise diverged(self.checkpoints, state.global_step)

    on_train_end = on_step_begin

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        checkpoint = self.checkpoints / f"checkpoint-{state.global_step}"
        if args.world_size > 1:
            _gather_random_states(checkpoint)
        if state.is_world_process_zero:
            seal_checkpoint(checkpoint)


def _gather_random_states(checkpoint: Path) -> None:
    """Write the random state of every process, which each wrote into a folder of its own, into the
    first process's checkpoint.
    """
    name = f"rng_state_{process_number()}.pth"
    states = gather((name, (checkpoint / name).read_bytes()))
    if is_first_process():
        for other, state in states[1:]:
            (checkpoint / other).write_bytes(state)


def quiet(trainer: Trainer, description: str) -> None:
    """Remove the callbacks that print; progress goes through the workbench's reporter."""
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(_Progress(description))
