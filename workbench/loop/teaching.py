"""Stages that teach and look again: adapter on probe targets, its shuffled twin, and what each of them states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.elicit.conversation import POSITIONS
from workbench.loop.asking import answers, conversations_of, load_questions, read
from workbench.loop.context import Context
from workbench.store import ROW, StageStore
from workbench.teach.adapter import adapter_merged, adapter_off, remove_adapter
from workbench.teach.examples import build_examples
from workbench.teach.targets import scale_targets, shuffled_targets
from workbench.teach.training import train_adapter

ADAPTER_ON_ROWS = 64
REPEATED_BATCHES = 2


def teach(context: Context, stage: StageStore) -> dict[str, Any]:
    """LoRA on the cross-fitted probe targets of the training questions."""
    return _train(context, stage, shuffled=False)


def teach_shuffled(context: Context, stage: StageStore) -> dict[str, Any]:
    """The same recipe on permuted targets: the control."""
    return _train(context, stage, shuffled=True)


def _train(context: Context, stage: StageStore, *, shuffled: bool) -> dict[str, Any]:
    config = context.config
    probabilities = context.stage("probe").table("probabilities")
    train = probabilities[probabilities["split"] == "train"]
    targets = scale_targets(train["probability"].to_numpy(), context.fmt.scale)
    if shuffled:
        targets = shuffled_targets(targets, config.seed)
    conversations = conversations_of(context)
    chosen = [conversations[row] for row in train[ROW]]
    examples = build_examples(context.lm.tokenizer, context.fmt, context.numbers, chosen, targets.tolist())
    tuned, log = train_adapter(
        context.lm, examples, config.teach, stage.folder,
        precision=config.model.precision, seed=config.seed,
        description="teaching shuffled targets" if shuffled else "teaching probe targets",
    )  # fmt: skip
    remove_adapter(tuned)
    stage.save_table("targets", pd.DataFrame({ROW: train[ROW].to_numpy(), "target": targets}))
    stage.save_table("log", pd.DataFrame(log))
    return {"examples": len(examples), "steps": len(log), "loss.last": log[-1]["loss"]}


def again(context: Context, stage: StageStore) -> dict[str, Any]:
    """Confidence and states of the tuned model for the same answers, and its answers to held-out questions.

    The confidence-only form switches the adapter on for the confidence turn alone. That this leaves the answers as they were
    is shown by generating the first batches anew with the adapter loaded and off (the same batches, because in bfloat16 the
    kernels' rounding depends on a batch's shape). Some are also generated with it on, to see what it would do to them.
    """
    questions, graded = load_questions(context)
    conversations = conversations_of(context)
    test = np.flatnonzero(questions["split"] == "test")
    with context.tuned("teach") as tuned:
        everyone = np.arange(len(conversations))
        spread = test[np.linspace(0, len(test) - 1, min(ADAPTER_ON_ROWS, len(test))).astype(np.int64)]
        with adapter_merged(tuned):
            facts = read(context, tuned, stage, conversations, everyone, POSITIONS, "reading tuned confidence")
            on = answers(context, tuned, stage, graded, spread, "answering with the adapter on")
        with adapter_off(tuned):
            off = answers(
                context, tuned, stage, graded, everyone, "answering with the adapter off", most_batches=REPEATED_BATCHES
            )
    stage.save_table("answers", off)
    stage.save_table("answers_adapter_on", on)
    return facts


def again_shuffled(context: Context, stage: StageStore) -> dict[str, Any]:
    """Confidence of the control adapter on the held-out questions."""
    questions, _ = load_questions(context)
    test = np.flatnonzero(questions["split"] == "test")
    with context.tuned("control") as tuned, adapter_merged(tuned):
        return read(context, tuned, stage, conversations_of(context), test, (), "reading control confidence")
