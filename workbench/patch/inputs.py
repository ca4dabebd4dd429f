"""Hold prompts in a model, how they are read, and the pairs of base and donor that a patch needs.

:class:`ModelInputs` is a model in some state, its prompts and the tokens that are patched or
recorded. Base and donor may be two questions in one model, one question with an adapter off and on,
or both; their positions are paired by place, whatever the tokens there. :class:`Reading` says what
is read at their ends, at what cost and by which engine. :class:`DonorPairs` says whose states each
prompt gets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.compat_processes import process_count
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.metrics import Metric
from workbench.trace.backends import PACKED, Engine
from workbench.trace.batches import map_batches
from workbench.trace.checks import require_masks, require_positions
from workbench.trace.edits import gather_columns
from workbench.trace.forward import run_joint
from workbench.trace.interventions import Branch, Patched
from workbench.trace.layout import Prompts, Tail, pad_prompts
from workbench.trace.record import record
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE, TokenTree, end_columns, tree_tail

LAST_TOKEN = torch.empty(0, dtype=torch.long)
"""The position of the last token of every prompt, whatever their lengths."""


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """The prompts in a model, which may be in a state such as adapter off.

    Attributes:
        positions: [rows, n] tokens patched or recorded, counted from 0 at each row's own first
            token; from a prompt's length on they name nodes of the metric's tree. Each prompt's
            last token if not given.
        within: opens the state the model is in, such as ``lambda: adapter_off(lm)``.
    """

    lm: LanguageModel
    prompts: Sequence[Sequence[int]]
    positions: Tensor = LAST_TOKEN
    within: Callable[[], AbstractContextManager[Any]] = nullcontext

    def __post_init__(self) -> None:
        if self.positions is LAST_TOKEN:
            object.__setattr__(self, "positions", self.lengths[:, None] - 1)
        whole = not (self.positions.is_floating_point() or self.positions.dtype == torch.bool)
        if self.positions.dim() != 2 or len(self.positions) != len(self.prompts) or not whole:
            raise WorkbenchError(
                "A run needs positions [rows, n], whole numbers, as many rows as prompts."
            )

    @property
    def lengths(self) -> Tensor:
        """The number of tokens of each prompt, [rows]."""
        return torch.as_tensor([len(prompt) for prompt in self.prompts])

    def of_rows(self, rows: Sequence[int] | NDArray[np.int64]) -> ModelInputs:
        """Return some of the prompts, in the order given."""
        return ModelInputs(
            self.lm,
            [self.prompts[row] for row in rows],
            self.positions[torch.as_tensor(rows)],
            self.within,
        )

    def at(self, positions: Tensor) -> ModelInputs:
        """Return the same prompts with other ``positions``."""
        return ModelInputs(self.lm, self.prompts, positions, self.within)


@dataclass(frozen=True)
class Reading:
    """The settings of a readout: what is read at the ends of prompts and branches, at what cost and
    by which engine.

    Attributes:
        metric: reduces next-token logits.
        tokens_per_forward: most tokens of a forward.
        engine: runs the branches (:func:`workbench.trace.backends.engine`).
    """

    metric: Metric
    tokens_per_forward: int
    engine: Engine = PACKED

    def readouts(self, inputs: ModelInputs, branches: Sequence[Branch]) -> Patched:
        """Run the branches and return the metric's readouts: ``base`` [rows, ...], ``patched``
        [rows, branches, ...]; with a tree, its nodes are the axis after the branches.
        """
        with inputs.within():
            return self.engine(inputs.lm).patch(
                inputs.prompts,
                branches,
                self.metric.readout,
                tokens_per_forward=self.tokens_per_forward,
                tree=self.metric.tree,
            )

    def values(self, inputs: ModelInputs, branches: Sequence[Branch]) -> Patched:
        """Run the branches and return the metric itself: ``base`` [rows] and ``patched`` [rows,
        branches].
        """
        out = self.readouts(inputs, branches)
        patched = self.metric.of_reduced(out.patched.flatten(0, 1))
        return Patched(
            self.metric.of_reduced(out.base), patched.unflatten(0, out.patched.shape[:2])
        )

    def unpatched(self, inputs: ModelInputs) -> Tensor:
        """Return the metric [rows] of the prompts as they are, in batches of similar length."""

        def measure(rows: NDArray[np.int64]) -> Tensor:
            batch = batch_of(inputs, torch.as_tensor(rows), self.metric.tree)
            lm = inputs.lm
            with inputs.within(), torch.no_grad():
                final = run_joint(lm, batch.prompts, batch.tail, None, (), None)
                return self.metric.of(lm, gather_columns(final, batch.ends)).cpu()

        return map_batches(
            inputs.lengths.tolist(), self.tokens_per_forward, measure, self.metric.tree.size
        )


@dataclass(frozen=True, eq=False)
class DonorPairs:
    """Base and donor runs of the same items, and whose states each item gets.

    Attributes:
        partner: [items] which of the donor's prompts; each item itself where base and donor are two
            states of the model.
        readout: [items] what the donor's items read, in the donor's own order.
        batches: items computed together.
        reading: how the base is read.
    """

    base: ModelInputs
    donor: ModelInputs
    partner: NDArray[np.int64]
    readout: NDArray[np.float64]
    batches: Sequence[NDArray[np.int64]]
    reading: Reading

    @property
    def across(self) -> bool:
        """Whether base and donor are one model. Then donors are other questions, and the map has to
        be oriented to them.
        """
        return self.base is self.donor

    @property
    def own(self) -> DonorPairs:
        """The same items with the base's own states as donors."""
        return replace(self, donor=self.base, partner=np.arange(len(self.partner)))


