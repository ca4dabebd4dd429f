"""Hook a model's parts in context managers that remove exactly the handles they registered.

A transform receives the tensor at a place, [rows, columns, width], and returns the tensor to go on
with; the residual stream after the last layer is the one before the final norm. Hooks that others
registered on the same model are never touched. What a task registers acts on its own passes alone
(:mod:`workbench.stream.tasks`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn

from workbench.models import LanguageModel, hidden_of
from workbench.models.components import place_of
from workbench.models.layer_output import (
    Streams,
    hidden_argument,
    in_place_of,
    joined,
    parted,
    with_hidden_argument,
)
from workbench.stream.gates import gate_of
from workbench.stream.tasks import for_this_task
from workbench.trace.sites import Component

Transform = Callable[[Tensor], Tensor]
Narrow = Callable[[tuple[Any, ...], dict[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]


@contextmanager
def hooked(
    lm: LanguageModel, transforms: Mapping[tuple[int, Component], Transform]
) -> Iterator[None]:
    """Pass the tensor at each (layer, component) in ``transforms`` through its transform.

    What the transform sees is not yet multiplied by the place's ``scale``. At ``mlp_in`` it is a
    view, on the MLP's path alone, so that a gradient with respect to it is too.
    """
    # Where the MLP reads the stream as it is, resid_mid and mlp_in are inputs of one module, and
    # the stream comes first.
    ordered = sorted(transforms.items(), key=lambda item: item[0][1] == "mlp_in")
    with ExitStack() as stack:
        for (layer, component), transform in ordered:
            place = place_of(lm, layer, component)
            if place.side == "output":
                handle = place.module.register_forward_hook(_output_hook(transform, place.streams))
            else:
                # What an MLP is given may be the stream, or what the attention reads too.
                change = _of_view(transform) if component == "mlp_in" else transform
                narrow = _first_input(change, component == "resid_mid", place.streams)
                hook = _input_hook(narrow)
                handle = place.module.register_forward_pre_hook(hook, with_kwargs=True)
            stack.callback(handle.remove)
        yield


@contextmanager
def on_outputs(lm: LanguageModel, transforms: Mapping[int, Transform]) -> Iterator[None]:
    """Pass the output of each layer in ``transforms`` through its transform."""
    after: Component = "resid_post"
    with hooked(lm, {(layer, after): transform for layer, transform in transforms.items()}):
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


@contextmanager
def bypass_layers(lm: LanguageModel, first: int) -> Iterator[None]:
    """Let the residual stream pass the layers below ``first`` unchanged and uncomputed; their hooks
    still run. Where layers need more of each other than the stream, all are computed.
    """
    skipped = first if lm.architecture.independent else 0
    passed_on = _passed_on(lm.architecture.returned)
    with ExitStack() as stack:
        for layer in lm.layers()[:skipped]:
            gate = gate_of(layer)
            stack.enter_context(gate.skipped(passed_on) if gate else _forward(layer, passed_on))
        yield


@contextmanager
def _forward(layer: nn.Module, instead: Callable[..., Any]) -> Iterator[None]:
    """Let a layer call ``instead`` inside the block."""
    kept = layer.__dict__.get("forward")
    layer.__dict__["forward"] = instead
    try:
        yield
    finally:
        if kept is None:
            layer.__dict__.pop("forward", None)
        else:
            layer.__dict__["forward"] = kept


def _passed_on(returned: int) -> Callable[..., Any]:
    """Return a layer's forward that passes its states on among ``returned`` things, 0 for alone."""

    def pass_on(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        return (hidden_states, *[None] * (returned - 1)) if returned else hidden_states

    return pass_on


def _output_hook(transform: Transform, streams: Streams) -> Callable[[nn.Module, Any, Any], Any]:
    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        return in_place_of(output, transform(hidden_of(output, streams)), streams)

    return for_this_task(hook)


def _input_hook(narrow: Narrow) -> Callable[[nn.Module, Any, Any], Any]:
    def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return narrow(args, kwargs)

    return for_this_task(hook)


def _of_view(transform: Transform) -> Transform:
    return lambda hidden: transform(hidden.view_as(hidden))


def _first_input(transform: Transform, in_place: bool, streams: Streams) -> Narrow:
    """Return a hook that applies ``transform`` to a module's hidden states. ``in_place`` writes the
    result into the same tensor, for callers that go on to use it.
    """

    def change(
        args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        hidden = hidden_argument(args, kwargs)
        if streams != "one" and hidden.dim() == 4:
            new = parted(transform(joined(hidden, streams)), hidden.shape[-1], streams)
            return with_hidden_argument(args, kwargs, new)
        new = transform(hidden)
        if in_place and new is not hidden:
            new = hidden.copy_(new)
        return with_hidden_argument(args, kwargs, new)

    return change
