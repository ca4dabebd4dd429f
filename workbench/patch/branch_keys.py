"""Compute the keys and values of prompts once, and those that every branch has in their place.

A patch at token s of a prompt changes keys and values from s on, and only above the layer where the
branch begins. So a pass over the prompts is kept, the branches' own tokens are run packed after it
(:mod:`workbench.trace.packed`), each from its first patched token and layer on, and a row of a
branch is the prompt's keys and values with its own written over. A branch that starts before the
tokens a switched-on adapter acts on is run as whole prompts.

Rows that go on to be written need keys and values of their own: 2 x layers x key-value heads x head
size numbers for each token of prompt and text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from workbench.models import LanguageModel
from workbench.models.invocation import active_invocation
from workbench.models.moved_bytes import moved
from workbench.patch.text_branches import first_token, positions_of
from workbench.trace.branch_groups import plan_tail_groups
from workbench.trace.branches import BranchColumns, branch_columns, first_layer_of_branch, lay_out
from workbench.trace.edge_cuts import cut_of
from workbench.trace.forward import run_joint
from workbench.trace.hooked_loop import write_patch
from workbench.trace.interventions import Intervention, knockouts_of, patches_of
from workbench.trace.layout import Prompts, empty_tail
from workbench.trace.prompt_cache import CachedPrompts, PromptCache, forward_keeping, forward_tail
from workbench.trace.token_tree import NO_TREE

Layers = dict[int, tuple[Tensor, Tensor]]


class TailCache(PromptCache):
    """A cache that puts the ``prompts``' keys and values before those of one pass, and keeps the
    latter in ``own``, by layer: [rows, heads, columns, head size].
    """

    def __init__(self, prompts: PromptCache) -> None:
        super().__init__(prompts.columns)
        self.kept = prompts.kept
        self.own: Layers = {}

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        self.own[layer_idx] = key_states, value_states
        return super().update(key_states, value_states, layer_idx, *args, **kwargs)


@dataclass(frozen=True, eq=False)
class PromptPass:
    """Prompts that were run, and what their branches need of it.

    Attributes:
        final: [rows, width] after the final norm at the prompts' ends.
        kept: keys, values and states of the prompts.
    """

    final: Tensor
    kept: CachedPrompts

    @property
    def bytes_per_token(self) -> int:
        """The bytes of a token's keys and values in all layers."""
        return sum(
            part.numel() * part.element_size() // (part.shape[0] * part.shape[2])
            for pair in self.kept.cache.kept.values()
            for part in pair
        )


def run_base(
    lm: LanguageModel, prompts: Prompts, branches: Sequence[Sequence[Intervention]]
) -> PromptPass:
    """Run the prompts and keep what ``branches``, that of each in these rows, start from."""
    late = [branch for branch in branches if branch] if lm.architecture.independent else []
    lengths = prompts.lengths.cpu()
    before = min((int((first_token(branch) - lengths).min()) for branch in late), default=0)
    last = torch.full((prompts.rows, 1), prompts.columns - 1, device=lm.device)
    final, kept = forward_keeping(
        lm,
        prompts,
        empty_tail(prompts),
        last,
        (),
        lowest=prompts.columns + before,
        bases=prompts.columns,
        first_layers=sorted({first_layer_of_branch(branch) for branch in late}),
    )
    return PromptPass(final[:, 0], kept)