@dataclass(frozen=True, eq=False)
class Batch:
    """A batch of a run's rows: padded prompts, the tree after them, and the global columns used.

    ``columns`` [rows, n] are patched or recorded, ``ends`` [rows, 1 + nodes] are read.
    """

    prompts: Prompts
    tail: Tail
    columns: Tensor
    ends: Tensor


def batch_of(run: ModelInputs, rows: Tensor, tree: TokenTree) -> Batch:
    """Return the padded batch of ``rows``."""
    lm = run.lm
    prompts = pad_prompts(
        [run.prompts[row] for row in rows.tolist()], lm.tokenizer.pad_token_id, lm.device
    )
    columns = (
        run.positions[rows.to(run.positions.device)].to(lm.device)
        + (prompts.columns - prompts.lengths)[:, None]
    )
    return Batch(prompts, tree_tail(prompts, tree), columns, end_columns(prompts, tree))


def recorded(
    run: ModelInputs,
    sites: Sequence[Site],
    where: Sequence[int],
    tokens_per_forward: int,
    tree: TokenTree = NO_TREE,
) -> Tensor:
    """Record the states of ``sites``, of one width, at some of the run's positions: [rows, sites,
    len(where), width].
    """

    def states(rows: NDArray[np.int64]) -> Tensor:
        some = run.of_rows(rows)
        with run.within():
            return record(
                run.lm, some.prompts, some.positions[:, list(where)].tolist(), sites, tree=tree
            )

    return map_batches(run.lengths.tolist(), tokens_per_forward, states, tree.size)


def require_run(run: ModelInputs, nodes: int) -> None:
    """Refuse models whose padding cannot be masked, and positions outside the prompts.

    Raises:
        WorkbenchError: for both.
    """
    require_masks(run.lm)
    require_positions(run.positions.cpu(), run.lengths, nodes)


def require_pair(base: ModelInputs, donor: ModelInputs, nodes: int) -> None:
    """Refuse runs that cannot be compared place by place.

    Raises:
        WorkbenchError: for a tensor-parallel model, positions of different shape and models of
            different shape.
    """
    for run in (base, donor):
        require_run(run, nodes)
        if process_count(run.lm.base()) > 1:
            raise WorkbenchError(
                "Gradients are not taken through a tensor-parallel model; load it whole or with a "
                "device map."
            )
    if base.positions.shape != donor.positions.shape:
        raise WorkbenchError(
            f"Base and donor look at {tuple(base.positions.shape)} and "
            f"{tuple(donor.positions.shape)} rows and positions; "
            "give one donor prompt a row and as many positions."
        )
    sizes = [
        (run.lm.n_layers, run.lm.width, run.lm.n_heads, run.lm.head_size) for run in (base, donor)
    ]
    if sizes[0] != sizes[1]:
        raise WorkbenchError(
            f"Donor and base must come from models of one shape, not {sizes[1]} and {sizes[0]}."
        )
