"""Build the attention masks of packed layouts, as the additive 4-D masks Hugging Face models take.

Entry [row, 0, query, key] is 0 where the query may attend to the key, and a large negative number
elsewhere. Sliding windows and chunks are applied by position id, never by column, because packed
copies of a token share its position. Models with mixed layer types get one mask per type. A mask
like this is exact only where attention is the sole path between positions; architectures with
recurrent layers are refused before it is built.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.trace.layout import Prompts, Tail

HIDDEN = -1e30
SLIDING, CHUNKED = "sliding_attention", "chunked_attention"
WINDOWS = ("sliding_window", "sliding_window_size")
CHUNK = "attention_chunk_size"


def visibility(prompts: Prompts, tail: Tail) -> Tensor:
    """Return which columns each column sees: [rows, S, S] bool, query first, S = prompt columns +
    tail size.

    Padding sees itself, so that no row is empty.
    """
    columns, size = prompts.columns, prompts.columns + tail.size
    device = prompts.tokens.device
    see = torch.zeros((prompts.rows, size, size), dtype=torch.bool, device=device)
    causal = torch.ones((columns, columns), dtype=torch.bool, device=device).tril()
    see[:, :columns, :columns] = causal & prompts.valid[:, None, :]
    if tail.size:
        see[:, columns:] = tail_visibility(prompts, tail)
    see |= torch.eye(size, dtype=torch.bool, device=device)
    return see


def tail_visibility(prompts: Prompts, tail: Tail) -> Tensor:
    """Return what the tail's tokens see of prompts and tail: the last rows of :func:`visibility`,
    [rows, tail, S].
    """
    columns = torch.arange(prompts.columns, device=prompts.tokens.device)
    before = (columns < tail.prefix_end[:, :, None]) & prompts.valid[:, None, :]
    return torch.cat([before, tail.attends_to.expand(prompts.rows, -1, -1)], dim=2)


def within_window(
    see: Tensor, query_positions: Tensor, key_positions: Tensor, window: int
) -> Tensor:
    """Restrict ``see`` to keys less than ``window`` positions before their query."""
    return see & (query_positions[:, :, None] - key_positions[:, None, :] < window)


def within_chunk(see: Tensor, query_positions: Tensor, key_positions: Tensor, size: int) -> Tensor:
    """Restrict ``see`` to keys in the same chunk of ``size`` positions as their query."""
    return see & (query_positions[:, :, None] // size == key_positions[:, None, :] // size)


def additive(see: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the additive mask [rows, 1, query, key] of the boolean mask ``see``."""
    mask = torch.zeros(see.shape, dtype=dtype, device=see.device)
    return mask.masked_fill_(~see, hidden_value(dtype))[:, None]


def hidden_value(dtype: torch.dtype) -> float:
    """Return what a mask of ``dtype`` adds to the score of a key that is not seen."""
    return max(HIDDEN, torch.finfo(dtype).min / 2)


def model_mask(
    lm: LanguageModel, see: Tensor, query_positions: Tensor, key_positions: Tensor
) -> Tensor | dict[str, Tensor]:
    """Return what the model's forward takes as ``attention_mask`` for this visibility."""
    dtype = lm.dtype

    def mask(window: int, chunk: int) -> Tensor:
        if window:
            return additive(within_window(see, query_positions, key_positions, window), dtype)
        if chunk:
            return additive(within_chunk(see, query_positions, key_positions, chunk), dtype)
        return additive(see, dtype)

    masks = {kind: mask(*bounds) for kind, bounds in mask_kinds(lm).items()}
    return masks if lm.architecture.masks == "by_layer_type" else masks[SLIDING]


def mask_kinds(lm: LanguageModel) -> dict[str, tuple[int, int]]:
    """Return, by layer type, the window and the chunk of its attention, 0 where it has none; one
    type where the decoder takes one mask.
    """
    config = lm.config
    window = next((getattr(config, name) for name in WINDOWS if getattr(config, name, None)), None)
    bounds = {
        SLIDING: (int(window or 0), 0),
        CHUNKED: (0, int(getattr(config, CHUNK, None) or 0)),
    }
    by_type = lm.architecture.masks == "by_layer_type"
    kinds = sorted(set(config.layer_types)) if by_type else [SLIDING]
    return {kind: bounds.get(kind, (0, 0)) for kind in kinds}
