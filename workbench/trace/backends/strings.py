"""Run token trees by a library's plain forwards: every path is a string of its own.

A prompt with a tree after it becomes one string for its end and one for every node, the prompt and
the path to the node; each is read at its last token, and a patch is written on those strings that
hold its token. So nothing depends on masks a library may not take, at the price of 1 + nodes
strings per row. Strings of similar length share a left-padded forward; in families whose layers
carry a state from token to token only strings of one length do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.room import require_room
from workbench.trace.backends.inputs import (
    BatchWrite,
    in_forward_order,
    position_rows,
    require_patches,
)
from workbench.trace.backends.protocol import PositionRows, TokenRows
from workbench.trace.batches import plan_batches
from workbench.trace.checks import (
    require_branches,
    require_positions,
    require_sites,
)
from workbench.trace.interventions import Branch, Patch, Patched
from workbench.trace.layout import Prompts, pad_prompts
from workbench.trace.sites import Site
from workbench.trace.token_tree import TokenTree
from workbench.trace.unpadded import String, equal_lengths, states_by_string, strings_of, token_at


@dataclass(frozen=True, eq=False)
class StringBatch:
    """The strings of one forward.

    Attributes:
        strings: which prompt and node each row reads.
        prompts: their tokens, left-padded.
        programs: what every branch writes, in forward order.
    """

    strings: tuple[String, ...]
    prompts: Prompts
    programs: tuple[tuple[BatchWrite, ...], ...]


def string_batches(
    lm: LanguageModel,
    prompts: TokenRows,
    branches: Sequence[Branch],
    tree: TokenTree,
    tokens_per_forward: int,
    device: torch.device,
) -> list[StringBatch]:
    """Return the strings of prompts and tree, with the writes of ``branches``, in batches.

    Raises:
        WorkbenchError: for a branch that does not fit.
    """
    require_branches(lm, torch.as_tensor([len(prompt) for prompt in prompts]), branches, tree.size)
    ordered = require_patches(
        [in_forward_order(branch) for branch in branches], "An engine on another library"
    )
    batches = []
    for strings in share_forwards(lm, strings_of(prompts, tree), tokens_per_forward):
        padded = pad_prompts([s.tokens for s in strings], lm.tokenizer.pad_token_id, device)
        programs = tuple(
            tuple(
                write
                for patch in branch
                if (write := _write(patch, strings, padded, prompts, tree)) is not None
            )
            for branch in ordered
        )
        batches.append(StringBatch(tuple(strings), padded, programs))
    return batches


def share_forwards(
    lm: LanguageModel, strings: Sequence[String], tokens_per_forward: int
) -> Iterator[list[String]]:
    """Yield the strings that may share a forward: of similar length, or of equal length where
    padding would be carried into them.

    Raises:
        WorkbenchError: for a string longer than the model reads.
    """
    require_room(lm, max((len(string.tokens) for string in strings), default=0))
    if not lm.architecture.packable:
        yield from equal_lengths(strings, tokens_per_forward)
        return
    for batch in plan_batches([len(string.tokens) for string in strings], tokens_per_forward):
        yield [strings[index] for index in batch]


def join_strings(
    batches: Sequence[StringBatch], readings: Iterable[Sequence[Tensor]], rows: int, tree: TokenTree
) -> Patched:
    """Return the readouts in the rows' order.

    Args:
        readings: for each batch the readout [strings, ...] of the unpatched forward, then of every
            branch.
    """
    out: Tensor | None = None
    for batch, read in zip(batches, readings, strict=True):
        if out is None:
            out = read[0].new_empty(rows, len(read), 1 + tree.size, *read[0].shape[1:])
        row, node = (
            torch.tensor([getattr(string, name) for string in batch.strings], device=out.device)
            for name in ("row", "node")
        )
        for program, reading in enumerate(read):
            out[row, program, node + 1] = reading.to(out.device)
    assert out is not None
    return Patched(out[:, 0], out[:, 1:]) if tree.size else Patched(out[:, 0, 0], out[:, 1:, 0])


def record_strings(
    lm: LanguageModel,
    prompts: TokenRows,
    positions: PositionRows,
    sites: Sequence[Site],
    tree: TokenTree,
    states: Callable[[list[String], list[list[int]]], Tensor],
) -> Tensor:
    """Return the states [rows, sites, positions, width]; a node's are read on the string that ends
    in it.

    Args:
        states: of strings and the tokens [strings, n] to record on each: [strings, sites, n,
            width].

    Raises:
        WorkbenchError: for positions outside a row and sites the model lacks.
    """
    require_sites(lm, sites)
    at = position_rows(positions, len(prompts)).cpu()
    require_positions(at, torch.as_tensor([len(prompt) for prompt in prompts]), tree.size)
    every = (max(map(len, prompts)) + tree.size) * len(prompts) * (1 + tree.size)
    return states_by_string(
        prompts, at, tree, lambda strings: share_forwards(lm, strings, every), states
    )


def _write(
    patch: Patch,
    strings: Sequence[String],
    padded: Prompts,
    prompts: TokenRows,
    tree: TokenTree,
) -> BatchWrite | None:
    """Return the patch on those strings that hold its token; None where none does."""
    at = patch.positions.tolist()
    tokens = [token_at(s, at[s.row], len(prompts[s.row]), tree) for s in strings]
    here = [
        (row, token + padded.columns - len(strings[row].tokens))
        for row, token in enumerate(tokens)
        if token is not None
    ]
    if not here:
        return None
    device = padded.tokens.device
    rows, columns = torch.tensor(here, device=device).unbind(1)
    of_prompts = torch.tensor([strings[row].row for row, _ in here], device=patch.value.device)
    # Indexing copies: a slice of a large recording would keep, and travel with, all of it.
    value = patch.value.detach()[of_prompts]
    add = patch.mode == "add"
    return BatchWrite(patch.site, rows, columns, value, add, patch.subspace, patch.factor)
