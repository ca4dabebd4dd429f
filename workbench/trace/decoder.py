"""Call a model's decoder, and stop it once nothing more is wanted from the pass."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.room import require_room_for
from workbench.trace.hooks import Transform


class _Enough(BaseException):
    """The signal that ends a pass from which nothing more is wanted.

    It is no error, and passes every ``except Exception`` on its way.
    """


def stop_with(last: Transform | None) -> Transform:
    """Return a transform that applies ``last`` and ends the pass."""

    def stop(hidden: Tensor) -> Tensor:
        if last is not None:
            last(hidden)
        raise _Enough

    return stop


def decode(
    lm: LanguageModel,
    tokens: Tensor,
    positions: Tensor,
    mask: Any,
    cache: Any,
    gradients: bool = False,
) -> Tensor:
    """Run the decoder; return the states after the final norm, [rows, columns, width]. They have
    width 0 if the pass was stopped before it.

    Raises:
        WorkbenchError: for a token at a position the model does not read.
    """
    kept = 0 if cache is None else cache.get_seq_length()
    require_room_for(lm, positions, tokens.shape[1], kept)
    with torch.set_grad_enabled(gradients):
        try:
            return lm.decoder()(
                input_ids=tokens,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                use_cache=cache is not None,
            ).last_hidden_state
        except _Enough:
            return torch.empty((*tokens.shape, 0), device=tokens.device)
