"""Patched copies of a prompt's last tokens as packed branches, one branch a layer.

A patch behind layer l at token s changes only tokens from s on, and those only above layer l. So the branch of layer l
is a copy of the prompt's tokens s.. and of the readout's trie nodes, born behind layer l from its unpatched twin, with the
donor's state written over its first token (and over the nodes, where the whole number is patched). It sees the prompt before s and itself. All branches and the unpatched readout
come out of one forward.

Rows may start at different tokens; the branch then has the longest row's number of columns, and a shorter row's surplus
columns are seen by nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.elicit.readout import trie_tail
from workbench.elicit.trie import NumberTrie
from workbench.errors import WorkbenchError
from workbench.trace.forward import Write
from workbench.trace.layout import FROM_START, Prompts, Tail


@dataclass(frozen=True)
class Branches:
    """A packed sweep's layout.

    Attributes:
        tail: the unpatched trie nodes, then the branches in the order of ``layers``.
        read: [rows, 1 + layers, inner nodes] global columns of the readouts, the unpatched one first.
        writes: the donor states to write.
    """

    tail: Tail
    read: Tensor
    writes: tuple[Write, ...]


def layer_branches(
    prompts: Prompts, trie: NumberTrie, starts: Tensor, layers: Sequence[int], donors: Tensor
) -> Branches:
    """One branch per layer, patched at each row's start token.

    Args:
        starts: [rows] prompt column of the patched token.
        layers: ascending.
        donors: [rows, len(layers), 1 or 1 + nodes, width] states to write behind each of ``layers``, at the start token
            and, if given, at the trie's packed nodes.
    """
    if donors.dim() != 4 or donors.shape[2] not in (1, 1 + len(trie.scored_tokens)):
        raise WorkbenchError("Donors must be [rows, layers, 1 or 1 + trie nodes, width].")
    if list(layers) != sorted(set(layers)):
        raise WorkbenchError("The layers of a sweep must ascend without repetition.")
    if bool((starts >= prompts.columns).any()) or not bool(prompts.valid.gather(1, starts[:, None]).all()):
        raise WorkbenchError("A patched position is padding or lies outside its prompt.")
    plain = trie_tail(prompts, trie)
    copied = prompts.columns - int(starts.min())
    size = copied + plain.size
    block = _block(prompts, plain, starts, copied)
    columns = prompts.columns + plain.size + size * torch.arange(len(layers), device=starts.device)
    tail = Tail(
        tokens=torch.cat([plain.tokens, *([block.tokens] * len(layers))], dim=1),
        positions=torch.cat([plain.positions, *([block.positions] * len(layers))], dim=1),
        prefix_end=torch.cat([plain.prefix_end, *([block.prefix_end] * len(layers))], dim=1),
        sees=_block_diagonal(plain.sees, block.sees, len(layers)),
        birth=(FROM_START,) * plain.size + tuple(layer for layer in layers for _ in range(size)),
        twin=torch.cat([plain.twin, *([block.twin] * len(layers))], dim=1),
    )
    nodes = torch.arange(plain.size + 1, device=starts.device)
    offset = (starts - int(starts.min()))[:, None]
    if donors.shape[2] > 1:
        offset = torch.cat([offset, (copied + nodes[:-1]).expand(prompts.rows, -1)], dim=1)
    writes = tuple(Write(layer, columns[i] + offset, donors[:, i]) for i, layer in enumerate(layers))
    own = prompts.columns - 1 + nodes
    read = torch.cat([own[None], columns[:, None] + copied - 1 + nodes])
    return Branches(tail, read.expand(prompts.rows, -1, -1), writes)


def _block(prompts: Prompts, plain: Tail, starts: Tensor, copied: int) -> Tail:
    """One branch: the prompt's last ``copied`` columns and the trie nodes."""
    first = prompts.columns - copied
    device = starts.device
    size = copied + plain.size
    twin = torch.arange(first, first + size, device=device).expand(prompts.rows, -1)
    inside = torch.arange(first, first + size, device=device) >= starts[:, None]
    sees = torch.zeros((size, size), dtype=torch.bool, device=device)
    sees[:, :copied] = torch.ones((size, copied), dtype=torch.bool, device=device).tril()
    sees[copied:, copied:] = plain.sees[0]
    own = torch.eye(size, dtype=torch.bool, device=device)
    return Tail(
        tokens=torch.cat([prompts.tokens[:, first:], plain.tokens], dim=1),
        positions=torch.cat([prompts.positions[:, first:], plain.positions], dim=1),
        prefix_end=starts[:, None].expand(-1, size),
        sees=(sees & inside[:, None, :]) | own,
        birth=(FROM_START,) * size,
        twin=twin,
    )


def _block_diagonal(plain: Tensor, block: Tensor, copies: int) -> Tensor:
    """[rows, k, k] visibility of the unpatched nodes followed by ``copies`` branches that never see each other."""
    rows, size = block.shape[0], block.shape[-1]
    total = plain.shape[-1] + copies * size
    sees = torch.zeros((rows, total, total), dtype=torch.bool, device=block.device)
    sees[:, : plain.shape[-1], : plain.shape[-1]] = plain
    for copy in range(copies):
        start = plain.shape[-1] + copy * size
        sees[:, start : start + size, start : start + size] = block
    return sees
