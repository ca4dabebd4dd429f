"""Record the states that a controlled sweep puts from one run into another.

A run is a model in a state, such as its adapter off. Where the keys and values of the items' first
tokens are kept, they serve both runs, and only what follows is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from workbench.arrays import Rows
from workbench.elicit.trie import ScaleTrie
from workbench.models import LanguageModel
from workbench.patch.sweep import record_number
from workbench.stream.rounds import run_together
from workbench.trace.backends import PACKED, Engine
from workbench.trace.backends.kept_prefix import KeptPrefixBackend
from workbench.trace.batches import plan_batches
from workbench.trace.prompt_cache import CachedPrompts

Beginnings = Callable[[Rows], CachedPrompts]
"""A function that returns, for a batch of items, the keys and values of their first tokens, which
are the same in both runs.
"""


@dataclass(frozen=True, eq=False)
class ModelState:
    """A model and the state it is run in, such as ``lambda: adapter_off(lm)``."""

    lm: LanguageModel
    within: Callable[[], AbstractContextManager[Any]] = nullcontext


@dataclass(frozen=True, eq=False)
class SweptItems:
    """The items of a sweep as one model's tokens.

    Attributes:
        tokens: token ids of each item up to the confidence position.
        positions: [items, 2] a random earlier token and the confidence position.
        trie: the scale's texts after it.
    """

    tokens: Sequence[Sequence[int]]
    positions: Rows
    trie: ScaleTrie


def packed_engine(beginnings: Beginnings | None, batch: Rows, positions: Rows) -> Engine:
    """Return the packed engine for a batch patched or recorded at ``positions`` [items, ...]: on
    kept beginnings, unless a position lies in them.
    """
    if beginnings is None:
        return PACKED
    kept = beginnings(batch)
    begun = kept.prompts.lengths.cpu().numpy()
    if (positions.reshape(len(batch), -1) < begun[:, None]).any():
        return PACKED
    return partial(KeptPrefixBackend, kept=kept)


def record_items(
    run: ModelState, items: SweptItems, tokens_per_forward: int, beginnings: Beginnings | None
) -> Tensor:
    """Record the states of all items at their positions and the number's further tokens, float32 on
    the CPU.
    """
    tokens, positions, trie = items.tokens, items.positions, items.trie
    lengths = [len(prompt) for prompt in tokens]
    layers, places = run.lm.n_layers, positions.shape[1] + trie.tree.size
    found = torch.empty((len(lengths), layers, places, run.lm.width))

    def fill(batch: Rows) -> None:
        used = packed_engine(beginnings, batch, positions[batch])
        with run.within():
            states = record_number(
                run.lm, [tokens[i] for i in batch], trie, positions[batch].tolist(), used
            )
        found[torch.as_tensor(batch)] = states.float().cpu()

    batches = plan_batches(lengths, tokens_per_forward, len(trie.scored_tokens))
    run_together([partial(fill, batch) for batch in batches])
    return found
