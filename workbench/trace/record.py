"""Recording the residual stream of every layer at chosen tokens, and nothing else of the pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts


def record_states(lm: LanguageModel, prompts: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]) -> Tensor:
    """States behind every layer at each prompt's positions (0 = its first token): [rows, layers, positions, width]."""
    batch = pad_prompts(prompts, lm.tokenizer.pad_token_id, lm.device)
    columns = batch.column_of(torch.as_tensor([list(row) for row in positions]))
    last = torch.full((batch.rows, 1), batch.columns - 1, device=lm.device)
    recorded = forward(lm, batch, empty_tail(batch), last, record=columns).recorded
    assert recorded is not None
    return recorded
