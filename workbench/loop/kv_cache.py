"""Keys and values that one stage leaves to the next, so that most tokens of a conversation are computed once in the loop.

Answering leaves those of every answer prompt; reading the base model's confidence goes on from there, and leaves those up to the
confidence reply for adapters that act on the reply alone. A resumed run computes what it lacks in the passes in which the earlier
stage left it, so that it stands on the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.elicit.answer import Keep, keep_prompts
from workbench.elicit.conversation import Conversation
from workbench.loop.run import Context
from workbench.trace.batches import plan_batches
from workbench.trace.layout import Prompts, without_last
from workbench.trace.prompt_cache import Kept
from workbench.trace.suffix import shared_tokens

Rows = NDArray[np.int64]
Tokens = Sequence[tuple[int, ...]]


def answering_batches(context: Context, opened: Tokens) -> list[Rows]:
    """The batches in which questions are answered, by the tokens that open their replies.

    A pass computes those tokens, without what all begin with; what is generated behind them comes one token a row at a time.
    """
    shared = len(shared_tokens(opened))
    return plan_batches([len(tokens) - shared for tokens in opened], context.config.model.tokens_per_batch)


def keeping_prompts(context: Context, rows: Rows) -> Keep:
    """Keeps what a pass leaves of the answer prompts of ``rows``, short of their last tokens, at which an empty answer ends."""

    def keep(cache: Any, prompts: Prompts) -> None:
        context.asked.keep(rows.tolist(), cache, without_last(prompts, 1))

    return keep


def keeping(context: Context, rows: Rows) -> Keep:
    """Keeps what a pass leaves of ``rows`` before their replies, if the adapter acts on the reply alone, in place of their
    answer prompts."""
    reply = context.reply

    def keep(cache: Any, prompts: Prompts) -> None:
        context.asked.drop(rows.tolist())
        if reply is not None:
            # Here, because training sets another attention kernel: a run resumed behind it would begin on other bits.
            context.prefixes.begin(context.lm)
            context.prefixes.keep(rows.tolist(), cache, without_last(prompts, len(reply)))

    return keep


@dataclass(frozen=True)
class Beginnings:
    """What answering left of the conversations.

    Attributes:
        prompts: the answer prompt of every question, with its reasoning.
        batches: the batches they were answered in.
    """

    context: Context
    prompts: Tokens
    batches: Sequence[Rows]

    def kept(self, rows: Rows) -> Kept:
        """Keys and values of the answer prompts of ``rows``, short of their last tokens."""
        context, lm = self.context, self.context.lm
        missing = [row for row in rows.tolist() if row not in context.asked]
        for batch in self.batches:
            if not context.asked.full and np.isin(batch, missing).any():
                keep_prompts(lm, [self.prompts[row] for row in batch], keeping_prompts(context, batch))
        return context.asked.kept(lm, rows, [self.prompts[row][:-1] for row in rows])


def beginnings(
    context: Context, opened: Tokens, prompts: Tokens, conversations: Sequence[Conversation]
) -> Beginnings | None:
    """What answering left, where every conversation goes on from the prompt its answer was generated from.

    None for answers from a file, for templates that rewrite earlier turns, and where no mask keeps padding apart.
    """
    goes_on = all(c.tokens[: len(p)] == p for c, p in zip(conversations, prompts, strict=True))
    if context.config.questions.graded is not None or not goes_on or not context.lm.architecture.packable:
        return None
    return Beginnings(context, prompts, answering_batches(context, opened))
