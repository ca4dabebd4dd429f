"""Cut attention edges in one pass: hand each layer a mask in which its cut edges are hidden.

The decoder makes one mask for all layers of a kind; a layer in whose window edges are cut gets a
copy of its own, in which these entries hide the key. A copy is [rows, 1, queries, keys] as the mask
is. Only in a layer where single heads are cut it has an axis of heads, [rows, heads, queries,
keys], and is that many times as large. Copies live as long as their layer runs, never two at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.moved_bytes import moved
from workbench.trace.hooks import Narrow
from workbench.trace.knockouts import AttentionKnockout
from workbench.trace.layout import Prompts
from workbench.trace.masks import hidden_value
from workbench.trace.slices import slice_shard
from workbench.trace.truncate import is_mask


@dataclass(frozen=True, eq=False)
class EdgeCut:
    """The edges from ``queries`` [rows, n] to ``keys`` [rows, m], columns of a pass, that are
    hidden in ``layers`` from query ``heads``, or from all if None. ``only`` [rows] names the
    batch's rows that are cut, all of them if None.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...] | None
    queries: Tensor
    keys: Tensor
    only: Tensor | None = None


def cut_of(
    knockout: AttentionKnockout,
    rows: Tensor,
    prompts: Prompts,
    starts: Tensor | None = None,
    shift: Tensor | None = None,
) -> EdgeCut:
    """Return a knockout's cut in a pass over ``prompts``, which are its ``rows``.

    Args:
        starts: [rows] first base column of the branch, where it has columns of its own.
        shift: what leads from base columns to these.
    """
    queries, keys = (
        _columns_of(prompts, tokens[rows.to(tokens.device)])
        for tokens in (knockout.queries, knockout.keys)
    )
    if starts is not None and shift is not None:
        queries = queries + shift
        keys = torch.where(keys < starts[:, None], keys, keys + shift)
    return EdgeCut(knockout.layers, knockout.heads, queries, keys)


def _columns_of(prompts: Prompts, tokens: Tensor) -> Tensor:
    """Return the base columns of ``tokens`` [rows, n]. Prompts may have padding before them or
    between a kept beginning and its rest; nodes follow the last column.
    """
    tokens = tokens.long().to(prompts.valid.device)
    real = (~prompts.valid).long().argsort(dim=1, stable=True)
    inside = real.gather(1, tokens.clamp(max=prompts.columns - 1))
    lengths = prompts.lengths[:, None]
    return torch.where(tokens < lengths, inside, prompts.columns + tokens - lengths)


def cut_layers(
    lm: LanguageModel,
    cuts: Sequence[EdgeCut],
    alive: Sequence[int],
    narrowed: Mapping[int, Narrow],
    *,
    cached: int = 0,
) -> dict[int, Narrow]:
    """Return what each layer does to its arguments: what ``narrowed`` does, and then its cuts.

    Args:
        alive: [layers] columns at the input of each layer.
        cached: columns of a cache before them; those of cuts count from the first of these.
    """
    here = _heads_here(lm) if any(cut.heads for cut in cuts) else range(0)
    changes = dict(narrowed)
    for layer in sorted({layer for cut in cuts for layer in cut.layers}):
        mine = [cut for cut in cuts if layer in cut.layers]
        cutting = _cutting(layer, mine, alive[layer], cached, here)
        before = changes.get(layer)
        changes[layer] = cutting if before is None else _in_turn(before, cutting)
    return changes


def _cutting(layer: int, cuts: Sequence[EdgeCut], alive: int, cached: int, heads: range) -> Narrow:
    def cut(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        if is_mask(kwargs.get("attention_mask"), alive, cached):
            mask = hide_edges(kwargs["attention_mask"], cuts, cached, heads)
            return args, {**kwargs, "attention_mask": mask}
        found = [at for at in range(1, len(args)) if is_mask(args[at], alive, cached)]
        if len(found) != 1:
            raise WorkbenchError(
                f"Layer {layer} is given no attention mask, so its edges cannot be cut; choose "
                "layers that attend."
            )
        (at,) = found
        return (*args[:at], hide_edges(args[at], cuts, cached, heads), *args[at + 1 :]), kwargs

    return cut


def _in_turn(first: Narrow, second: Narrow) -> Narrow:
    return lambda args, kwargs: second(*first(args, kwargs))


def hide_edges(mask: Tensor, cuts: Sequence[EdgeCut], cached: int, heads: range) -> Tensor:
    """Return a copy of the additive ``mask`` [rows, 1, queries, keys] with the cut edges hidden;
    with an axis of ``heads``, those this process holds, where a cut names heads.
    """
    if any(cut.heads is not None for cut in cuts):
        mask = mask.expand(-1, len(heads), -1, -1)
    mask = mask.clone(memory_format=torch.contiguous_format)
    low = hidden_value(mask.dtype)
    for cut in cuts:
        only = torch.arange(len(mask)) if cut.only is None else cut.only
        rows = moved(only, mask.device)[:, None, None]
        queries = moved(cut.queries, mask.device)[:, :, None] - cached
        keys = moved(cut.keys, mask.device)[:, None, :]
        if cut.heads is None:
            mask[rows, :, queries, keys] = low
            continue
        for head in cut.heads:
            if head in heads:
                mask[rows, head - heads.start, queries, keys] = low
    return mask


def _heads_here(lm: LanguageModel) -> range:
    """Return the query heads whose attention this process computes."""
    shard = slice_shard(lm, "head_out")
    assert shard is not None
    size = shard.slices.size
    return range(shard.first // size, (shard.first + shard.count) // size)
