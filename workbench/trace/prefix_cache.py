"""Keep the keys and values that rows' first tokens have under the base model, so that later passes
compute only what follows.

An adapter that acts only from a given token on changes nothing before it. So training it, reading
it and reading its control all use the same keys and values of the first tokens, which are computed
once. Rows are identified by number. What does not fit into the bound is computed anew each time, in
passes of at most ``tokens_per_pass`` tokens, and a warning says so once; of a streamed model, whose
layers would be read anew for that, it lies in files. The adapter and the model's own dropout are
off while they are computed.

Costs 2 x layers x key-value heads x head size entries per token.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import DynamicCache

from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.models.dispatch import layer_devices
from workbench.models.moved_bytes import moved
from workbench.stream.model import stream_of
from workbench.stream.rounds import run_together
from workbench.stream.spill import SpillFolder
from workbench.trace.batches import plan_batches
from workbench.trace.forward import run_joint
from workbench.trace.layout import Prompts, empty_tail, pad_prompts
from workbench.trace.prompt_cache import CachedPrompts, PromptCache
from workbench.trace.row_layers import Layers, bytes_of, padded_rows, row_of, spilled


class PrefixCache:
    """The keys and values of the first tokens of numbered rows, at most ``most_bytes`` of them.

    They are kept as ``dtype`` (None: as computed), and converted to it where they are computed
    anew. Of rows that begin with the tokens ``shared`` those are kept once. What the cache
    ``sibling`` holds counts against the bound.
    """

    def __init__(
        self,
        most_bytes: int,
        tokens_per_pass: int,
        dtype: torch.dtype | None,
        *,
        shared: Sequence[int] = (),
        sibling: PrefixCache | None = None,
    ) -> None:
        self.most_bytes, self.tokens_per_pass, self.dtype, self.sibling = (
            most_bytes,
            tokens_per_pass,
            dtype,
            sibling,
        )
        self.shared = tuple(shared)
        self.bytes = 0
        self._beginning: Layers = ()
        self._rows: dict[int, Layers] = {}
        self._in_files: set[int] = set()
        self._full = False

    def __contains__(self, row: int) -> bool:
        return row in self._rows

    @property
    def full(self) -> bool:
        """Whether a row was not kept for want of room."""
        return self._full

    def keep(
        self, rows: Iterable[int], cache: DynamicCache | PromptCache, prompts: Prompts
    ) -> None:
        """Keep the rows' keys and values that a pass over ``prompts`` (and anything after them)
        wrote to ``cache``.
        """
        for index, row in enumerate(rows):
            if self._full:
                return
            self._keep(row, row_of(cache, index, prompts, self._cut(prompts, index), self.dtype))

    def drop(self, rows: Iterable[int]) -> None:
        """Drop ``rows`` where they are kept, and free their room."""
        for row in rows:
            layers = self._rows.pop(row, ())
            self.bytes -= 0 if row in self._in_files else bytes_of(layers)
            self._in_files.discard(row)

    def fill(
        self,
        lm: LanguageModel,
        rows: Sequence[int],
        tokens: Sequence[Sequence[int]],
        description: str,
    ) -> None:
        """Compute the ``rows`` that are missing, whose first tokens are ``tokens``, as far as there
        is room.
        """
        missing = [index for index, row in enumerate(rows) if row not in self._rows]
        if not missing or self._full:
            return
        stream = stream_of(lm)
        spill = None if stream is None else stream.spill

        def compute(batch: Sequence[int]) -> None:
            if not self._full:
                for index, layers in self._computed(lm, batch, tokens):
                    self._keep(rows[index], layers, spill)

        works = [partial(compute, batch) for batch in self._batches(missing, tokens)]
        if stream is not None:  # in the same pass; it would be another one later
            works.append(partial(self._begin_in, lm))
        with adapter_off(lm), evaluating(lm.model):
            run_together(works, description)

    def kept(
        self,
        lm: LanguageModel,
        rows: NDArray[np.int64],
        tokens: Sequence[Sequence[int]],
        first: int = 0,
    ) -> CachedPrompts:
        """Return the rows' keys and values as one batch of left-padded prompts, for passes over
        what follows them.

        Layers below ``first`` are left out, for passes that start there.
        """
        prompts = pad_prompts(tokens, lm.tokenizer.pad_token_id, lm.device)
        held = {
            index: self._rows[int(row)] for index, row in enumerate(rows) if int(row) in self._rows
        }
        missing = self._batches([index for index in range(len(rows)) if index not in held], tokens)
        with adapter_off(lm), evaluating(lm.model):
            for found in run_together(
                [partial(self._computed, lm, batch, tokens) for batch in missing]
            ):
                held.update(found)
        cache, lengths = PromptCache(prompts.columns), [len(row) for row in tokens]
        devices = layer_devices(lm)
        beginning = self.begin(lm)
        for layer in range(first, len(held[0])):
            pairs = [held[index][layer] for index in range(len(rows))]
            begins = beginning[layer] if beginning else None
            keys, values = (
                padded_rows(
                    [pair[side] for pair in pairs],
                    lengths,
                    None if begins is None else begins[side],
                )
                for side in (0, 1)
            )
            cache.kept[layer] = (moved(keys, devices[layer]), moved(values, devices[layer]))
        return CachedPrompts(prompts, cache, {}, 0)

    def _batches(self, indices: Sequence[int], tokens: Sequence[Sequence[int]]) -> list[list[int]]:
        planned = (
            plan_batches([len(tokens[index]) for index in indices], self.tokens_per_pass)
            if indices
            else []
        )
        return [[indices[place] for place in batch] for batch in planned]

    def _computed(
        self, lm: LanguageModel, indices: Sequence[int], tokens: Sequence[Sequence[int]]
    ) -> list[tuple[int, Layers]]:
        """Return keys and values of some of the ``tokens`` from one pass."""
        cache, prompts = _passed(lm, [tokens[index] for index in indices])
        return [
            (index, row_of(cache, place, prompts, self._cut(prompts, place), self.dtype))
            for place, index in enumerate(indices)
        ]

    def _cut(self, prompts: Prompts, index: int) -> int:
        """Return how many of a row's first tokens are kept once for all."""
        count = len(self.shared)
        own = prompts.tokens[index][prompts.valid[index]]
        return count if own[:count].tolist() == list(self.shared) and len(own) > count else 0

    def begin(self, lm: LanguageModel) -> Layers:
        """Return the keys and values of the tokens that all rows begin with. They are computed at
        the first call, with the attention kernel that is set then.
        """
        if self.shared and not self._beginning:
            cache, prompts = _passed(lm, [self.shared])
            if not self._beginning:  # another task may have come first
                self._beginning = row_of(cache, 0, prompts, 0, self.dtype)
                self.bytes += bytes_of(self._beginning)
        return self._beginning

    def _begin_in(self, lm: LanguageModel) -> None:
        self.begin(lm)

    def _keep(self, row: int, layers: Layers, spill: SpillFolder | None = None) -> None:
        size = bytes_of(layers)
        if row in self._rows:
            return
        sibling = 0 if self.sibling is None else self.sibling.bytes
        if self.bytes + sibling + size > self.most_bytes:
            if spill is not None:
                self._rows[row] = spilled(layers, spill)
                self._in_files.add(row)
                return
            said = self._full or (self.sibling is not None and self.sibling.full)
            if not said:
                warnings.warn(
                    f"Keys and values of {len(self._rows)} prompts fill the "
                    f"{self.most_bytes / 1e9:.1f} GB of "
                    "model.kv_cache_bytes; the others are computed anew at each use, which is "
                    "slower.",
                    stacklevel=3,
                )
            self._full = True
            return
        self.bytes += size
        self._rows[row] = layers


