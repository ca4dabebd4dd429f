"""Read and replace the residual stream inside what a decoder layer returns, and is given.

Some families return a bare tensor [batch, time, width], others a tuple whose first element is that
tensor. Indexing a bare tensor with ``[0]`` silently takes batch row 0, so every hook in the
workbench reads and writes a layer's output through :func:`hidden_of` and :func:`with_hidden`, and
both insist on three dimensions. What a layer or a module inside one is given may come by place or
by name.

The hidden state is the residual stream after the layer (resid_post), before the final norm.
"""

from __future__ import annotations

from typing import Any

import torch

from workbench.errors import WorkbenchError


def hidden_of(output: Any) -> torch.Tensor:
    """Return the hidden state [batch, time, width] of a decoder layer's output, a tensor or a tuple
    that starts with one.

    The tensor is the model's own, not a copy: clone what is kept.

    Raises:
        WorkbenchError: on any other output.
    """
    hidden = output[0] if isinstance(output, tuple) and output else output
    if not isinstance(hidden, torch.Tensor):
        raise WorkbenchError(
            f"a decoder layer returned {type(output).__name__}, not a tensor or a tuple that "
            "starts with one: "
            "point the family's row in workbench/models/architectures.py at the list of decoder "
            "layers"
        )
    if hidden.dim() != 3:
        raise WorkbenchError(
            f"a decoder layer's hidden state has shape {tuple(hidden.shape)}, expected [batch, "
            "time, width]: "
            "point the family's row in workbench/models/architectures.py at the list of decoder "
            "layers"
        )
    return hidden


def with_hidden(output: Any, new: torch.Tensor) -> Any:
    """Return ``output`` with its hidden state replaced by ``new`` [batch, time, width]. Its kind
    and everything else stay.

    Raises:
        WorkbenchError: when the shapes differ.
    """
    old = hidden_of(output)
    if new.shape != old.shape:
        raise WorkbenchError(
            f"a hidden state of shape {tuple(new.shape)} cannot replace one of shape "
            f"{tuple(old.shape)}: "
            "record donor and base with the same batch and sequence length"
        )
    return (new, *output[1:]) if isinstance(output, tuple) else new


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
