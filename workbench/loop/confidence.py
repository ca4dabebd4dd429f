"""Confidence in the base model's answers, of the base model and of models with an adapter, with
the states it is read from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from peft import PeftModel

from workbench import progress
from workbench.elicit.answer import answer_prompts
from workbench.elicit.conversation import (
    POSITIONS,
    Conversation,
    before_reply,
    check_conversation,
    confidence_conversation,
)
from workbench.elicit.lengths import check_lengths
from workbench.elicit.readout import (
    ConfidenceReading,
    expected_confidence,
    mass_on_scale,
    read_confidence,
    read_reply,
    recompute_cache,
    stated_tokens,
)
from workbench.loop.answers import answers, opening_tokens
from workbench.loop.kv_cache import AnswerPromptCache, cache_up_to_reply, reusable_prompts
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.questions import (
    prompt_text,
)
from workbench.teach.adapter import adapter_merged, adapter_off
from workbench.trace.batches import plan_batches


def elicit(context: Run, stage: StageStore) -> dict[str, Any]:
    """Confidence of the base model in its answers, with the states of every layer."""
    conversations = confidence_conversations(context)
    table, questions = load_questions(context)
    said = list(answers_with_reasoning(context))
    for row in table.groupby("domain").head(1)[ROW]:
        check_conversation(
            context.lm.tokenizer,
            context.fmt,
            context.scale_tokens,
            prompt_text(questions[row]),
            *said[row],
        )

    lengths = [len(conversation.tokens) for conversation in conversations]
    to_come = stated_tokens(context.scale_tokens)
    check_lengths(
        context.lm,
        [length + to_come for length in lengths],
        [f"question {q.id!r}" for q in questions],
        context.config.model.tokens_per_forward,
    )
    begun = conversations_from_cache(context, conversations)

    def reading(rows: NDArray[np.int64]) -> ConfidenceReading:
        chosen = [conversations[row] for row in rows]
        kept = None if begun is None else begun.kept(rows)
        return read_confidence(
            context.lm,
            chosen,
            context.scale_tokens,
            POSITIONS,
            cache_up_to_reply(context, rows),
            kept,
        )

    return read(
        context, stage, np.arange(len(conversations)), lengths, reading, "reading confidence"
    )


def conversations_from_cache(
    context: Run, conversations: Sequence[Conversation]
) -> AnswerPromptCache | None:
    """What answering left of the conversations, where they go on from it."""
    _, questions = load_questions(context)
    texts = [prompt_text(question) for question in questions]
    prompts = answer_prompts(
        context.lm,
        context.fmt,
        texts,
        [reasoning for _, reasoning in answers_with_reasoning(context)],
    )
    return reusable_prompts(context, opening_tokens(context, questions), prompts, conversations)


def reading_batches(context: Run, lengths: Sequence[int]) -> list[NDArray[np.int64]]:
    """The batches in which confidence is read from conversations of ``lengths`` tokens."""
    return plan_batches(
        lengths,
        context.config.model.tokens_per_forward,
        len(context.scale_tokens.trie.scored_tokens),
    )


def confidence_conversations(context: Run) -> list[Conversation]:
    """The confidence conversation of every question with the base model's answer."""
    _, questions = load_questions(context)
    numbers = context.scale_tokens
    return [
        confidence_conversation(
            context.lm.tokenizer, context.fmt, numbers, prompt_text(question), answer, reasoning
        )
        for question, (answer, reasoning) in zip(
            questions, answers_with_reasoning(context), strict=True
        )
    ]


def answers_with_reasoning(context: Run) -> Iterator[tuple[str, str]]:
    """Answer and reasoning of every question."""
    table = context.stage("answer").table("answers")
    reasoning = table["reasoning"] if "reasoning" in table else [""] * len(table)
    return zip(table["answer"], reasoning, strict=True)


def read(
    context: Run,
    stage: StageStore,
    rows: NDArray[np.int64],
    lengths: Sequence[int],
    reading: Callable[[NDArray[np.int64]], ConfidenceReading],
    description: str,
) -> dict[str, Any]:
    """Read confidence of ``rows`` batch by batch and save the table "confidence" and the tensors
    "readings".

    Args:
        lengths: [rows] tokens each row costs, without the number trie.
    """
    scale = context.fmt.scale

    def compute(batch: NDArray[np.int64]) -> Part:
        chosen = rows[batch]
        read_now = reading(chosen)
        best = np.asarray(scale.values)[read_now.distribution.argmax(axis=-1)] / scale.certain
        table = pd.DataFrame(
            {
                ROW: chosen,
                "stated_text": read_now.stated_text,
                "stated": read_now.stated,
                "expected": expected_confidence(read_now.distribution, scale.values, scale.certain),
                "argmax": best,
                "mass": mass_on_scale(read_now.distribution),
            }
        )
        states = {} if read_now.states is None else {"states": read_now.states}
        return Part(table, {"distribution": read_now.distribution, **states})

    batches = reading_batches(context, lengths)
    part = run_parts(stage, batches, compute, description)
    stage.save_tensors("readings", part.tensors)
    stage.save_table("confidence", part.table)
    return {"parse_rate": float(part.table["stated"].notna().mean())}


ADAPTER_ON_ROWS = 64

REPEATED_BATCHES = 1


