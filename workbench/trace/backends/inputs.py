"""What the backends on other libraries do before a forward: refuse what cannot be run, and pad the
prompts.

The checks are those of the project's own engine (:mod:`workbench.trace.checks`), on shapes and
numbers alone, so a mistake is named before any forward is paid for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends.places import forward_order
from workbench.trace.backends.protocol import PositionRows, TokenRows
from workbench.trace.checks import require_branches, require_positions, require_sites
from workbench.trace.interventions import Branch
from workbench.trace.layout import Prompts, pad_prompts
from workbench.trace.sites import Site


@dataclass(frozen=True, eq=False)
class BatchWrite:
    """A patch in the columns of a padded batch: at ``site``, ``value`` [rows, width] at
    ``columns`` [rows].
    """

    site: Site
    columns: Tensor
    value: Tensor
    add: bool


def require_one_process(lm: LanguageModel, backend: str) -> None:
    """Refuse models that are split over processes, whose modules hold a share of each tensor."""
    if int(getattr(lm.base(), "_tp_size", None) or 1) > 1:
        raise WorkbenchError(
            f"The {backend} backend cannot run a tensor-parallel model; use the 'hooks' backend."
        )


def padded(lm: LanguageModel, prompts: TokenRows, device: torch.device) -> Prompts:
    """Prompts as one left-padded batch on ``device``; refused where a layer would carry padding
    into the prompt.
    """
    if not lm.architecture.packable and len({len(prompt) for prompt in prompts}) > 1:
        raise WorkbenchError(
            f"Padded batches are not valid for {lm.architecture.family}: "
            f"{lm.architecture.why_not}; call the backend with "
            "prompts of one length at a time."
        )
    return pad_prompts(prompts, lm.tokenizer.pad_token_id, device)


def model_inputs(prompts: Prompts) -> dict[str, Any]:
    """The arguments of a transformers causal model for a left-padded batch, logits of the last
    column alone.
    """
    return {
        "input_ids": prompts.tokens,
        "attention_mask": prompts.valid.long(),
        "position_ids": prompts.positions,
        "use_cache": False,
        "logits_to_keep": 1,
    }


def position_rows(positions: PositionRows, rows: int) -> Tensor:
    """Positions as [rows, n] whole numbers."""
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


def checked_columns(
    lm: LanguageModel, prompts: Prompts, positions: PositionRows, sites: Sequence[Site]
) -> Tensor:
    """Columns [rows, n] to record; refused when sites do not exist or stack, or positions lie
    outside their rows.
    """
    require_sites(lm, sites)
    index = position_rows(positions, prompts.rows)
    require_positions(index.cpu(), prompts.lengths.cpu(), 0)
    return prompts.column_of(index)


def checked_writes(
    lm: LanguageModel, prompts: Prompts, branches: Sequence[Branch]
) -> list[list[BatchWrite]]:
    """Each branch's patches, in forward order and in columns of the batch; refused when one does
    not fit.
    """
    require_branches(lm, prompts.lengths.cpu(), branches, 0)
    return [
        [
            # A slice of a large recording would keep, and travel with, all of it.
            BatchWrite(
                patch.site,
                prompts.column_of(patch.positions[:, None])[:, 0],
                patch.value.detach().clone(),
                patch.mode == "add",
            )
            for patch in in_forward_order(branch)
        ]
        for branch in branches
    ]


def in_forward_order(branch: Branch) -> Branch:
    """A branch as a forward comes upon its patches; those at one site keep their order."""
    return sorted(branch, key=lambda patch: forward_order(patch.site))
