"""Stages that teach and look again: an arm of a recipe, its shuffled twin, and what each of them states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from peft import PeftModel

from workbench import progress
from workbench.elicit.conversation import POSITIONS, Conversation, before_reply
from workbench.elicit.readout import ConfidenceReading, keep_keys, read_confidence, read_reply
from workbench.loop.asking import (
    answers,
    begun_conversations,
    conversations_of,
    load_questions,
    questions_and_answers,
    read,
    reading_batches,
    right_answers,
)
from workbench.loop.context import Context
from workbench.loop.leaving import keeping
from workbench.loop.partial import settled
from workbench.loop.sources import source_named
from workbench.models import LanguageModel
from workbench.questions import grade_of
from workbench.store import ROW, StageStore
from workbench.teach.adapter import adapter_merged, adapter_off, remove_adapter
from workbench.teach.lesson import Grade, Lesson, States
from workbench.teach.material import Material, check_both_kinds
from workbench.teach.recipes import PROBE, Arm
from workbench.teach.targets import check_targets, scale_targets, shuffled_order
from workbench.teach.training import Reply

ADAPTER_ON_ROWS = 64
REPEATED_BATCHES = 1


@dataclass(frozen=True)
class Aims:
    """What an arm is taught.

    Attributes:
        usable: rows the arm draws from.
        row: [n] rows it is taught.
        target: [n] probabilities to state.
        level: [n] levels behind them, for arms that compare questions.
    """

    usable: NDArray[np.int64]
    row: NDArray[np.int64]
    target: NDArray[np.float64]
    level: NDArray[np.float64] | None


def teach(context: Context, stage: StageStore) -> dict[str, Any]:
    """LoRA on the cross-fitted probe targets of the training questions."""
    return teach_arm(context, stage, main_arm(context), seed=context.config.seed, shuffled=False)


def teach_shuffled(context: Context, stage: StageStore) -> dict[str, Any]:
    """The same recipe on permuted targets: the control."""
    return teach_arm(context, stage, main_arm(context), seed=context.config.seed, shuffled=True)


def main_arm(context: Context) -> Arm:
    """The arm of the probe recipe that the whole loop teaches, by the target it is set to."""
    return PROBE.arm({"distribution": "soft", "text": "hard"}[context.config.teach.target])


def teach_arm(context: Context, stage: StageStore, arm: Arm, *, seed: int, shuffled: bool) -> dict[str, Any]:
    """Teach one arm of a recipe, or its twin on permuted targets, with the training settings of ``context``."""
    config = context.config
    aims = aims_of(context, arm)
    rows, targets, levels = aims.row, aims.target, aims.level
    stage.save_table("kept_back", pd.DataFrame({ROW: kept_back_rows(context, aims.usable)}))
    if shuffled:
        order = shuffled_order(targets, seed)
        targets, levels = targets[order], None if levels is None else levels[order]
    conversations, (questions, answered) = conversations_of(context), questions_and_answers(context, rows)
    settings = settled(context, conversations, rows)
    taught = arm.teacher(
        Lesson(
            lm=context.lm,
            fmt=context.fmt,
            numbers=context.numbers,
            questions=questions,
            answers=answered,
            conversations=[conversations[row] for row in rows],
            states=states_of(context, rows),
            targets=targets,
            levels=levels,
            base=context.stage("elicit").tensors("readings")["distribution"][rows],
            settings=settings,
            seed=seed,
            reply=None if arm.reader else _reply(context, conversations, rows),
            folder=stage.folder,
            description=f"teaching {'shuffled' if shuffled else arm.name} targets",
            grade=_permuted(targets) if shuffled else _grades(context, rows),
            answer_limit=config.elicit.answer_tokens,
        )
    )
    remove_adapter(taught.lm)
    written = {"probability": targets, "target": scale_targets(targets, context.fmt.scale)}
    stage.save_table("targets", pd.DataFrame({ROW: rows, **written}))
    stage.save_table("log", pd.DataFrame(taught.log))
    return {
        "questions": len(rows),
        "examples": taught.examples,
        "steps": len(taught.log),
        "tokens": taught.tokens,
        "loss.last": taught.log[-1]["loss"],
        "from_layer": settings.from_layer,
        "precision": context.lm.precision,
        "teach": settings.model_dump(mode="json"),
    }


def _grades(context: Context, rows: NDArray[np.int64]) -> Grade | None:
    """Whether other answers to the questions ``rows`` are right; None where a file gives the answers with their grades."""
    if context.config.questions.graded is not None:
        return None
    _, questions = load_questions(context)
    return lambda number, answer: grade_of(answer, questions[rows[number]]).correct


def _permuted(targets: NDArray[np.float64]) -> Grade:
    """What the shuffled twin learns of its answers: the grade of the base model's answer to another question."""
    return lambda number, answer: bool(targets[number] > 0.5)


