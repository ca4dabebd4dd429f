"""Cut the keys and values of single rows out of a pass, and put rows together as a batch again."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from workbench.models.moved_bytes import moved
from workbench.stream.spill import SpillFolder
from workbench.trace.layout import Prompts
from workbench.trace.prompt_cache import PromptCache

Layers = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values [heads, tokens, head size] of one row in every layer."""


def spilled(layers: Layers, spill: SpillFolder) -> Layers:
    """Return keys and values that lie in a file: one for a row, because a process can map only so
    many.
    """
    parts = [part for pair in layers for part in pair]
    if len({(part.shape, part.dtype) for part in parts}) > 1:
        spill.spill(parts)
        return layers
    together = torch.stack(parts)
    spill.spill([together])
    return tuple(zip(together[::2], together[1::2], strict=True))


def bytes_of(layers: Layers) -> int:
    """Return the bytes of a row's keys and values."""
    return sum(part.numel() * part.element_size() for pair in layers for part in pair)


def row_of(
    cache: DynamicCache | PromptCache,
    index: int,
    prompts: Prompts,
    cut: int,
    dtype: torch.dtype | None,
) -> Layers:
    """Return the keys and values of a row's own tokens from ``cut`` on, without the padding before
    or between them.
    """
    columns = prompts.valid[index].nonzero()[cut:, 0]
    if isinstance(cache, PromptCache):
        pairs = [cache.kept[layer] for layer in sorted(cache.kept)]
    else:
        pairs = [(layer.keys, layer.values) for layer in cache.layers]

    def part(states: Tensor) -> Tensor:
        own = states[index].index_select(1, moved(columns, states.device)).to(dtype=dtype)
        return moved(own, torch.device("cpu"))

    return tuple((part(keys), part(values)) for keys, values in pairs)


def padded_rows(
    parts: Sequence[Tensor], lengths: Sequence[int], beginning: Tensor | None
) -> Tensor:
    """Return rows of ``lengths`` tokens as one tensor [rows, heads, columns, head size], with zeros
    in front of shorter rows.

    A part shorter than its row lacks the ``beginning``.
    """
    heads, _, size = parts[0].shape
    out = parts[0].new_zeros(len(parts), heads, max(lengths), size)
    for row, part, length in zip(out, parts, lengths, strict=True):
        own = part.shape[1]
        row[:, row.shape[1] - own :] = part
        if own < length:
            assert beginning is not None
            row[:, row.shape[1] - length : row.shape[1] - own] = beginning
    return out
