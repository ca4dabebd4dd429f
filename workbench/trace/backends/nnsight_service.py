"""Compute the passes of a model whose weights are on a server, one nnsight request a batch.

:class:`NnsightService` is attached to a model on the meta device
(:mod:`workbench.models.server`), and then recording, sweeps, answers and readouts of that model
are requests. A request holds token ids, positions, states to be put in, and token ids to be asked
for; back come states at the positions asked for, log-probabilities of the tokens asked for, and
generated token ids. Nothing of [rows, columns, vocabulary] leaves the server.

All layers of a sweep share one packed pass, as in :mod:`workbench.trace.packed`, except that every
branch is carried through all layers. A model that cannot be packed is recorded and swept in plain
forwards (:mod:`workbench.trace.backends.nnsight`). Numbers equal those of the same weights here to
rounding, in the dtype in which the server holds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.room import require_room
from workbench.models.server import Written
from workbench.trace.backends.inputs import position_rows, require_patches
from workbench.trace.backends.nnsight import NnsightBackend
from workbench.trace.backends.nnsight_passes import Pass, Rules, packed_pass, run_passes
from workbench.trace.backends.nnsight_session import Step
from workbench.trace.backends.nnsight_steps import send_by_value, step_at
from workbench.trace.backends.places import forward_order, places_of
from workbench.trace.batches import map_batches
from workbench.trace.branch_groups import plan_groups, tail_room
from workbench.trace.branches import Layout, branch_columns, join_tails, lay_out
from workbench.trace.checks import (
    require_branches,
    require_positions,
    require_sites,
)
from workbench.trace.edits import ColumnWrite
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.layout import Prompts, pad_prompts
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE, TokenTree, end_columns, tree_tail

TokenRows = Sequence[Sequence[int]]


@dataclass(frozen=True, eq=False)
class NnsightService:
    """A server that holds the weights, reached through ``backend``."""

    backend: NnsightBackend

    def record(
        self,
        lm: LanguageModel,
        prompts: TokenRows,
        positions: Any,
        sites: Sequence[Site],
        tree: TokenTree = NO_TREE,
    ) -> Tensor:
        """Record states as :func:`workbench.trace.record.record` says, in one request.

        Raises:
            WorkbenchError: as there, and where the server fails.
        """
        if not lm.architecture.packable:
            return self.backend.record(prompts, positions, sites, tree=tree)
        require_sites(lm, sites)
        at = position_rows(positions, len(prompts)).cpu()
        require_positions(at, torch.as_tensor([len(prompt) for prompt in prompts]), tree.size)
        batch = self._padded(lm, prompts, tree)
        columns = at + (batch.columns - batch.lengths)[:, None]
        steps, back = _reading_steps(lm, sites, columns)
        one = packed_pass(batch, tree_tail(batch, tree), torch.tensor([batch.columns - 1]), steps)
        [(_, states)], _, _ = self._run(lm, [one], None, [0])
        return torch.stack([states[index] for index in back], dim=1)

    def write(
        self,
        lm: LanguageModel,
        prompts: TokenRows,
        *,
        limit: int,
        stop: Tensor,
        tree: TokenTree = NO_TREE,
        asked: Sequence[int] = (),
        positions: Sequence[Sequence[int]] | None = None,
    ) -> Written:
        """Read and continue prompts as :class:`workbench.models.server.Server` says, in one
        request.

        Raises:
            WorkbenchError: for a model that cannot be packed, and where the server fails.
        """
        if not lm.architecture.packable:
            raise WorkbenchError(
                f"{lm.name!r} cannot be padded ({lm.architecture.why_not}), so a server is not "
                "asked to write with it: set model.placement=device, or record and patch it"
            )
        batch = self._padded(lm, prompts, tree)
        require_room(lm, batch.columns + limit)
        steps: list[Step] = []
        back: list[int] = []
        if positions is not None:
            at = torch.tensor([list(row) for row in positions])
            every = [Site(layer) for layer in range(lm.n_layers)]
            steps, back = _reading_steps(lm, every, batch.column_of(at))
        ends = end_columns(batch, tree)[0]
        one = packed_pass(batch, tree_tail(batch, tree), ends, steps)
        [(read, states)], tokens, scores = self._run(
            lm, [one], None, list(asked) or [0], limit, stop
        )
        rows = torch.stack(tokens, dim=1)
        return Written(
            asked=read,
            tokens=[_until(row, stop.cpu()) for row in rows],
            scores=torch.stack(scores, dim=1),
            states=torch.stack([states[index] for index in back], dim=1) if back else None,
        )

    def patch(
        self,
        lm: LanguageModel,
        prompts: TokenRows,
        branches: Sequence[Branch],
        readout: Readout,
        tokens_per_forward: int,
        tree: TokenTree,
        looped: bool = False,
    ) -> Patched:
        """Patch branches as :func:`workbench.trace.packed.patch_branches` says, one request a
        batch: packed, or one forward a branch.

        Raises:
            WorkbenchError: as there, and where the server fails.
        """
        if looped or not lm.architecture.packable:
            return self.backend.patch(
                prompts, branches, readout, tokens_per_forward=tokens_per_forward, tree=tree
            )
        lengths = torch.as_tensor([len(prompt) for prompt in prompts])
        positions = require_branches(lm, lengths, branches, tree.size)
        branches = require_patches(branches, "A server")
        send_by_value(readout)
        wanted = int((lengths[:, None] - positions).clamp(min=1).amax()) + tree.size
        room = tail_room(tokens_per_forward, int(lengths.max()), wanted * len(branches))

        def compute(numbers: NDArray[np.int64]) -> tuple[Tensor, ...]:
            rows = torch.as_tensor(numbers)
            padded = self._padded(lm, [prompts[row] for row in numbers], tree)
            where = branch_columns(padded, branches, positions[rows], rows, late=False)
            return self._batch(lm, padded, where, readout, tokens_per_forward, tree)

        base, patched = map_batches(lengths.tolist(), tokens_per_forward, compute, tree.size + room)
        return Patched(base, patched) if tree.size else Patched(base[:, 0], patched[:, :, 0])

    def _batch(
        self,
        lm: LanguageModel,
        prompts: Prompts,
        where: Any,
        readout: Readout,
        tokens_per_forward: int,
        tree: TokenTree,
    ) -> tuple[Tensor, Tensor]:
        """Return readouts [rows, 1 + nodes, ...] and [rows, branches, 1 + nodes, ...] of a batch,
        from one request with as many passes as the bound asks for.
        """
        bases, plain = prompts.columns + tree.size, tree_tail(prompts, tree)
        sizes = (bases - where.first()).tolist()
        per_row = max(1, tokens_per_forward // prompts.rows - bases)
        room = tail_room(per_row, bases, sum(sizes))
        groups = plan_groups(sizes, where.first_layers, room, room)
        ends = end_columns(prompts, tree)[0]
        passes = []
        for group in groups:
            layout = lay_out(prompts, tree, where, group, bases) if group else None
            tail = join_tails(plain, layout.tail) if layout else plain
            read = torch.cat([ends, layout.read[0].flatten()]) if layout else ends
            passes.append(packed_pass(prompts, tail, read, _writing_steps(lm, layout)))
        answers, _, _ = self._run(lm, passes, readout, [])
        base = answers[0][0][:, : len(ends)]
        patched = base.new_empty(base.shape[0], len(sizes), *base.shape[1:])
        for group, (read, _) in zip(groups, answers, strict=True):
            patched[:, group] = read[:, len(ends) :].unflatten(1, (len(group), len(ends)))
        return base, patched

    def _padded(self, lm: LanguageModel, prompts: TokenRows, tree: TokenTree) -> Prompts:
        longest = max(len(prompt) for prompt in prompts)
        require_room(lm, longest + max(tree.depths(), default=0))
        return pad_prompts(prompts, lm.tokenizer.pad_token_id, torch.device("cpu"))

    def _run(
        self,
        lm: LanguageModel,
        passes: Sequence[Pass],
        readout: Readout | None,
        asked: list[int],
        limit: int = 0,
        stop: Tensor | None = None,
    ) -> Any:
        rules = Rules.of(lm).plain()
        return self.backend.run(
            lambda model, where: run_passes(
                model, where, list(passes), rules, readout, asked, limit, stop
            )
        )


def _reading_steps(
    lm: LanguageModel, sites: Sequence[Site], columns: Tensor
) -> tuple[list[Step], list[int]]:
    """Return the steps that read ``sites`` at ``columns`` [rows, n] in forward order, and which of
    them each site is.
    """
    rows = torch.arange(len(columns))
    order = sorted(range(len(sites)), key=lambda index: forward_order(sites[index]))
    places = places_of(lm, [sites[index] for index in order])
    steps = [step_at(place, rows, columns) for place in places]
    return steps, sorted(range(len(order)), key=order.__getitem__)


def _writing_steps(lm: LanguageModel, layout: Layout | None) -> list[Step]:
    """Return the writes of packed branches in forward order; those at one site keep theirs."""
    writes = list(layout.writes) if layout else []
    parts = [part for write in writes for part in _by_site(write)]
    parts.sort(key=lambda part: forward_order(part[0]))
    places = places_of(lm, [site for site, _, _, _ in parts])
    return [
        step_at(place, torch.arange(len(columns)), columns, value, write.add, within)
        for place, (_, write, columns, value) in zip(places, parts, strict=True)
        for within in [None if write.subspace is None else (write.subspace.basis, write.factor)]
    ]


def _by_site(write: ColumnWrite) -> Iterator[tuple[Site, ColumnWrite, Tensor, Tensor]]:
    """Yield the sites of a write, with the columns [rows, n] and values [rows, n, width] of
    each.
    """
    if not write.sites:
        yield Site(write.layer, write.component), write, write.columns, write.value
        return
    for index, site in enumerate(write.sites):
        one = slice(index, index + 1)
        yield site, write, write.columns[:, one], write.value[:, one]


def _until(tokens: Tensor, stop: Tensor) -> list[int]:
    """Return the tokens up to the first that stops, which is kept."""
    ended = torch.nonzero(stop[tokens])
    return tokens[: int(ended[0]) + 1 if len(ended) else len(tokens)].tolist()
