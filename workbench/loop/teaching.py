"""Stages that teach and look again: adapter on probe targets, its shuffled twin, and what each of them states."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from peft import PeftModel

from workbench import progress
from workbench.elicit.conversation import POSITIONS, Conversation, before_reply
from workbench.elicit.readout import ConfidenceReading, keep_keys, read_confidence, read_reply
from workbench.loop.asking import answers, conversations_of, keeping, load_questions, read, reading_batches
from workbench.loop.context import Context
from workbench.loop.partial import settled
from workbench.models import LanguageModel, computing_in, resolve_precision
from workbench.store import ROW, StageStore
from workbench.teach.adapter import adapter_merged, adapter_off, remove_adapter
from workbench.teach.examples import Example, distribution_examples, text_examples
from workbench.teach.targets import scale_targets, shuffled_targets, spread_targets
from workbench.teach.training import Reply, train_adapter

ADAPTER_ON_ROWS = 64
REPEATED_BATCHES = 3


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
    rows, probability = train[ROW].to_numpy(), train["probability"].to_numpy()
    if shuffled:
        probability = shuffled_targets(probability, config.seed)
    conversations = conversations_of(context)
    examples = _examples(context, [conversations[row] for row in rows], probability)
    settings = settled(context, conversations, rows)
    tuned, log = train_adapter(
        context.lm, examples, settings, stage.folder,
        precision=config.model.precision, seed=config.seed,
        description="teaching shuffled targets" if shuffled else "teaching probe targets",
        reply=_reply(context, conversations, rows),
    )  # fmt: skip
    remove_adapter(tuned)
    targets = {"probability": probability, "target": scale_targets(probability, context.fmt.scale)}
    stage.save_table("targets", pd.DataFrame({ROW: rows, **targets}))
    stage.save_table("log", pd.DataFrame(log))
    facts = {"examples": len(examples), "steps": len(log), "loss.last": log[-1]["loss"]}
    precision = resolve_precision(config.model.precision, context.lm.device)
    return {**facts, "from_layer": settings.from_layer, "precision": precision}


def _examples(
    context: Context, conversations: Sequence[Conversation], probability: NDArray[np.float64]
) -> list[Example]:
    settings, scale = context.config.teach, context.fmt.scale
    if settings.target == "distribution":
        targets = spread_targets(probability, scale, settings.spread)
        return distribution_examples(context.lm.tokenizer, context.fmt, context.numbers, conversations, targets)
    written = scale_targets(probability, scale).tolist()
    return text_examples(context.lm.tokenizer, context.fmt, context.numbers, conversations, written)


def _reply(context: Context, conversations: Sequence[Conversation], rows: NDArray[np.int64]) -> Reply | None:
    """Where the adapter acts, with the keys and values of what stands before."""
    tokens = context.reply
    if tokens is None:
        return None
    for row in rows:
        before_reply(conversations[row], tokens)
    _fill_prefixes(context, context.lm, conversations, rows)
    return Reply(tokens, rows.tolist(), context.prefixes)


def _fill_prefixes(
    context: Context, lm: LanguageModel, conversations: Sequence[Conversation], rows: NDArray[np.int64]
) -> None:
    """Keys and values of ``rows`` up to the reply, where an earlier stage of this process has not left them.

    Computed in the passes in which the stage "elicit" left them, so that a resumed run stands on the same bits.
    """
    missing = [row for row in rows if row not in context.prefixes]
    if not missing or context.prefixes.full:
        return
    planned = reading_batches(context, [len(conversation.tokens) for conversation in conversations])
    batches = [batch for batch in planned if np.isin(batch, missing).any()]
    off = adapter_off(lm) if isinstance(lm.model, PeftModel) else nullcontext()
    with off, computing_in(context.config.model.precision, lm):
        for batch in progress.track(batches, "reading up to the reply"):
            keep_keys(lm, [conversations[row] for row in batch], context.numbers, keeping(context, batch))


def again(context: Context, stage: StageStore) -> dict[str, Any]:
    """Confidence and states of the tuned model for the same answers, and its answers to held-out questions.

    The adapter is switched on for the confidence turn or reply alone. That this leaves the answers as they were is shown by
    generating the first batches anew with the adapter loaded and off (the same batches, because in bfloat16 the kernels'
    rounding depends on a batch's shape). An adapter on the whole conversation also answers some with it on, to see what it
    would do to them.
    """
    questions, graded = load_questions(context)
    test = np.flatnonzero(questions["split"] == "test")
    everyone = np.arange(len(questions))
    with context.tuned("teach") as tuned:
        facts = _read_tuned(context, tuned, stage, everyone, POSITIONS, "reading tuned confidence")
        with adapter_off(tuned):
            off = answers(
                context, tuned, stage, graded, everyone, "answering with the adapter off", most_batches=REPEATED_BATCHES
            )
        if tuned.reach is None:
            spread = test[np.linspace(0, len(test) - 1, min(ADAPTER_ON_ROWS, len(test))).astype(np.int64)]
            with adapter_merged(tuned):
                on = answers(context, tuned, stage, graded, spread, "answering with the adapter on")
            stage.save_table("answers_adapter_on", on)
    stage.save_table("answers", off)
    return facts


def again_shuffled(context: Context, stage: StageStore) -> dict[str, Any]:
    """Confidence of the control adapter on the held-out questions."""
    questions, _ = load_questions(context)
    test = np.flatnonzero(questions["split"] == "test")
    with context.tuned("control") as tuned:
        return _read_tuned(context, tuned, stage, test, (), "reading control confidence")


def _read_tuned(
    context: Context,
    tuned: LanguageModel,
    stage: StageStore,
    rows: NDArray[np.int64],
    record: Sequence[str],
    description: str,
) -> dict[str, Any]:
    conversations, certain = conversations_of(context), context.fmt.scale.certain
    reply = context.reply
    if reply is None:

        def whole(batch: NDArray[np.int64]) -> ConfidenceReading:
            return read_confidence(tuned, [conversations[row] for row in batch], context.numbers, certain, record)

        with adapter_merged(tuned):
            return read(context, stage, rows, [len(conversations[row].tokens) for row in rows], whole, description)
    _fill_prefixes(context, tuned, conversations, rows)
    base = context.stage("elicit").tensors("readings")["states"] if record else None

    def replies(batch: NDArray[np.int64]) -> ConfidenceReading:
        kept = context.prefixes.kept(tuned, batch, [before_reply(conversations[row], reply) for row in batch])
        reading = read_reply(tuned, kept, reply, context.numbers, certain)
        return reading.with_states(None if base is None else _replaced(base[batch], reading.states, record))

    return read(context, stage, rows, [len(conversations[row].tokens) for row in rows], replies, description)


def _replaced(base: NDArray[Any], tuned: NDArray[Any] | None, record: Sequence[str]) -> NDArray[Any]:
    """The base model's states with the confidence position's replaced: an adapter on the reply moves no others."""
    assert tuned is not None
    states = base.copy()
    states[:, :, record.index("confidence")] = tuned[:, :, 0]
    return states
