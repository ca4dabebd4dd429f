"""Read and replace the residual stream inside what a decoder layer returns, and is given.

Some families return a bare tensor [batch, time, width], others a tuple or list whose first element
is that tensor. Indexing a bare tensor with ``[0]`` silently takes batch row 0, so every hook in the
workbench reads and writes a layer's output through :func:`hidden_of` and :func:`with_hidden`, and
both insist on three dimensions. What a layer or a module inside one is given may come by place or
by name.

The hidden state is the residual stream after the layer (resid_post), before the final norm.
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from workbench.compat import is_named_tuple
from workbench.errors import WorkbenchError

Streams = Literal["one", "first", "inner"]
"""How layers pass on the residual stream: one of [batch, time, width], or several as [streams,
batch, time, width] ("first") or [batch, time, streams, width] ("inner").
"""


def hidden_of(output: Any, streams: Streams = "one") -> torch.Tensor:
    """Return the hidden state [batch, time, width] of a decoder layer's output, a tensor or a tuple
    or list that starts with one. Several streams are put one after another.

    The tensor of one stream is the model's own, not a copy: clone what is kept.

    Raises:
        WorkbenchError: on any other output.
    """
    hidden = output[0] if isinstance(output, tuple | list) and output else output
    if not isinstance(hidden, torch.Tensor):
        raise WorkbenchError(
            f"a decoder layer returned {type(output).__name__}, not a tensor or a tuple that "
            "starts with one: "
            "such layers cannot be recorded or patched; use another model"
        )
    if streams != "one" and hidden.dim() == 4:
        return joined(hidden, streams)
    if hidden.dim() != 3:
        raise WorkbenchError(
            f"a decoder layer's hidden state has shape {tuple(hidden.shape)}, expected [batch, "
            "time, width]: layers that pass on several residual streams cannot be recorded or "
            "patched; use another model"
        )
    return hidden


def joined(hidden: torch.Tensor, streams: Streams) -> torch.Tensor:
    """Return several streams as one state [batch, time, streams * width]."""
    return (hidden.permute(1, 2, 0, 3) if streams == "first" else hidden).flatten(2)


def parted(states: torch.Tensor, width: int, streams: Streams) -> torch.Tensor:
    """Return states [batch, time, streams * width] as the streams that layers pass on."""
    inner = states.unflatten(-1, (-1, width))
    return inner.permute(2, 0, 1, 3) if streams == "first" else inner


def with_hidden(output: Any, new: torch.Tensor, streams: Streams = "one") -> Any:
    """Return ``output`` with its hidden state replaced by ``new`` [batch, time, width]. Its kind
    and everything else stay.

    Raises:
        WorkbenchError: when the shapes differ.
    """
    old = hidden_of(output, streams)
    if new.shape != old.shape:
        raise WorkbenchError(
            f"a hidden state of shape {tuple(new.shape)} cannot replace one of shape "
            f"{tuple(old.shape)}: "
            "record donor and base with the same batch and sequence length"
        )
    return in_place_of(output, new, streams)


def in_place_of(output: Any, new: torch.Tensor, streams: Streams = "one") -> Any:
    """Return a layer's or module's output with ``new`` for its first tensor; its kind stays."""
    old = output[0] if isinstance(output, tuple | list) else output
    if streams != "one" and old.dim() == 4:
        new = parted(new, old.shape[-1], streams)
    if isinstance(output, tuple):
        rebuilt = (new, *output[1:])
        # A named tuple, of which the layer's caller may ask by name.
        return type(output)(*rebuilt) if is_named_tuple(output) else rebuilt
    return [new, *output[1:]] if isinstance(output, list) else new


def hidden_argument(args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
    """Return the hidden states among the arguments of a layer or of a module inside one: the first,
    or the one of that name.
    """
    hidden: torch.Tensor = args[0] if args else kwargs["hidden_states"]
    return hidden


def with_hidden_argument(
    args: tuple[Any, ...], kwargs: dict[str, Any], new: torch.Tensor
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with their hidden states replaced by ``new``."""
    return ((new, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": new})
