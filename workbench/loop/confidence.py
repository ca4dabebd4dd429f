"""Read the confidence in the base model's answers, of the base model and of models with an adapter,
with the states it is read from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.elicit.confidence_table import (
    ReadBatch,
    check_readable,
    read_rows,
    replace_position,
    split_states,
)
from workbench.elicit.conversation import (
    QUESTION_END,
    Conversation,
    check_conversation,
    confidence_conversation,
)
from workbench.elicit.readout import ConfidenceReading, read_confidence, read_reply
from workbench.elicit.reply_tokens import before_reply
from workbench.loop.answers import answers, given_answers
from workbench.loop.kv_cache import cache_up_to_reply
from workbench.loop.positions import run_positions
from workbench.loop.questions import held_out_rows, load_questions, spread_rows
from workbench.loop.reply_prefixes import conversations_from_cache, fill_prefixes
from workbench.loop.run import Run
from workbench.loop.states import shard_layout, states_of_stage
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.pipeline.store import ROW, StageStore, run_parts
from workbench.questions import prompt_text
from workbench.states.layout import Layout
from workbench.teach.merged_adapter import adapter_merged

REPEATED_BATCHES = 1


def elicit(context: Run, stage: StageStore) -> dict[str, Any]:
    """Read the base model's confidence in its answers, with the states of every layer."""
    conversations, numbers = confidence_conversations(context), context.scale_tokens
    table, questions = load_questions(context)
    said = given_answers(context)
    for row in table.groupby("domain").head(1)[ROW]:
        question = prompt_text(questions[row])
        check_conversation(context.lm.tokenizer, context.fmt, numbers, question, *said[row])
    lengths = check_readable(
        context.lm,
        conversations,
        numbers,
        [f"question {q.id!r}" for q in questions],
        context.config.model.tokens_per_forward,
    )
    begun = conversations_from_cache(context, conversations)
    positions = run_positions(context)
    # Reasoning stands between question and answer, and its keys are kept from answering.
    record = positions if context.fmt.reasons else (*positions, QUESTION_END)

    def reading(rows: NDArray[np.int64]) -> ConfidenceReading:
        return read_confidence(
            context.lm,
            [conversations[row] for row in rows],
            numbers,
            record,
            cache_up_to_reply(context, rows),
            None if begun is None else begun.kept(rows),
        )

    facts = read(
        context,
        stage,
        np.arange(len(conversations)),
        lengths,
        reading,
        "reading confidence",
        shard_layout(context, context.lm, len(conversations), record),
    )
    return facts | ({"positions": list(positions)} if context.fmt.thinking else {})


def confidence_conversations(context: Run) -> list[Conversation]:
    """Return the confidence conversation of every question with the base model's answer."""
    _, questions = load_questions(context)
    numbers = context.scale_tokens
    return [
        confidence_conversation(
            context.lm.tokenizer, context.fmt, numbers, prompt_text(question), *said
        )
        for question, said in zip(questions, given_answers(context), strict=True)
    ]


def read(
    context: Run,
    stage: StageStore,
    rows: NDArray[np.int64],
    lengths: Sequence[int],
    reading: ReadBatch,
    description: str,
    layout: Layout | None = None,
) -> dict[str, Any]:
    """Read the confidence of ``rows`` batch by batch, and save the table "confidence" and the
    tensors "readings", in which the states at QUESTION_END stand by themselves.

    Args:
        lengths: [rows] tokens each row costs, without those of the scale.
        layout: of the shards in which the states stay; None where they are among the tensors.
    """
    part = read_rows(
        rows,
        lengths,
        reading,
        context.scale_tokens,
        tokens_per_forward=context.config.model.tokens_per_forward,
        run=partial(run_parts, stage, layout=layout),
        description=description,
    )
    tensors = split_states(part.tensors, len(run_positions(context)), QUESTION_END)
    stage.save_tensors("readings", tensors)
    stage.save_table("confidence", part.table)
    return {"parse_rate": float(part.table["stated"].notna().mean())}


def elicit_tuned(context: Run, stage: StageStore) -> dict[str, Any]:
    """Read confidence and states of the tuned model on all questions, and its answers to held-out
    ones.
    """
    questions, _ = load_questions(context)
    everyone = np.arange(len(questions))
    return evaluate_adapter(
        context,
        stage,
        "teach",
        everyone,
        run_positions(context),
        "reading tuned confidence",
        context.config.measure.adapter_answers,
    )