def fill_prefixes(
    context: Run, lm: LanguageModel, conversations: Sequence[Conversation], rows: NDArray[np.int64]
) -> None:
    """Keys and values of ``rows`` up to the reply, where an earlier stage of this process has not
    left them.

    Computed in the passes in which the stage "elicit" left them, so that a resumed run stands on
    the same bits.
    """
    missing = [row for row in rows if row not in context.reply_cache]
    if not missing or context.reply_cache.full:
        return
    planned = reading_batches(context, [len(conversation.tokens) for conversation in conversations])
    batches = [batch for batch in planned if np.isin(batch, missing).any()]
    begun = conversations_from_cache(context, conversations)
    off = adapter_off(lm) if isinstance(lm.model, PeftModel) else nullcontext()
    with off:
        for batch in progress.track(batches, "reading up to the reply"):
            kept = None if begun is None else begun.kept(batch)
            recompute_cache(
                lm,
                [conversations[row] for row in batch],
                context.scale_tokens,
                cache_up_to_reply(context, batch),
                kept,
            )


def elicit_tuned(context: Run, stage: StageStore) -> dict[str, Any]:
    """Confidence and states of the tuned model on all questions, and its answers to held-out
    ones.
    """
    questions, _ = load_questions(context)
    everyone = np.arange(len(questions))
    return evaluate_adapter(
        context, stage, "teach", everyone, POSITIONS, "reading tuned confidence", ADAPTER_ON_ROWS
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
    """What the adapter of the stage ``taught`` states for the same answers, and what it does to the
    answers.

    The adapter is switched on for the confidence turn or reply alone. That this leaves the answers
    as they were is shown by generating the first batches anew with the adapter loaded and off (the
    same batches, because in bfloat16 the kernels' rounding depends on a batch's shape). An adapter
    on the whole conversation also answers held-out questions with it on, at most ``most_on`` of
    them, to see what it would do to them.
    """
    questions, graded = load_questions(context)
    test = np.flatnonzero(questions["split"] == "test")
    with context.with_adapter(taught) as tuned:
        facts = _read_tuned(context, tuned, stage, rows, record, description)
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
            count = min(len(test), most_on or len(test))
            spread = test[np.linspace(0, len(test) - 1, count).astype(np.int64)]
            with adapter_merged(tuned):
                on = answers(context, tuned, stage, graded, spread, "answering with the adapter on")
            stage.save_table("answers_adapter_on", on)
    stage.save_table("answers", off)
    return facts


def elicit_control(context: Run, stage: StageStore) -> dict[str, Any]:
    """Confidence of the control adapter on the held-out questions."""
    questions, _ = load_questions(context)
    test = np.flatnonzero(questions["split"] == "test")
    return read_adapter(
        context, stage, context.stage("teach_control"), test, "reading control confidence"
    )


def read_adapter(
    context: Run, stage: StageStore, taught: StageStore, rows: NDArray[np.int64], description: str
) -> dict[str, Any]:
    """What the adapter of ``taught``, a teaching stage of this run or of another on its model,
    states on the questions ``rows``.
    """
    with context.with_adapter_of(taught) as tuned:
        return _read_tuned(context, tuned, stage, rows, (), description)


def _read_tuned(
    context: Run,
    tuned: LanguageModel,
    stage: StageStore,
    rows: NDArray[np.int64],
    record: Sequence[str],
    description: str,
) -> dict[str, Any]:
    conversations = confidence_conversations(context)
    reply = context.reply
    if reply is None:
        return read_conversation_adapter(
            context, tuned, stage, dict(enumerate(conversations)), rows, record, description
        )
    fill_prefixes(context, tuned, conversations, rows)
    base = context.stage("elicit").tensors("readings")["states"] if record else None

    def replies(batch: NDArray[np.int64]) -> ConfidenceReading:
        kept = context.reply_cache.kept(
            tuned, batch, [before_reply(conversations[row], reply) for row in batch]
        )
        reading = read_reply(tuned, kept, reply, context.scale_tokens)
        return reading.with_states(
            None if base is None else _replaced(base[batch], reading.states, record)
        )

    return read(
        context, stage, rows, [len(conversations[row].tokens) for row in rows], replies, description
    )


def read_conversation_adapter(
    context: Run,
    tuned: LanguageModel,
    stage: StageStore,
    conversations: Mapping[int, Conversation],
    rows: NDArray[np.int64],
    record: Sequence[str],
    description: str,
) -> dict[str, Any]:
    """What a model with an adapter on the whole conversation states at the end of the
    ``conversations`` of ``rows``.
    """

    def reading(batch: NDArray[np.int64]) -> ConfidenceReading:
        return read_confidence(
            tuned, [conversations[row] for row in batch], context.scale_tokens, record
        )

    with adapter_merged(tuned):
        return read(
            context,
            stage,
            rows,
            [len(conversations[row].tokens) for row in rows],
            reading,
            description,
        )


def _replaced(
    base: NDArray[Any], tuned: NDArray[Any] | None, record: Sequence[str]
) -> NDArray[Any]:
    """The base model's states with the confidence position's replaced: an adapter on the reply
    moves no others.
    """
    assert tuned is not None
    states = base.copy()
    states[:, :, record.index("confidence")] = tuned[:, :, 0]
    return states
