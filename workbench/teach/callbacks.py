"""What the transformers Trainer calls while it trains: progress through the workbench's own reporter, and new masks at every step."""

from __future__ import annotations

from typing import Any

from transformers import PrinterCallback, ProgressCallback, Trainer, TrainerCallback

from workbench import progress
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
    """A new pool of dropout masks at every step, so that a resumed run draws what an uninterrupted one does."""

    def __init__(self, pool: MaskPool) -> None:
        self.pool = pool

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.pool.renew(POOL)


def quiet(trainer: Trainer, description: str) -> None:
    """Take out the callbacks that print; progress goes through the workbench's own reporter."""
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(_Progress(description))