def evaluate_adapter(
    context: Run,
    stage: StageStore,
    taught: str,
    rows: NDArray[np.int64],
    record: Sequence[str],
    description: str,
    most_on: int | None,
) -> dict[str, Any]:
    """Measure what the adapter of the stage ``taught`` states for the same answers, and what it
    does to the answers.

    The adapter is switched on for the confidence turn or reply alone. Generating the first batches
    anew with the adapter loaded and off shows that this leaves the answers as they were (the same
    batches, because in bfloat16 the kernels' rounding depends on a batch's shape). An adapter on
    the whole conversation also answers held-out questions with it on, at most ``most_on`` of them,
    to see how it would change them.
    """
    questions, graded = load_questions(context)
    test = np.flatnonzero(questions["split"] == "test")
    with context.with_adapter(taught) as tuned:
        facts = read_tuned(context, tuned, stage, rows, record, description)
        if context.config.questions.graded_file is not None:
            return facts
        with adapter_off(tuned):
            off = answers(
                context,
                tuned,
                stage,
                graded,
                np.arange(len(graded)),
                "answering with the adapter off",
                most_batches=REPEATED_BATCHES,
            )
        if tuned.invocation_length is None:
            spread = spread_rows(test, most_on or len(test))
            with adapter_merged(tuned):
                on = answers(context, tuned, stage, graded, spread, "answering with the adapter on")
            stage.save_table("answers_adapter_on", on)
    stage.save_table("answers", off)
    return facts


def elicit_control(context: Run, stage: StageStore) -> dict[str, Any]:
    """Read the confidence of the control adapter on the held-out questions."""
    rows = held_out_rows(context)
    return read_adapter(
        context, stage, context.stage("teach_control"), rows, "reading control confidence"
    )


def read_adapter(
    context: Run, stage: StageStore, taught: StageStore, rows: NDArray[np.int64], description: str
) -> dict[str, Any]:
    """Read what the adapter of ``taught``, a teaching stage of this run or of another on its model,
    states on the questions ``rows``.
    """
    with context.with_adapter_of(taught) as tuned:
        return read_tuned(context, tuned, stage, rows, (), description)


def read_tuned(
    context: Run,
    tuned: LanguageModel,
    stage: StageStore,
    rows: NDArray[np.int64],
    record: Sequence[str],
    description: str,
) -> dict[str, Any]:
    """Read what a model with an adapter states on ``rows``, and its states at ``record``."""
    conversations = confidence_conversations(context)
    reply = context.reply
    if reply is None:
        return read_conversation_adapter(
            context, tuned, stage, dict(enumerate(conversations)), rows, record, description
        )
    fill_prefixes(context, tuned, conversations, rows)
    base = states_of_stage(context.stage("elicit")) if record else None

    def replies(batch: NDArray[np.int64]) -> ConfidenceReading:
        kept = context.reply_cache.kept(
            tuned, batch, [before_reply(conversations[row], reply) for row in batch]
        )
        reading = read_reply(tuned, kept, reply, context.scale_tokens)
        if base is None:
            return reading.with_states(None)
        own = np.asarray(base[batch])
        return reading.with_states(
            replace_position(own, record.index("confidence"), reading.states)
        )

    lengths = [len(conversations[row].tokens) for row in rows]
    layout = shard_layout(context, tuned, len(rows), record)
    return read(context, stage, rows, lengths, replies, description, layout)


def read_conversation_adapter(
    context: Run,
    tuned: LanguageModel,
    stage: StageStore,
    conversations: Mapping[int, Conversation],
    rows: NDArray[np.int64],
    record: Sequence[str],
    description: str,
) -> dict[str, Any]:
    """Read what a model with an adapter on the whole conversation states at the end of the
    ``conversations`` of ``rows``.
    """

    def reading(batch: NDArray[np.int64]) -> ConfidenceReading:
        return read_confidence(
            tuned, [conversations[row] for row in batch], context.scale_tokens, record
        )

    lengths = [len(conversations[row].tokens) for row in rows]
    layout = shard_layout(context, tuned, len(rows), record)
    with adapter_merged(tuned):
        return read(context, stage, rows, lengths, reading, description, layout)
