"""Provide what the backends on other libraries share: the models they refuse, the arguments of a
forward, and the order in which it reaches patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.compat_processes import process_count
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.invocation import active_invocation
from workbench.stream.model import require_in_memory
from workbench.trace.backends.places import forward_order
from workbench.trace.backends.protocol import PositionRows
from workbench.trace.interventions import Branch, Patch, knockouts_of, patches_of
from workbench.trace.layout import Prompts
from workbench.trace.sites import Site
from workbench.trace.subspace import Subspace


@dataclass(frozen=True, eq=False)
class BatchWrite:
    """A patch in a padded batch: at ``site``, ``value`` [n, width] in the batch's ``rows`` [n] at
    ``columns`` [n], added, or within a ``subspace``, where one of these is named.
    """

    site: Site
    rows: Tensor
    columns: Tensor
    value: Tensor
    add: bool
    subspace: Subspace | None = None
    factor: float = 0.0


def require_whole_model(lm: LanguageModel, backend: str) -> None:
    """Refuse models that are split over processes, whose modules hold a share of each tensor, and
    models that are read layer by layer.

    Raises:
        WorkbenchError: for such a model.
    """
    if process_count(lm.base()) > 1:
        raise WorkbenchError(
            f"The {backend} backend cannot run a tensor-parallel model; use the 'packed' engine."
        )
    require_in_memory(lm, f"The {backend} backend")


def require_every_token(lm: LanguageModel, backend: str) -> None:
    """Refuse a switched-on adapter that acts on a prompt's last tokens alone.

    Raises:
        WorkbenchError: for such an adapter.
    """
    if active_invocation(lm) is not None:
        raise WorkbenchError(
            f"The {backend} backend cannot tell an adapter on a prompt's last tokens where it "
            "starts; use the 'packed' engine, or switch the adapter off."
        )


def model_inputs(prompts: Prompts) -> dict[str, Any]:
    """Return the arguments of a transformers causal model for a left-padded batch, with logits of
    the last column alone.
    """
    return {
        "input_ids": prompts.tokens,
        "attention_mask": prompts.valid.long(),
        "position_ids": prompts.positions,
        "use_cache": False,
        "logits_to_keep": 1,
    }


def position_rows(positions: PositionRows, rows: int) -> Tensor:
    """Return positions as whole numbers [rows, n].

    Raises:
        WorkbenchError: for another number of rows, or rows with different numbers of positions.
    """
    lengths = {len(row) for row in positions}
    if len(positions) != rows or len(lengths) != 1:
        raise WorkbenchError(
            f"Positions must be [rows, n]: {rows} rows with as many positions each, "
            f"got {len(positions)} rows with {sorted(lengths)} positions."
        )
    return (
        positions.long()
        if isinstance(positions, Tensor)
        else torch.tensor([list(row) for row in positions])
    )


def in_forward_order(branch: Branch) -> Branch:
    """Sort a branch's patches as a forward reaches them; those at one site keep their order.
    Knockouts, whose order changes nothing, follow.
    """
    patches = sorted(patches_of(branch), key=lambda patch: forward_order(patch.site))
    return (*patches, *knockouts_of(branch))


def require_patches(branches: Sequence[Branch], what: str) -> list[tuple[Patch, ...]]:
    """Return the branches of an engine that cuts no attention edges and computes no additions.

    Raises:
        WorkbenchError: for a branch with a knockout, or a patch that a pass computes itself.
    """
    if any(knockouts_of(branch) for branch in branches):
        raise WorkbenchError(
            f"{what} cuts no attention edges; run branches with knockouts by the 'packed' or the "
            "'loop' engine, on a model in this process."
        )
    patches = [patches_of(branch) for branch in branches]
    if any(patch.addition is not None for branch in patches for patch in branch):
        raise WorkbenchError(
            f"{what} does not compute features within a pass; patch them by the 'packed' or the "
            "'loop' engine, on a model in this process."
        )
    return patches
