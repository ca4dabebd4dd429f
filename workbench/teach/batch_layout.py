"""Lay out the columns that a training step computes: the tokens of its rows that are not cached.

The example's tree of target tokens follows every prompt, padded to the largest tree of the batch. A
padding node is seen by no token and has weight 0. The tree's places are the last columns of every
row.

Two cuts keep columns out of a step. Tokens that all prompts begin with are computed once, in one
row, and their keys and values serve every row (the loss and its gradient are those of computing
them in every row; LoRA's dropout alone draws once for all). With an adapter on the reply, the keys
and values of what precedes it are kept from the base model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.teach.examples import Example
from workbench.trace.layout import FIRST_LAYER, Prompts, Tail, pad_prompts
from workbench.trace.masks import model_mask, tail_visibility, visibility
from workbench.trace.prompt_cache import CachedPrompts
from workbench.trace.token_tree import TokenTree


@dataclass(frozen=True, eq=False)
class Columns:
    """The rows of one step.

    Attributes:
        tokens, positions: [rows, columns].
        mask: the model's attention mask; keys of what precedes the columns come first.
        begins: for each row, the column at which its own tokens begin; before it is padding.
        places: how many of the last columns carry a loss.
        real: [rows, columns] bool, on the CPU; false at padding.
    """

    tokens: Tensor
    positions: Tensor
    mask: Any
    begins: tuple[int, ...]
    places: int
    real: Tensor


def shared_columns(lm: LanguageModel, shared: Sequence[int]) -> Columns:
    """Return the shared tokens as one row, which carries no loss."""
    prompts = pad_prompts([shared], lm.tokenizer.pad_token_id, lm.device)
    causal = torch.ones(
        1, prompts.columns, prompts.columns, dtype=torch.bool, device=lm.device
    ).tril()
    mask = model_mask(lm, causal, prompts.positions, prompts.positions)
    return Columns(prompts.tokens, prompts.positions, mask, (0,), 0, prompts.valid.cpu())


def conversation_columns(lm: LanguageModel, examples: Sequence[Example], shared: int) -> Columns:
    """Return the columns of whole conversations after their first ``shared`` tokens, and of their
    trees.
    """
    padded = pad_prompts(
        [example.prompt[shared:] for example in examples], lm.tokenizer.pad_token_id, lm.device
    )
    prompts = replace(padded, positions=padded.positions + shared)
    tail = trees(prompts, (), [example.tree for example in examples])
    positions = torch.cat([prompts.positions, tail.positions], dim=1)
    before = torch.arange(shared, device=lm.device).expand(prompts.rows, -1)
    see = visibility(prompts, tail)
    see = torch.cat([see.new_ones(*see.shape[:2], shared), see], dim=2)
    return Columns(
        tokens=torch.cat([prompts.tokens, tail.tokens], dim=1),
        positions=positions,
        mask=model_mask(lm, see, positions, torch.cat([before, positions], dim=1)),
        begins=tuple((prompts.columns - prompts.lengths).tolist()),
        places=_places(examples),
        real=torch.cat([prompts.valid.cpu(), _real(examples)], dim=1),
    )


def reply_columns(
    lm: LanguageModel, examples: Sequence[Example], kept: CachedPrompts, reply: Sequence[int]
) -> Columns:
    """Return the columns of the tokens of ``reply`` up to the confidence position, and of the
    trees, after what is ``kept``.
    """
    tail = trees(kept.prompts, reply, [example.tree for example in examples])
    keys = torch.cat([kept.prompts.positions, tail.positions], dim=1)
    mask = model_mask(lm, tail_visibility(kept.prompts, tail), tail.positions, keys)
    chain = torch.ones(len(examples), len(reply), dtype=torch.bool)
    real = torch.cat([chain, _real(examples)], dim=1)
    return Columns(tail.tokens, tail.positions, mask, (0,) * len(examples), _places(examples), real)


def trees(prompts: Prompts, chain: Sequence[int], continuations: Sequence[TokenTree]) -> Tail:
    """Return the tail of every prompt: the same ``chain`` of tokens, followed by the row's tree,
    with trees padded to one size.
    """
    size = max(tree.size for tree in continuations)
    length = len(chain)
    tokens = torch.zeros(len(continuations), length + size, dtype=torch.long)
    depths = torch.full((len(continuations), length + size), length, dtype=torch.long)
    sees = torch.eye(length + size, dtype=torch.bool).repeat(len(continuations), 1, 1)
    tokens[:, :length] = torch.as_tensor(list(chain), dtype=torch.long)
    depths[:, :length] = torch.arange(length)
    sees[:, :length, :length] = torch.ones(length, length, dtype=torch.bool).tril()
    for row, tree in enumerate(continuations):
        own = slice(length, length + tree.size)
        tokens[row, own] = torch.as_tensor(tree.tokens, dtype=torch.long)
        depths[row, own] = length - 1 + torch.as_tensor(tree.depths(), dtype=torch.long)
        sees[row, own, :length] = True
        sees[row, own, own] = tree.ancestry()
    device = prompts.tokens.device
    tokens, depths = tokens.to(device), depths.to(device)
    return Tail(
        tokens=tokens,
        positions=prompts.positions[:, -1:] + 1 + depths,
        prefix_end=torch.full_like(tokens, prompts.columns),
        attends_to=sees.to(device),
        first_layer=(FIRST_LAYER,) * (length + size),
        source_column=torch.zeros_like(tokens),
    )


def _places(examples: Sequence[Example]) -> int:
    return 1 + max(example.tree.size for example in examples)


def _real(examples: Sequence[Example]) -> Tensor:
    """Return which nodes belong to each row's tree, [rows, nodes] bool; the others are padding."""
    sizes = torch.tensor([example.tree.size for example in examples])
    return torch.arange(_places(examples) - 1) < sizes[:, None]
