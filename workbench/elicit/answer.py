"""Greedy answers of a batch of questions.

The reply ends at the first line break or the end of the turn; what counts as the answer is that first line, stripped.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import DynamicCache

from workbench.elicit.greedy import greedy, stop_at_newline
from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts


def answer_batch(lm: LanguageModel, prompts: Sequence[Sequence[int]], limit: int) -> list[str]:
    """The model's greedy answer to each prompt.

    Args:
        prompts: token ids of each prompt, ending where the answer begins.
        limit: most tokens per answer.
    """
    batch = pad_prompts(prompts, lm.tokenizer.pad_token_id, lm.device)
    tail = empty_tail(batch)
    last = torch.full((batch.rows, 1), batch.columns - 1, device=lm.device)
    result = forward(lm, batch, tail, last, cache=DynamicCache())
    first = unembed(lm, result.final[:, 0]).argmax(dim=-1)
    tokens = greedy(lm, batch, tail, first, result.cache, limit, stop_at_newline(lm))
    return [first_line(lm.tokenizer.decode(row, skip_special_tokens=True)) for row in tokens]


def first_line(reply: str) -> str:
    """The reply up to its first line break, stripped."""
    return reply.split("\n", 1)[0].strip()
