"""What every backend does before its forward: pad the prompts, and refuse what cannot be run.

All checks are on shapes and numbers, so a mistake is named before any forward is paid for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.backends.protocol import PositionRows, TokenRows
from workbench.trace.interventions import Branch, Patch
from workbench.trace.layout import Prompts, pad_prompts
from workbench.trace.sites import Site


@dataclass(frozen=True, eq=False)
class Write:
    """A patch in the columns of a padded batch: at ``site``, ``value`` [rows, width] at ``columns`` [rows]."""

    site: Site
    columns: Tensor
    value: Tensor
    add: bool


def head_size(lm: LanguageModel) -> int:
    """Size of one query head's weighted sum of values."""
    config = lm.config
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def width_of(lm: LanguageModel, site: Site) -> int:
    """Size of the state at ``site``."""
    return lm.width if site.head is None else head_size(lm)


def padded(lm: LanguageModel, prompts: TokenRows, device: torch.device) -> Prompts:
    """Prompts as one left-padded batch on ``device``; refused where a layer would carry padding into the prompt."""
    if not lm.architecture.packable and len({len(prompt) for prompt in prompts}) > 1:
        raise WorkbenchError(
            f"Padded batches are not valid for {lm.architecture.family}: {lm.architecture.why_not}; call the backend with "
            "prompts of one length at a time."
        )
    return pad_prompts(prompts, lm.tokenizer.pad_token_id, device)


def model_inputs(prompts: Prompts) -> dict[str, Any]:
    """The arguments of a transformers causal model for a left-padded batch, logits of the last column alone."""
    return {
        "input_ids": prompts.tokens,
        "attention_mask": prompts.valid.long(),
        "position_ids": prompts.positions,
        "use_cache": False,
        "logits_to_keep": 1,
    }


def checked_sites(lm: LanguageModel, sites: Sequence[Site]) -> None:
    """Refuse layers and heads the model lacks, and sites of different width."""
    if not sites:
        raise WorkbenchError("There is nothing to record: name at least one site.")
    for site in sites:
        _exists(lm, site)
    if len({site.head is None for site in sites}) > 1:
        raise WorkbenchError("Heads and the residual stream have different widths: record them in two calls.")


def checked_columns(prompts: Prompts, positions: PositionRows) -> Tensor:
    """Columns [rows, n] of token positions that must lie inside their rows."""
    lengths = {len(row) for row in positions}
    if len(positions) != prompts.rows or len(lengths) != 1:
        raise WorkbenchError(
            f"Positions must be [rows, n]: {prompts.rows} rows with as many positions each, "
            f"got {len(positions)} rows with {sorted(lengths)} positions."
        )
    index = positions if isinstance(positions, Tensor) else torch.tensor([list(row) for row in positions])
    return prompts.column_of(index)


def checked_writes(lm: LanguageModel, prompts: Prompts, branches: Sequence[Branch]) -> list[list[Write]]:
    """Each branch's patches in columns of the batch, refused when a row, width, layer, head or position does not exist."""
    return [[_write(lm, prompts, patch) for patch in branch] for branch in branches]


def _write(lm: LanguageModel, prompts: Prompts, patch: Patch) -> Write:
    _exists(lm, patch.site)
    expected = (prompts.rows, width_of(lm, patch.site))
    if tuple(patch.value.shape) != expected:
        raise WorkbenchError(
            f"A value for {patch.site} must be [rows, width] = {expected}, got {tuple(patch.value.shape)}; "
            "donor and base must come from models of the same width and batches of the same rows."
        )
    columns = prompts.column_of(patch.positions[:, None])[:, 0]
    # A slice of a large recording would keep, and travel with, all of it.
    return Write(patch.site, columns, patch.value.detach().clone(), patch.mode == "add")


def _exists(lm: LanguageModel, site: Site) -> None:
    if site.layer >= lm.n_layers:
        raise WorkbenchError(f"Layer {site.layer} does not exist; the model has layers 0 to {lm.n_layers - 1}.")
    heads = int(lm.config.num_attention_heads)
    if site.head is not None and site.head >= heads:
        raise WorkbenchError(f"Head {site.head} does not exist; the model has query heads 0 to {heads - 1}.")
