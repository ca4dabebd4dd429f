"""Record components at chosen tokens, and nothing else of the pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.checks import require_one_invocation, require_positions, require_sites
from workbench.trace.forward import every_layer, record_only
from workbench.trace.layout import empty_tail, pad_prompts, pad_right
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE, TokenTree, tree_tail
from workbench.trace.unpadded import String, equal_lengths, states_by_string, warn_unpackable


def record(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    sites: Sequence[Site],
    *,
    tree: TokenTree = NO_TREE,
) -> Tensor:
    """Record the states of ``sites`` at each prompt's positions: [rows, sites, positions, width]
    (head size for heads).

    One forward, which ends after the highest layer asked for and needs no mask unless a tree
    follows the prompts or an adapter acts on their ends alone. Families that cannot be padded run
    their rows in groups of equal length.

    Args:
        positions: token indices of each row, 0 at its first token, as many in every row; from the
            prompt's length on they name nodes of the tree.
        sites: in any order; heads only among themselves.

    Raises:
        WorkbenchError: before the forward, for sites the model lacks and positions outside their
            prompt.
    """
    require_sites(lm, sites)
    if len({len(row) for row in positions}) != 1 or len(positions) != len(prompts):
        raise WorkbenchError("Give positions for every prompt, as many for one as for another.")
    at = torch.as_tensor([list(row) for row in positions], dtype=torch.long)
    lengths = torch.as_tensor([len(prompt) for prompt in prompts])
    require_positions(at, lengths, tree.size)
    if not lm.architecture.packable:
        return _as_strings(lm, prompts, at, sites, tree)
    if tree.size == 0 and lm.invocation_length is None:
        plain = pad_right(prompts, lm.tokenizer.pad_token_id, lm.device)
        return record_only(lm, plain, empty_tail(plain), at.to(lm.device), sites)
    batch = pad_prompts(prompts, lm.tokenizer.pad_token_id, lm.device)
    columns = at.to(lm.device) + (batch.columns - batch.lengths)[:, None]
    return record_only(lm, batch, tree_tail(batch, tree), columns, sites)


def record_states(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]
) -> Tensor:
    """Record the states after every layer at each prompt's positions (0 = its first token): [rows,
    layers, positions, width].
    """
    return record(lm, prompts, positions, every_layer(lm))


def _as_strings(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    positions: Tensor,
    sites: Sequence[Site],
    tree: TokenTree,
) -> Tensor:
    """Record the same states from unpadded strings; a node is read at the end of its own path."""
    require_one_invocation(lm)
    warn_unpackable(lm)
    whole = sum(len(prompt) for prompt in prompts)

    def states(strings: list[String], tokens: list[list[int]]) -> Tensor:
        batch = pad_prompts([s.tokens for s in strings], lm.tokenizer.pad_token_id, lm.device)
        columns = torch.tensor(tokens, device=lm.device)
        return record_only(lm, batch, empty_tail(batch), columns, sites)

    return states_by_string(
        prompts, positions, tree, lambda strings: equal_lengths(strings, whole), states
    )
