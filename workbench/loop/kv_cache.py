"""Keep keys and values between the stages of the loop, so that most tokens of a conversation are
computed once.

Answering caches every answer prompt. Reading the base model's confidence continues from that cache
and, for adapters that act on the reply alone, caches each conversation up to its confidence reply.
A resumed run recomputes a missing cache in the same batches as the stage that made it, so its bits
are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from workbench.arrays import Rows
from workbench.elicit.answer import CacheCallback, answer_prompts, recompute_prompt_cache
from workbench.elicit.answer_table import answer_batches
from workbench.elicit.conversation import Conversation
from workbench.loop.run import Run
from workbench.trace.layout import Prompts, without_last
from workbench.trace.prompt_cache import CachedPrompts

Tokens = Sequence[tuple[int, ...]]


def cache_answer_prompts(context: Run, rows: Rows) -> CacheCallback:
    """Return a callback that caches the answer prompts of ``rows``, without their last tokens, at
    which an empty answer ends.
    """

    def keep(cache: Any, prompts: Prompts) -> None:
        context.prompt_cache.keep(rows.tolist(), cache, without_last(prompts, 1))

    return keep


def cache_up_to_reply(context: Run, rows: Rows) -> CacheCallback:
    """Return a callback that replaces the cached answer prompts of ``rows`` by the keys and values
    up to the confidence reply.

    Where the adapter acts on the whole conversation nothing is cached, and the answer prompts are
    dropped.
    """
    reply = context.reply

    def keep(cache: Any, prompts: Prompts) -> None:
        context.prompt_cache.drop(rows.tolist())
        if reply is not None:
            # Done here, because training sets another attention kernel: a run resumed after it
            # would start from other bits.
            context.reply_cache.begin(context.lm)
            context.reply_cache.keep(rows.tolist(), cache, without_last(prompts, len(reply)))

    return keep


@dataclass(frozen=True)
class AnswerPromptCache:
    """The answer prompts of the conversations, whose keys and values answering cached.

    Attributes:
        prompts: the answer prompt of every question, with its reasoning.
        batches: the batches they were answered in.
    """

    context: Run
    prompts: Tokens
    batches: Sequence[Rows]

    def kept(self, rows: Rows) -> CachedPrompts:
        """Return the keys and values of the answer prompts of ``rows``, without their last
        tokens.
        """
        context, lm = self.context, self.context.lm
        missing = [row for row in rows.tolist() if row not in context.prompt_cache]
        for batch in self.batches:
            if not context.prompt_cache.full and np.isin(batch, missing).any():
                recompute_prompt_cache(
                    lm, [self.prompts[row] for row in batch], cache_answer_prompts(context, batch)
                )
        return context.prompt_cache.kept(lm, rows, [self.prompts[row][:-1] for row in rows])


def reusable_prompts(
    context: Run,
    texts: Sequence[str],
    reasonings: Sequence[str],
    conversations: Sequence[Conversation],
) -> AnswerPromptCache | None:
    """Find the cached answer prompts, where every conversation continues the prompt its answer was
    generated from.

    None for answers from a file, for templates that rewrite earlier turns, and where no mask can
    hide padding.

    Args:
        texts, reasonings: [n] the questions, and the reasoning before each answer.
    """
    prompts = answer_prompts(context.lm, context.fmt, texts, reasonings)
    goes_on = all(c.tokens[: len(p)] == p for c, p in zip(conversations, prompts, strict=True))
    if (
        context.config.questions.graded_file is not None
        or not goes_on
        or not context.lm.architecture.packable
    ):
        return None
    opened = answer_prompts(context.lm, context.fmt, texts, [""] * len(texts))
    batches = answer_batches(opened, context.config.model.tokens_per_forward)
    return AnswerPromptCache(context, prompts, batches)
