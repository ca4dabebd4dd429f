"""Cut a layer's arguments to the columns that exist at its input.

The decoder prepares mask, position ids and rotary embeddings for every column of the layout. A
layer at whose input some of them are not yet appended gets the leading part of each.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from workbench.models.layer_output import hidden_argument
from workbench.trace.hooks import Narrow


def truncate_columns(alive: int, total: int, cached: int = 0) -> Narrow:
    """Return a function that cuts a layer's arguments from ``total`` to the first ``alive``
    columns. Keys also have ``cached`` columns of a cache before them.
    """

    def narrow(
        args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        hidden = hidden_argument(args, kwargs)
        hidden = hidden[:, :alive]
        kwargs = {name: _cut(name, value, alive, total, cached) for name, value in kwargs.items()}
        if not args:
            return args, {**kwargs, "hidden_states": hidden}
        rest = tuple(_cut_mask(value, alive, total, cached) for value in args[1:])
        return (hidden, *rest), kwargs

    return narrow


def _cut(name: str, value: Any, alive: int, total: int, cached: int) -> Any:
    if name == "attention_mask":
        return _cut_mask(value, alive, total, cached)
    if name == "position_ids" and isinstance(value, Tensor):
        return value[..., :alive]
    if name == "position_embeddings" and value is not None:
        return tuple(part[..., :alive, :] for part in value)
    return value


def _cut_mask(value: Any, alive: int, total: int, cached: int) -> Any:
    if (
        isinstance(value, Tensor)
        and value.dim() == 4
        and tuple(value.shape[-2:]) == (total, cached + total)
    ):
        return value[..., :alive, : cached + alive]
    return value
