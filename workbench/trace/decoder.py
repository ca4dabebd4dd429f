"""Call a model's decoder, and stop it once nothing more is wanted from the pass."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from workbench.models import LanguageModel
from workbench.models.room import require_room_for
from workbench.trace.hooks import Transform


class _Enough(BaseException):
    """The signal that ends a pass from which nothing more is wanted.

    It is no error, and passes every ``except Exception`` on its way.
    """


def takes(module: nn.Module, name: str) -> bool:
    """Return whether the forward of a module has an argument ``name``, or takes any."""
    names = _arguments(type(module).forward)
    return names is None or name in names


@lru_cache(maxsize=256)
def _arguments(forward: Callable[..., Any]) -> frozenset[str] | None:
    """Return the names of a forward's arguments; None where it takes any."""
    parameters = inspect.signature(forward).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return None
    return frozenset(parameters)


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
    positions: Tensor | None,
    mask: Any,
    cache: Any,
    gradients: bool = False,
) -> Tensor:
    """Run the decoder; return the states after the final norm, [rows, columns, width]. They have
    width 0 if the pass was stopped before it.

    Args:
        positions: of the tokens, counted from 0 at each row's first; None leaves them to the model.

    Raises:
        WorkbenchError: for a token at a position the model does not read.
    """
    kept = 0 if cache is None else cache.get_seq_length()
    require_room_for(lm, positions, tokens.shape[1], kept)
    with torch.set_grad_enabled(gradients):
        try:
            decoder, first = lm.decoder(), lm.architecture.first_position
            given = {
                "attention_mask": mask,
                "position_ids": None if positions is None else positions + first,
                "past_key_values": cache,
                "use_cache": cache is not None,
            }
            taken = {name: value for name, value in given.items() if takes(decoder, name)}
            return decoder(input_ids=tokens, **taken).last_hidden_state
        except _Enough:
            return torch.empty((*tokens.shape, 0), device=tokens.device)
