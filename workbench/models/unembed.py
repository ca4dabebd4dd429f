"""Compute logits from states after the final norm, a few rows at a time.

Logits are the largest tensors of a readout ([rows, reads, vocab]); callers reduce each chunk before
the next is made, and a chunk's logits take at most CHUNK_BYTES in float32 whatever the vocabulary.
The logits of models that scale or cap them are scaled or capped here, as their architecture says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from workbench.models.language_model import LanguageModel
from workbench.models.moved_bytes import moved
from workbench.models.plain_weights import is_plain
from workbench.models.precision import model_arithmetic

CHUNK_BYTES = 24 * 2**20
"""Below 32 MiB, from which on the C library fetches every block from the system anew."""


def chunk_rows(lm: LanguageModel) -> int:
    """Return how many rows' logits are made together; one at least."""
    return int(max(1, CHUNK_BYTES // (4 * lm.config.vocab_size)))


def unembed(lm: LanguageModel, final: Tensor) -> Tensor:
    """Return logits [rows, vocab] in float32 of states [rows, width] after the final norm."""
    row = lm.architecture
    logits = lm.head()(lm.before_head()(final)).float()
    if row.logit_scale != 1:
        logits = logits * row.logit_scale
    cap = row.logit_softcap
    return logits if cap is None else torch.tanh(logits / cap) * cap


def unembed_reduced(lm: LanguageModel, final: Tensor, reduce: Callable[[Tensor], Tensor]) -> Tensor:
    """Return ``reduce(logits)`` over all leading axes of ``final`` [..., width], without keeping
    the logits.

    Args:
        reduce: [rows, vocab] -> [rows, ...]; applied to chunks of :func:`chunk_rows` rows.

    Returns:
        [..., *reduced].
    """
    flat = final.reshape(-1, final.shape[-1])
    with torch.no_grad():
        parts = [reduce(unembed(lm, chunk)) for chunk in flat.split(chunk_rows(lm))]
    joined = torch.cat(parts)
    return joined.reshape(*final.shape[:-1], *joined.shape[1:])


def unembed_tokens(lm: LanguageModel, final: Tensor, tokens: Sequence[int]) -> Tensor:
    """Return the logits [..., tokens] in float32 that :func:`unembed` gives ``tokens``, from states
    [..., width] after the final norm.

    Only these rows of the head are multiplied where its weights are plain numbers of one process;
    else a few rows of all logits are made at a time. Gradients flow through either.
    """
    head, row = lm.head(), lm.architecture
    flat = final.reshape(-1, final.shape[-1])
    if isinstance(head, nn.Linear) and _is_whole(head.weight):
        at = torch.as_tensor(list(tokens), device=head.weight.device)
        bias = None if head.bias is None else head.bias[at]
        with model_arithmetic(lm):
            # Not through the head, whose hook would move what it is given.
            given = moved(lm.before_head()(flat), head.weight.device)
            found = nn.functional.linear(given, head.weight[at], bias).float()
        if row.logit_scale != 1:
            found = found * row.logit_scale
        if row.logit_softcap is not None:
            found = torch.tanh(found / row.logit_softcap) * row.logit_softcap
    else:
        parts = [unembed(lm, chunk)[:, list(tokens)] for chunk in flat.split(chunk_rows(lm))]
        found = torch.cat(parts)
    return found.reshape(*final.shape[:-1], len(tokens))


def _is_whole(weight: Tensor) -> bool:
    """Return whether a weight is a plain tensor that this process holds all of."""
    return type(weight.data) is Tensor and is_plain(weight) and weight.device.type != "meta"