class BranchRows:
    """The rows of a batch to be written, filled in branch by branch from the prompts ``base``.

    Attributes:
        final: [entries, width] after the final norm at each prompt's end.
        cache: by layer, keys and values [entries, heads, columns, head size].
    """

    def __init__(self, lm: LanguageModel, base: PromptPass, rows: Tensor) -> None:
        self.lm, self.base, self.rows = lm, base, rows
        self.final = base.final[moved(rows, base.final.device)]
        self.cache: Layers = {
            layer: tuple(part[moved(rows, part.device)] for part in pair)  # type: ignore[misc]
            for layer, pair in base.kept.cache.kept.items()
        }

    def patch(
        self, branches: Sequence[tuple[Sequence[Intervention], Tensor]], tokens_per_forward: int
    ) -> None:
        """Write what ``branches`` change: what each does, and which entries are its.

        Args:
            tokens_per_forward: most tokens of a pass; a single branch may exceed it.
        """
        prompts, lm = self.base.kept.prompts, self.lm
        invocation, lengths = active_invocation(lm), prompts.lengths.cpu()
        packed: list[tuple[Sequence[Intervention], Tensor]] = []
        for branch, entries in branches:
            start = int((first_token(branch) - lengths).min())
            if invocation is not None and start < -invocation:
                self._run_whole(branch, entries)
            else:
                packed.append((branch, entries))
        if not packed:
            return
        chosen = [branch for branch, _ in packed]
        where = branch_columns(
            prompts,
            chosen,
            positions_of(chosen),
            torch.arange(prompts.rows),
            late=lm.architecture.independent,
        )
        sizes = (prompts.columns - where.first()).tolist()
        groups = plan_tail_groups(
            sizes, where.first_layers, prompts.columns, tokens_per_forward // prompts.rows
        )
        for group in groups:
            self._run_packed(where, group, [packed[number][1] for number in group])

    def to_cache(self) -> DynamicCache:
        """Return the keys and values as a cache that grows; they are given up here."""
        cache = DynamicCache()
        for layer in sorted(self.cache):
            cache.update(*self.cache.pop(layer), layer)
        return cache

    def _run_packed(
        self, where: BranchColumns, group: Sequence[int], entries: Sequence[Tensor]
    ) -> None:
        base = self.base.kept
        columns = base.prompts.columns
        layout = lay_out(base.prompts, NO_TREE, where, group, 0)
        cache = TailCache(base.cache)
        final = forward_tail(
            self.lm,
            base,
            layout.tail,
            layout.read.flatten(1),
            layout.writes,
            cache=cache,
            cuts=layout.cuts,
        )
        firsts, at = where.first()[list(group)].tolist(), 0
        for place, (number, mine, first) in enumerate(zip(group, entries, firsts, strict=True)):
            rows = self.rows[mine]
            self._put_final(mine, final[:, place], rows)
            # Columns before a row's own first patched token are surplus, and the prompt's hold.
            begins = where.starts[moved(rows, where.starts.device), number]
            changed = torch.arange(first, columns, device=begins.device) >= begins[:, None]
            for layer, own in cache.own.items():
                if layer <= where.first_layers[number]:
                    continue
                size = columns - first
                for target, source in zip(self.cache[layer], own, strict=True):
                    new = source[moved(rows, source.device), :, at : at + size]
                    old = target[moved(mine, target.device), :, first:]
                    keep = moved(changed, target.device)[:, None, :, None]
                    target[moved(mine, target.device), :, first:] = torch.where(keep, new, old)
            at += columns - first

    def _run_whole(self, branch: Sequence[Intervention], entries: Tensor) -> None:
        """Run a branch's prompts as whole rows."""
        prompts = self.base.kept.prompts
        pad = (prompts.columns - prompts.lengths).cpu()
        every = list(range(prompts.rows))
        writes = [
            write_patch(
                patch,
                list(zip(every, (patch.positions + pad).tolist(), strict=True)),
                every,
            )
            for patch in patches_of(branch)
        ]
        cuts = [cut_of(each, torch.tensor(every), prompts) for each in knockouts_of(branch)]
        cache = PromptCache(prompts.columns)
        plain = empty_tail(prompts)
        final = run_joint(self.lm, prompts, plain, None, writes, cache, cuts=cuts)
        rows = self.rows[entries]
        self._put_final(entries, final[:, -1], rows)
        for layer, pair in cache.kept.items():
            for target, source in zip(self.cache[layer], pair, strict=True):
                target[moved(entries, target.device)] = source[moved(rows, source.device)]

    def _put_final(self, entries: Tensor, final: Tensor, rows: Tensor) -> None:
        device = self.final.device
        self.final[moved(entries, device)] = moved(final, device)[moved(rows, device)]
