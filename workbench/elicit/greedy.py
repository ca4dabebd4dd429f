"""Continue a batch greedily from a filled cache, and find the tokens that end a reply.

Generation is by argmax, so the same batch on the same machine gives the same text.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from workbench.elicit.generate import Pick, continued
from workbench.models import LanguageModel
from workbench.models.ends import end_tokens
from workbench.models.moved_bytes import moved
from workbench.models.unembed import unembed
from workbench.trace.layout import Prompts, Tail

__all__ = [
    "end_tokens",
    "greedy",
    "largest_log_probability",
    "most_probable",
    "stop_after_number",
    "stop_at_end",
    "stop_at_newline",
]


def greedy(
    lm: LanguageModel,
    prompts: Prompts,
    tail: Tail,
    first: Tensor,
    cache: Any,
    limit: int,
    stop: Tensor,
    scores: Tensor | None = None,
) -> list[list[int]]:
    """Continue every prompt by its most likely tokens; arguments and result are those of
    :func:`continued`.

    Args:
        scores: [rows, limit] gets the log-probability of every token after the first; entries past
            a row's end mean nothing.
    """

    pick = most_probable(lm, scores)
    return continued(lm, prompts, tail, first, cache, limit, stop, pick)


def most_probable(lm: LanguageModel, scores: Tensor | None = None) -> Pick:
    """Return what picks the most likely next token; ``scores`` are those of :func:`greedy`."""

    def pick(final: Tensor, rows: Tensor, step: int) -> Tensor:
        logits = unembed(lm, final)
        if scores is not None:
            best = moved(largest_log_probability(logits), scores.device)
            scores[moved(rows, scores.device), step + 1] = best
        return logits.argmax(dim=-1)

    return pick


def largest_log_probability(logits: Tensor) -> Tensor:
    """Return the log-probability [...] of the most likely token, from logits [..., vocab]."""
    wide = logits.float()
    return wide.amax(dim=-1) - wide.logsumexp(dim=-1)


def stop_at_newline(lm: LanguageModel) -> Tensor:
    """Return the tokens that end an answer, [vocab] bool: a turn's end or anything holding a line
    break.
    """
    return _stop_mask(lm, holds_break)


def stop_at_end(lm: LanguageModel) -> Tensor:
    """Return the tokens that end a turn, [vocab] bool."""
    return _stop_mask(lm, _never)


def stop_after_number(lm: LanguageModel) -> Tensor:
    """Return the tokens that end a number, [vocab] bool: anything but digits, points and spaces."""
    return _stop_mask(lm, ends_number)


def holds_break(text: str) -> bool:
    """Return whether a text holds a line break, with which an answer ends."""
    return "\n" in text


def _never(text: str) -> bool:
    return False


def ends_number(text: str) -> bool:
    """Return whether a text holds something else than a number, with which a number ends."""
    return not text or any(c not in "0123456789. " for c in text)


def _stop_mask(lm: LanguageModel, ends: Callable[[str], bool]) -> Tensor:
    mask = _ending(lm.tokenizer, lm.config.vocab_size, ends).clone()
    mask[list(end_tokens(lm))] = True
    return mask.to(lm.device)


@lru_cache(maxsize=8)
def _vocabulary(tokenizer: Any) -> tuple[str, ...]:
    return tuple(tokenizer.batch_decode([[i] for i in range(len(tokenizer))]))


@lru_cache(maxsize=24)
def _ending(tokenizer: Any, size: int, ends: Callable[[str], bool]) -> Tensor:
    """Return the tokens whose text ``ends`` a reply, [size] bool; never those the tokenizer has no
    text for.
    """
    texts = _vocabulary(tokenizer)[:size]
    mask = torch.zeros(size, dtype=torch.bool)
    mask[: len(texts)] = torch.tensor([ends(text) for text in texts], dtype=torch.bool)
    return mask
