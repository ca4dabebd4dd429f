"""Hooks on decoder layers as context managers that remove exactly the handles they registered.

A transform receives the residual stream behind a layer, [rows, columns, width], before the final norm, and returns the
tensor to go on with. Hooks of other owners on the same model are never touched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from workbench.models import LanguageModel, hidden_of

Transform = Callable[[Tensor], Tensor]
Narrow = Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


@contextmanager
def on_outputs(lm: LanguageModel, transforms: Mapping[int, Transform]) -> Iterator[None]:
    """Pass the output of each layer in ``transforms`` through its transform."""
    layers = lm.layers()
    with ExitStack() as stack:
        for layer, transform in transforms.items():
            handle = layers[layer].register_forward_hook(_output_hook(transform))
            stack.callback(handle.remove)
        yield


@contextmanager
def on_inputs(lm: LanguageModel, narrowers: Mapping[int, Narrow]) -> Iterator[None]:
    """Pass the arguments of each layer in ``narrowers`` through its function."""
    layers = lm.layers()
    with ExitStack() as stack:
        for layer, narrow in narrowers.items():
            handle = layers[layer].register_forward_pre_hook(_input_hook(narrow), with_kwargs=True)
            stack.callback(handle.remove)
        yield


def _output_hook(transform: Transform) -> Callable[[nn.Module, Any, Any], Any]:
    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        hidden = transform(hidden_of(output))
        return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

    return hook


def _input_hook(narrow: Narrow) -> Callable[[nn.Module, Any, Any], Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return narrow(args, kwargs)

    return hook
