"""Greedy continuation of a batch from a filled cache.

Rows end at a stop token; the loop ends when all rows have. Packed tail tokens that share the cache stay invisible to what
is generated. Generation is by argmax, so the same batch on the same machine gives the same text.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.trace.layout import Prompts, Tail
from workbench.trace.masks import model_mask


def greedy(
    lm: LanguageModel, prompts: Prompts, tail: Tail, first: Tensor, cache: Any, limit: int, stop: Tensor
) -> list[list[int]]:
    """Continue every prompt by its most likely tokens.

    Args:
        tail: packed tokens whose keys stand behind the prompts in ``cache``; they are masked out.
        first: [rows] the first generated token of each row.
        cache: keys and values of prompts and tail.
        limit: most tokens generated per row, the first one included.
        stop: [vocab] bool; a row ends with the first of these tokens, which is kept.

    Returns:
        Token ids of each row.
    """
    rows = prompts.rows
    out: list[list[int]] = [[int(t)] for t in first]
    done = stop[first]
    token = first
    hidden_tail = torch.zeros((rows, tail.size), dtype=torch.bool, device=first.device)
    visible = torch.cat([prompts.valid, hidden_tail], dim=1)
    key_positions = torch.cat([prompts.positions, tail.positions], dim=1)
    position = prompts.positions[:, -1:]
    for _ in range(limit - 1):
        if bool(done.all()):
            break
        position = position + 1
        visible = torch.cat([visible, torch.ones_like(visible[:, :1])], dim=1)
        key_positions = torch.cat([key_positions, position], dim=1)
        with torch.no_grad():
            hidden = lm.decoder()(
                input_ids=token[:, None],
                attention_mask=model_mask(lm, visible[:, None, :], position, key_positions),
                position_ids=position,
                past_key_values=cache,
                use_cache=True,
            ).last_hidden_state
            token = unembed(lm, hidden[:, -1]).argmax(dim=-1)
        for row in torch.nonzero(~done)[:, 0].tolist():
            out[row].append(int(token[row]))
        done = done | stop[token]
    return out


@lru_cache(maxsize=8)
def _vocabulary(tokenizer: Any) -> tuple[str, ...]:
    return tuple(tokenizer.batch_decode([[i] for i in range(len(tokenizer))]))


def end_tokens(lm: LanguageModel) -> set[int]:
    """Ids that end a turn, from the tokenizer and the model's generation settings."""
    declared = getattr(lm.base().generation_config, "eos_token_id", None)
    ids = set(declared if isinstance(declared, list) else [declared])
    return {int(i) for i in ids | {lm.tokenizer.eos_token_id} if i is not None}


def stop_at_newline(lm: LanguageModel) -> Tensor:
    """[vocab] bool: tokens that end an answer, a turn's end or anything holding a line break."""
    return _stop_mask(lm, lambda text: "\n" in text)


def stop_after_number(lm: LanguageModel) -> Tensor:
    """[vocab] bool: tokens that end a number, anything but digits, points and spaces."""
    return _stop_mask(lm, lambda text: not text or any(c not in "0123456789. " for c in text))


def _stop_mask(lm: LanguageModel, ends: Any) -> Tensor:
    size = lm.config.vocab_size
    mask = torch.zeros(size, dtype=torch.bool)
    for token, text in enumerate(_vocabulary(lm.tokenizer)[:size]):
        mask[token] = ends(text)
    for token in end_tokens(lm):
        mask[token] = True
    return mask.to(lm.device)