class ExtendableCache(DynamicCache):
    """A cache that starts with what ``kept`` holds and grows with what is computed after it. It
    takes the dtype and device of the new entries.
    """

    def __init__(self, kept: CachedPrompts) -> None:
        super().__init__()
        self._waiting = dict(kept.cache.kept)

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if layer_idx in self._waiting:
            keys, values = self._waiting.pop(layer_idx)
            rows = len(key_states)
            keys, values = (
                moved(states, key_states.device).to(key_states.dtype).expand(rows, -1, -1, -1)
                for states in (keys, values)
            )
            super().update(keys, values, layer_idx)
        return super().update(key_states, value_states, layer_idx, *args, **kwargs)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        if layer_idx in self._waiting:
            return self._waiting[layer_idx][0].shape[2]
        return super().get_seq_length(layer_idx)


def _passed(lm: LanguageModel, tokens: Sequence[Sequence[int]]) -> tuple[PromptCache, Prompts]:
    prompts = pad_prompts(tokens, lm.tokenizer.pad_token_id, lm.device)
    cache = PromptCache(prompts.columns)
    with adapter_off(lm), evaluating(lm.model):
        run_joint(lm, prompts, empty_tail(prompts), None, (), cache)
    return cache, prompts


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Switch dropout off inside the block, also when a row is computed anew between two steps of
    training. Each part is put back as it was.
    """
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
