"""Find, or compute anew, the keys and values of what precedes the confidence reply, which stages
keep for one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np
from numpy.typing import NDArray
from peft import PeftModel

from workbench import progress
from workbench.elicit.confidence_table import reading_batches
from workbench.elicit.conversation import Conversation
from workbench.elicit.readout import recompute_cache
from workbench.loop.answers import given_answers
from workbench.loop.kv_cache import AnswerPromptCache, cache_up_to_reply, reusable_prompts
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.questions import prompt_text


def conversations_from_cache(
    context: Run, conversations: Sequence[Conversation]
) -> AnswerPromptCache | None:
    """Find the cached answer prompts of the conversations, where every conversation continues its
    prompt; None for a model that thinks, whose prompts are not cached.
    """
    if context.fmt.thinking:
        return None
    _, questions = load_questions(context)
    reasonings = [said.reasoning for said in given_answers(context)]
    return reusable_prompts(context, list(map(prompt_text, questions)), reasonings, conversations)


def fill_prefixes(
    context: Run, lm: LanguageModel, conversations: Sequence[Conversation], rows: NDArray[np.int64]
) -> None:
    """Compute the keys and values of ``rows`` up to the reply, where an earlier stage of this
    process has not cached them.

    They are computed in the same passes as in the stage "elicit", so that a resumed run uses the
    same bits.
    """
    missing = [row for row in rows if row not in context.reply_cache]
    if not missing or context.reply_cache.full:
        return
    lengths = [len(conversation.tokens) for conversation in conversations]
    planned = reading_batches(
        lengths, context.scale_tokens, context.config.model.tokens_per_forward
    )
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
