"""Run passes over branches alone, on the kept keys, values and states of their prompts.

Many branches do not fit into one forward. The first pass computes the prompts and keeps the keys
and values of every layer. It also keeps the states that late branches are copied from, after the
layers where they are appended. The passes after it compute branch tokens only, from the layer after
which the earliest of them is appended. So a large map costs the tokens of its branches and one
plain forward.

What is kept is the prompts' key-value cache, and the states of the columns branches start from,
[first layers, rows, columns, width].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import Cache

from workbench.models import LanguageModel
from workbench.models.invocation import invoke_adapter_from
from workbench.models.moved_bytes import moved
from workbench.trace.decoder import decode
from workbench.trace.edge_cuts import EdgeCut, cut_layers
from workbench.trace.edits import ColumnWrite, Recording, gather_columns, hook_transforms
from workbench.trace.forward import check_writes, run_joint
from workbench.trace.hooks import bypass_layers, hooked, on_inputs
from workbench.trace.layout import Prompts, Tail
from workbench.trace.masks import model_mask, tail_visibility
from workbench.trace.sites import Site
from workbench.trace.truncate import truncate_columns


class PromptCache(Cache):
    """A cache that keeps each layer's keys and values of the first ``columns`` columns, and puts
    them before those of later passes.

    What was kept of a single row precedes every row of a later pass. Gradients flow through what is
    kept.
    """

    def __init__(self, columns: int) -> None:
        super().__init__(layers=[])
        self.columns = columns
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}
        self._follows = False

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if layer_idx not in self.kept:
            keys, values = (
                states[:, :, : self.columns].clone() for states in (key_states, value_states)
            )
            self.kept[layer_idx] = (keys, values)
            return key_states, value_states
        rows = len(key_states)
        keys, values = (
            moved(kept, key_states.device).to(key_states.dtype).expand(rows, -1, -1, -1)
            for kept in self.kept[layer_idx]
        )
        return torch.cat([keys, key_states], dim=2), torch.cat([values, value_states], dim=2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.columns if self.kept or self._follows else 0

    def following(self) -> PromptCache:
        """Return a cache for a pass over what comes after the columns, which runs beside the pass
        over them, a layer behind: it reads what that one keeps.
        """
        other = PromptCache(self.columns)
        other.kept, other._follows = self.kept, True
        return other

    def holds(self, layer: int) -> bool:
        """Return whether there are keys and values of a layer."""
        return layer in self.kept

    def forget(self, layer: int) -> None:
        """Drop a layer's keys and values, for a second pass through it."""
        self.kept.pop(layer, None)


@dataclass(frozen=True, eq=False)
class CachedPrompts:
    """The cached state of prompts that branches need.

    Attributes:
        states: for each layer after which branches are appended, [rows, columns, width] at the
            global columns from ``lowest`` on.
    """

    prompts: Prompts
    cache: PromptCache
    states: dict[int, Tensor]
    lowest: int


def forward_keeping(
    lm: LanguageModel,
    prompts: Prompts,
    tail: Tail,
    read: Tensor,
    writes: Sequence[ColumnWrite],
    *,
    lowest: int,
    bases: int,
    first_layers: Sequence[int],
    cuts: Sequence[EdgeCut] = (),
) -> tuple[Tensor, CachedPrompts]:
    """Run one pass over prompts and tail, and keep the states after ``first_layers`` at global
    columns ``lowest`` to ``bases``. ``cuts`` are the attention edges to hide.

    Returns:
        [rows, reads, width] after the final norm, and what was kept.
    """
    cache = PromptCache(prompts.columns)
    columns = torch.arange(lowest, bases, device=lm.device).expand(prompts.rows, -1)
    recording = Recording(columns, tuple(Site(layer) for layer in first_layers if layer >= 0), {})
    final = run_joint(lm, prompts, tail, recording, writes, cache, cuts=cuts)
    states = {site.layer: states for site, states in recording.states.items()}
    return gather_columns(final, read), CachedPrompts(prompts, cache, states, lowest)


def forward_tail(
    lm: LanguageModel,
    kept: CachedPrompts,
    tail: Tail,
    read: Tensor,
    writes: Sequence[ColumnWrite],
    *,
    recording: Recording | None = None,
    cache: Cache | None = None,
    gradients: bool = False,
    cuts: Sequence[EdgeCut] = (),
) -> Tensor:
    """Run one pass over ``tail`` alone; return the states [rows, reads, width] after the final
    norm.

    ``read``, the recording and the writes count columns from the tail's first token. A ``cache``
    that holds what ``kept`` holds is used in its place and grows with the tail; only for tails that
    exist from the start. An adapter acts on the whole tail. With ``gradients`` the pass can be
    differentiated with respect to whatever a transform outside of it starts from. ``cuts`` are the
    attention edges to hide, their columns counted from the prompts' first.
    """
    check_writes(lm, kept.prompts.rows, writes)
    alive = [sum(b < layer for b in tail.first_layer) for layer in range(lm.n_layers + 1)]

    def grow(layer: int) -> Callable[[Tensor], Tensor]:
        before, after = alive[layer], alive[layer + 1]

        def appended(hidden: Tensor) -> Tensor:
            states = gather_columns(
                kept.states[layer], tail.source_column[:, before:after] - kept.lowest
            )
            return torch.cat([hidden[:, :before], moved(states, hidden.device)], dim=1)

        return appended

    transforms = hook_transforms(
        lm, {layer: grow(layer) for layer in {*tail.first_layer} if layer >= 0}, recording, writes
    )
    first = tail.first_layer[0] + 1
    columns = kept.prompts.columns
    narrowed = {
        n: truncate_columns(alive[n], tail.size, columns, lm.architecture.streams)
        for n in range(first, lm.n_layers)
        if alive[n] < tail.size
    }
    keys = torch.cat([kept.prompts.positions, tail.positions], dim=1)
    mask = model_mask(lm, tail_visibility(kept.prompts, tail), tail.positions, keys)
    past = kept.cache if cache is None else cache
    with (
        bypass_layers(lm, first),
        on_inputs(lm, cut_layers(lm, cuts, alive, narrowed, cached=columns)),
        hooked(lm, transforms),
        invoke_adapter_from(lm, 0),
    ):
        final = decode(lm, tail.tokens, tail.positions, mask, past, gradients)
        return gather_columns(final, read)
