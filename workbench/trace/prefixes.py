"""Keys and values that rows' first tokens leave under the base model, kept so that later passes compute only what follows.

Whatever an adapter with a reach does, it does behind these tokens; training it, reading it and reading its control all stand
on the same keys and values, which are computed once. Rows go by number. What does not fit into the bound is computed anew
each time, and that is said once. The adapter is off while they are computed.

Costs 2 x layers x key-value heads x head size entries a token.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from torch import Tensor
from transformers import DynamicCache

from workbench import progress
from workbench.models import LanguageModel
from workbench.trace.batches import plan_batches
from workbench.trace.forward import run_joint
from workbench.trace.kept import Kept, PromptCache
from workbench.trace.layout import Prompts, empty_tail, pad_prompts

Layers = tuple[tuple[Tensor, Tensor], ...]
"""Keys and values [heads, tokens, head size] of one row in every layer."""


class Prefixes:
    """Keeps the first tokens' keys and values of numbered rows, at most ``most_bytes`` of them, as ``dtype`` (None: as they are)."""

    def __init__(self, most_bytes: int, dtype: torch.dtype | None = None) -> None:
        self.most_bytes, self.dtype = most_bytes, dtype
        self.bytes = 0
        self._rows: dict[int, Layers] = {}
        self._full = False

    def __contains__(self, row: int) -> bool:
        return row in self._rows

    def keep(self, rows: Iterable[int], cache: DynamicCache | PromptCache, prompts: Prompts) -> None:
        """Keep what a pass over ``prompts`` (and anything behind them) left in ``cache``."""
        pads = (prompts.columns - prompts.lengths).tolist()
        for index, (row, pad) in enumerate(zip(rows, pads, strict=True)):
            self._keep(row, _row_of(cache, index, slice(pad, prompts.columns), self.dtype))

    def fill(
        self, lm: LanguageModel, rows: Sequence[int], tokens: Sequence[Sequence[int]], budget: int, description: str
    ) -> None:
        """Compute what is missing of ``rows``, whose first tokens are ``tokens``, in passes of at most ``budget`` tokens."""
        missing = [index for index, row in enumerate(rows) if row not in self._rows]
        if not missing or self._full:
            return
        batches = plan_batches([len(tokens[index]) for index in missing], budget)
        for batch in progress.track(batches, description):
            chosen = [missing[place] for place in batch]
            self.keep([rows[index] for index in chosen], *_passed(lm, [tokens[index] for index in chosen]))
            if self._full:
                return

    def kept(self, lm: LanguageModel, rows: NDArray[np.int64], tokens: Sequence[Sequence[int]]) -> Kept:
        """The rows' keys and values as one batch of left-padded prompts, for passes over what follows them."""
        prompts = pad_prompts(tokens, lm.tokenizer.pad_token_id, lm.device)
        if not all(int(row) in self._rows for row in rows):
            cache, _ = _passed(lm, tokens)
            return Kept(prompts, cache, {}, 0)
        cache = PromptCache(prompts.columns)
        held = [self._rows[int(row)] for row in rows]
        for layer in range(len(held[0])):
            pairs = [row[layer] for row in held]
            keys, values = (_padded([pair[side] for pair in pairs], prompts.columns) for side in (0, 1))
            cache.kept[layer] = (keys.to(lm.device), values.to(lm.device))
        return Kept(prompts, cache, {}, 0)

    def _keep(self, row: int, layers: Layers) -> None:
        size = sum(part.numel() * part.element_size() for pair in layers for part in pair)
        if row in self._rows:
            return
        if self.bytes + size > self.most_bytes:
            if not self._full:
                warnings.warn(
                    f"Keys and values of {len(self._rows)} prompts fill the {self.most_bytes / 1e9:.1f} GB of "
                    "model.kept_bytes; the others are computed anew at each use, which is slower.",
                    stacklevel=3,
                )
            self._full = True
            return
        self.bytes += size
        self._rows[row] = layers


def growing(kept: Kept) -> DynamicCache:
    """A cache that holds what ``kept`` holds and grows with what is computed behind it."""
    cache = DynamicCache()
    for layer in sorted(kept.cache.kept):
        cache.update(*kept.cache.kept[layer], layer)
    return cache


def _passed(lm: LanguageModel, tokens: Sequence[Sequence[int]]) -> tuple[PromptCache, Prompts]:
    prompts = pad_prompts(tokens, lm.tokenizer.pad_token_id, lm.device)
    cache = PromptCache(prompts.columns)
    off = lm.model.disable_adapter() if isinstance(lm.model, PeftModel) else nullcontext()
    with off:
        run_joint(lm, prompts, empty_tail(prompts), None, (), cache)
    return cache, prompts


def _row_of(cache: DynamicCache | PromptCache, index: int, columns: slice, dtype: torch.dtype | None) -> Layers:
    if isinstance(cache, PromptCache):
        pairs = [cache.kept[layer] for layer in sorted(cache.kept)]
    else:
        pairs = [(layer.keys, layer.values) for layer in cache.layers]

    def part(states: Tensor) -> Tensor:
        return states[index, :, columns].to(dtype=dtype, device="cpu", copy=True)

    return tuple((part(keys), part(values)) for keys, values in pairs)


def _padded(parts: Sequence[Tensor], columns: int) -> Tensor:
    """[rows, heads, columns, head size], zeros in front of shorter rows."""
    heads, _, size = parts[0].shape
    out = parts[0].new_zeros(len(parts), heads, columns, size)
    for row, part in zip(out, parts, strict=True):
        row[:, columns - part.shape[1] :] = part
    return out