def states_of(context: Context, rows: NDArray[np.int64]) -> States:
    """By name of a position, the base model's residual stream there [rows, layers, width]."""

    def states(position: str) -> NDArray[np.float32]:
        return context.stage("elicit").tensors("readings")["states"][rows, :, POSITIONS.index(position)]

    return states


def aims_of(context: Context, arm: Arm) -> Aims:
    """What ``arm`` would be taught, from the run's finished stages: no model is needed.

    Errors: WorkbenchError where the arm cannot be taught on these questions.
    """
    material = training_material(context, arm)
    rows, targets = material.row, arm.targets(material)
    levels = None if arm.levels is None else arm.levels(material)
    if arm.drawn is not None:
        chosen = arm.drawn(material)
        check_both_kinds(material.correct[chosen])
        rows, targets = rows[chosen], targets[chosen]
        levels = None if levels is None else levels[chosen]
    check_targets(targets)
    return Aims(material.row, rows, targets, levels)


def training_material(context: Context, arm: Arm) -> Material:
    """What ``arm`` makes its targets from: grades, domains and its sources of the training questions it does not keep back.

    Errors: WorkbenchError where all answers are right or all wrong.
    """
    questions, _ = load_questions(context)
    train = questions[questions["split"] == "train"]
    if arm.kept_back:
        kept = np.random.default_rng(context.config.seed).permutation(len(train))[: round(arm.kept_back * len(train))]
        train = train.drop(index=train.index[kept])
    rows = train[ROW].to_numpy()
    correct = right_answers(context, rows)
    check_both_kinds(correct)
    return Material(
        row=rows,
        correct=correct,
        domain=train["domain"].to_numpy(dtype=str),
        sources={name: source_named(name).values(context, rows) for name in arm.sources},
        seed=context.config.seed,
    )


def kept_back_rows(context: Context, usable: NDArray[np.int64]) -> NDArray[np.int64]:
    """Training questions that are not among the ``usable`` ones, from which an arm draws what it is taught."""
    questions, _ = load_questions(context)
    train = questions[ROW][questions["split"] == "train"].to_numpy()
    return train[~np.isin(train, usable)]


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
    begun = begun_conversations(context, conversations)
    off = adapter_off(lm) if isinstance(lm.model, PeftModel) else nullcontext()
    with off:
        for batch in progress.track(batches, "reading up to the reply"):
            kept = None if begun is None else begun.kept(batch)
            keep_keys(lm, [conversations[row] for row in batch], context.numbers, keeping(context, batch), kept)


def again(context: Context, stage: StageStore) -> dict[str, Any]:
    """Confidence and states of the tuned model on all questions, and its answers to held-out ones."""
    questions, _ = load_questions(context)
    everyone = np.arange(len(questions))
    return look_again(context, stage, "teach", everyone, POSITIONS, "reading tuned confidence", ADAPTER_ON_ROWS)


