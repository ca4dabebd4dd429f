"""The two runs of an attribution, and their rows as padded batches.

A run is a model in some state, its prompts and the tokens looked at. Base and donor may be two
questions in one model, one question with an adapter off and on, or both; their positions are paired
by place, whatever tokens stand there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.batches import plan_batches
from workbench.trace.checks import require_masks, require_positions
from workbench.trace.layout import Prompts, Tail, pad_prompts
from workbench.trace.record import record
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE, TokenTree, end_columns, tree_tail


@dataclass(frozen=True, eq=False)
class ModelInputs:
    """Prompts in a model.

    Attributes:
        positions: [rows, n] tokens looked at, counted from 0 at each row's own first token; from a
            prompt's length on they name nodes of the metric's tree.
        within: opens the state the model is in, such as ``lambda: adapter_off(lm)``.
    """

    lm: LanguageModel
    prompts: Sequence[Sequence[int]]
    positions: Tensor
    within: Callable[[], AbstractContextManager[Any]] = nullcontext

    def __post_init__(self) -> None:
        whole = not (self.positions.is_floating_point() or self.positions.dtype == torch.bool)
        if self.positions.dim() != 2 or len(self.positions) != len(self.prompts) or not whole:
            raise WorkbenchError(
                "A run needs positions [rows, n], whole numbers, as many rows as prompts."
            )

    @property
    def lengths(self) -> Tensor:
        """[rows] tokens of each prompt."""
        return torch.as_tensor([len(prompt) for prompt in self.prompts])


@dataclass(frozen=True, eq=False)
class Batch:
    """Some rows of a run: padded prompts, the tree behind them, global ``columns`` [rows, n] looked
    at and ``ends`` [rows, 1 + nodes] read.
    """

    prompts: Prompts
    tail: Tail
    columns: Tensor
    ends: Tensor


def batch_of(run: ModelInputs, rows: Tensor, tree: TokenTree) -> Batch:
    """The padded batch of ``rows``."""
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
    """States of ``sites``, of one width, at some of the run's positions: [rows, sites,
    len(where), width].
    """
    parts, order = [], []
    for rows in plan_batches(run.lengths.tolist(), tokens_per_forward, overhead=tree.size):
        prompts, at = (
            [run.prompts[row] for row in rows],
            run.positions[rows][:, list(where)].tolist(),
        )
        with run.within():
            parts.append(record(run.lm, prompts, at, sites, tree=tree))
        order.append(torch.as_tensor(rows))
    return torch.cat(parts)[torch.cat(order).argsort().to(parts[0].device)]


def require_run(run: ModelInputs, nodes: int) -> None:
    """Refuse models whose padding cannot be masked, and positions outside the prompts."""
    require_masks(run.lm)
    require_positions(run.positions.cpu(), run.lengths, nodes)


def require_pair(base: ModelInputs, donor: ModelInputs, nodes: int) -> None:
    """Refuse runs that cannot be compared place by place."""
    for run in (base, donor):
        require_run(run, nodes)
        if int(getattr(run.lm.base(), "_tp_size", None) or 1) > 1:
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
