"""Cut a layer's arguments to the columns that exist at its input.

The decoder prepares mask, position ids and rotary embeddings for every column of the layout. A
layer at whose input some of them are not yet appended gets the leading part of each.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from workbench.models.layer_output import Streams, hidden_argument
from workbench.trace.hooks import Narrow


def truncate_columns(alive: int, total: int, cached: int = 0, streams: Streams = "one") -> Narrow:
    """Return a function that cuts a layer's arguments from ``total`` to the first ``alive``
    columns. Keys also have ``cached`` columns of a cache before them.
    """

    def narrow(
        args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        hidden = hidden_argument(args, kwargs)
        time = 2 if streams == "first" and hidden.dim() == 4 else 1
        hidden = hidden.narrow(time, 0, alive).contiguous()
        kwargs = {name: _cut(name, value, alive, total, cached) for name, value in kwargs.items()}
        if not args:
            return args, {**kwargs, "hidden_states": hidden}
        rest = tuple(_cut("", value, alive, total, cached) for value in args[1:])
        return (hidden, *rest), kwargs

    return narrow


def _cut(name: str, value: Any, alive: int, total: int, cached: int) -> Any:
    if name == "attention_mask" or is_mask(value, total, cached):
        return _cut_mask(value, alive, total, cached)
    if name == "position_ids" and isinstance(value, Tensor):
        return value[..., :alive]
    if isinstance(value, tuple) and value and all(isinstance(part, Tensor) for part in value):
        # Rotary embeddings, [rows, columns, entries] or [columns, entries] each.
        return tuple(part[..., :alive, :] if part.shape[-2] == total else part for part in value)
    return _cut_columns(value, alive, total)


def _cut_columns(value: Any, alive: int, total: int) -> Any:
    """Cut the columns of any other tensor: its first axis behind the rows that has ``total``
    entries. Vectors, and what has no such axis, stay.
    """
    if not isinstance(value, Tensor) or value.dim() < 3:
        return value
    axis = next((n for n in range(1, value.dim()) if value.shape[n] == total), None)
    return value if axis is None else value.narrow(axis, 0, alive)


def _cut_mask(value: Any, alive: int, total: int, cached: int) -> Any:
    if is_mask(value, total, cached):
        return value[..., :alive, : cached + alive]
    return value


def is_mask(value: Any, total: int, cached: int) -> bool:
    """Return whether ``value`` is a mask [rows, heads, queries, keys] of so many columns."""
    return (
        isinstance(value, Tensor)
        and value.dim() == 4
        and tuple(value.shape[-2:]) == (total, cached + total)
    )
