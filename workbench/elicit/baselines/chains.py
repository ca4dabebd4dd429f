"""Lay out further tokens after each prompt of a batch, and a trie at their end. Each row says where
they begin; their number may differ from row to row.

A chain may begin inside its prompt (a template may rewrite what it opened): it sees the prompt's
tokens before its start, and nothing of those after. Several chains can follow one prompt without
seeing each other, so several questions about one answer cost one forward. Shorter chains are padded
in front; padding sees itself alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.trace.layout import FIRST_LAYER, Prompts, Tail, empty_tail
from workbench.trace.token_tree import TokenTree


def score_chains(
    prompts: Prompts, starts: Sequence[int], chains: Sequence[Sequence[int]], ends: TokenTree
) -> tuple[Tail, Tensor]:
    """Lay out the chains as a tail.

    Args:
        starts: [rows] how many of the prompt's tokens precede the row's chain.
        chains: [rows] token ids; a chain may be empty.
        ends: nodes after every chain.

    Returns:
        The tail, and the global columns [rows, 1 + nodes] of each chain's last token (without one,
        the prompt's last token before the start) and of the nodes.

    Raises:
        WorkbenchError: for a number of starts or chains other than of prompts, and a start outside
            its prompt.
    """
    device, nodes = prompts.tokens.device, ends.size
    sizes = torch.as_tensor([len(chain) for chain in chains], device=device)
    start = torch.as_tensor(list(starts), device=device)
    if (
        len(chains) != prompts.rows
        or bool((start < 1).any())
        or bool((start > prompts.lengths).any())
    ):
        raise WorkbenchError(
            "Every prompt needs one chain, beginning after one of the prompt's tokens."
        )
    width = int(sizes.max())
    tokens = torch.zeros((prompts.rows, width + nodes), dtype=torch.long, device=device)
    for row, chain in enumerate(chains):
        if chain:
            tokens[row, width - len(chain) : width] = torch.as_tensor(list(chain), device=device)
    tokens[:, width:] = torch.as_tensor(ends.tokens, dtype=torch.long, device=device)
    place = torch.arange(width, device=device) - (width - sizes)[:, None]
    depths = torch.as_tensor(ends.depths(), dtype=torch.long, device=device)
    along = torch.cat([place, (sizes[:, None] + depths - 1).expand(-1, nodes)], dim=1)
    real = along >= 0
    pad = (prompts.columns - prompts.lengths)[:, None]
    tail = Tail(
        tokens=tokens,
        positions=torch.where(real, start[:, None] + along, 0),
        prefix_end=torch.where(real, pad + start[:, None], 0),
        attends_to=_attends_to(real, width, ends),
        first_layer=(FIRST_LAYER,) * (width + nodes),
        source_column=torch.zeros_like(tokens),
    )
    before = pad[:, 0] + start - 1
    root = torch.where(sizes > 0, torch.full_like(before, prompts.columns + width - 1), before)
    nodes_at = torch.arange(prompts.columns + width, prompts.columns + width + nodes, device=device)
    return tail, torch.cat([root[:, None], nodes_at.expand(prompts.rows, -1)], dim=1)


def _attends_to(real: Tensor, width: int, ends: TokenTree) -> Tensor:
    """Return who sees whom, [rows, k, k]: chain tokens see those before them, nodes see the chain
    and their ancestors, padding sees itself.
    """
    size = real.shape[1]
    base = torch.ones((size, size), dtype=torch.bool, device=real.device).tril()
    base[width:, width:] = ends.ancestry().to(real.device)
    eye = torch.eye(size, dtype=torch.bool, device=real.device)
    return (base & real[:, None, :]) | eye


def pack_tails(prompts: Prompts, parts: Sequence[tuple[Tail, Tensor]]) -> tuple[Tail, list[Tensor]]:
    """Return several tails of the same prompts, or none, as one in which none sees another, and
    their columns in it.
    """
    if not parts:
        return empty_tail(prompts), []
    sizes = [tail.size for tail, _ in parts]
    total = sum(sizes)
    attends_to = torch.zeros(
        (prompts.rows, total, total), dtype=torch.bool, device=prompts.tokens.device
    )
    columns, at = [], 0
    for (tail, ends), size in zip(parts, sizes, strict=True):
        attends_to[:, at : at + size, at : at + size] = tail.attends_to
        columns.append(torch.where(ends >= prompts.columns, ends + at, ends))
        at += size
    joined = (
        torch.cat([getattr(tail, name) for tail, _ in parts], dim=1)
        for name in ("tokens", "positions", "prefix_end", "source_column")
    )
    tokens, positions, prefix_end, source = joined
    return Tail(tokens, positions, prefix_end, attends_to, (FIRST_LAYER,) * total, source), columns