def look_again(
    context: Context,
    stage: StageStore,
    taught: str,
    rows: NDArray[np.int64],
    record: Sequence[str],
    description: str,
    most_on: int | None,
) -> dict[str, Any]:
    """What the adapter of the stage ``taught`` states for the same answers, and what it does to the answers.

    The adapter is switched on for the confidence turn or reply alone. That this leaves the answers as they were is shown by
    generating the first batches anew with the adapter loaded and off (the same batches, because in bfloat16 the kernels'
    rounding depends on a batch's shape). An adapter on the whole conversation also answers held-out questions with it on, at
    most ``most_on`` of them, to see what it would do to them.
    """
    questions, graded = load_questions(context)
    test = np.flatnonzero(questions["split"] == "test")
    with context.tuned(taught) as tuned:
        facts = _read_tuned(context, tuned, stage, rows, record, description)
        if context.config.questions.graded is not None:
            return facts
        with adapter_off(tuned):
            off = answers(
                context, tuned, stage, graded, np.arange(len(graded)), "answering with the adapter off",
                most_batches=REPEATED_BATCHES,
            )  # fmt: skip
        if tuned.reach is None:
            count = min(len(test), most_on or len(test))
            spread = test[np.linspace(0, len(test) - 1, count).astype(np.int64)]
            with adapter_merged(tuned):
                on = answers(context, tuned, stage, graded, spread, "answering with the adapter on")
            stage.save_table("answers_adapter_on", on)
    stage.save_table("answers", off)
    return facts


def again_shuffled(context: Context, stage: StageStore) -> dict[str, Any]:
    """Confidence of the control adapter on the held-out questions."""
    questions, _ = load_questions(context)
    test = np.flatnonzero(questions["split"] == "test")
    return read_taught(context, stage, context.stage("control"), test, "reading control confidence")


def read_taught(
    context: Context, stage: StageStore, taught: StageStore, rows: NDArray[np.int64], description: str
) -> dict[str, Any]:
    """What the adapter of ``taught``, a teaching stage of this run or of another on its model, states on the questions ``rows``."""
    with context.carrying(taught) as tuned:
        return _read_tuned(context, tuned, stage, rows, (), description)


def _read_tuned(
    context: Context,
    tuned: LanguageModel,
    stage: StageStore,
    rows: NDArray[np.int64],
    record: Sequence[str],
    description: str,
) -> dict[str, Any]:
    conversations = conversations_of(context)
    reply = context.reply
    if reply is None:
        return read_whole(context, tuned, stage, dict(enumerate(conversations)), rows, record, description)
    _fill_prefixes(context, tuned, conversations, rows)
    base = context.stage("elicit").tensors("readings")["states"] if record else None

    def replies(batch: NDArray[np.int64]) -> ConfidenceReading:
        kept = context.prefixes.kept(tuned, batch, [before_reply(conversations[row], reply) for row in batch])
        reading = read_reply(tuned, kept, reply, context.numbers)
        return reading.with_states(None if base is None else _replaced(base[batch], reading.states, record))

    return read(context, stage, rows, [len(conversations[row].tokens) for row in rows], replies, description)


def read_whole(
    context: Context,
    tuned: LanguageModel,
    stage: StageStore,
    conversations: Mapping[int, Conversation],
    rows: NDArray[np.int64],
    record: Sequence[str],
    description: str,
) -> dict[str, Any]:
    """What a model with an adapter on the whole conversation states at the end of the ``conversations`` of ``rows``."""

    def reading(batch: NDArray[np.int64]) -> ConfidenceReading:
        return read_confidence(tuned, [conversations[row] for row in batch], context.numbers, record)

    with adapter_merged(tuned):
        return read(context, stage, rows, [len(conversations[row].tokens) for row in rows], reading, description)


def _replaced(base: NDArray[Any], tuned: NDArray[Any] | None, record: Sequence[str]) -> NDArray[Any]:
    """The base model's states with the confidence position's replaced: an adapter on the reply moves no others."""
    assert tuned is not None
    states = base.copy()
    states[:, :, record.index("confidence")] = tuned[:, :, 0]
    return states
