"""Differentiate passes of a streamed model: each layer is read once forward and once back, for all
batches.

A pass with gradients inside a task is cut at every layer from ``first`` on. Going forward a layer
computes without gradients, and what it is called with is noted (:class:`LayerTape`). The last
layer's output is a leaf of what follows it, the loss, which the task differentiates when it gets
there. Then the layers are read again from the last to the first (:func:`accumulate_gradients`):
each computes anew, with gradients, from the states that were noted, and hands the gradient with
respect to them to the layer below. So no more than one layer's activations of one batch are held at
a time, and the states between layers, which count as what their tasks hold (they go into files
beyond the stream's bound). Sums over batches are formed in the order of the batches, as batch after
batch would form them.

What is random in a layer, as dropout, draws the same numbers both times.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models.layer_output import hidden_argument, with_hidden_argument
from workbench.stream.rounds import run_together
from workbench.stream.tasks import current_task

if TYPE_CHECKING:
    from workbench.stream.gates import LayerGate, LayerStream

Around = Callable[[], AbstractContextManager[Any]]
Randomness = tuple[Callable[[], Any], Callable[[Any], None]]
"""What reads the state of random numbers, and what puts a state back."""

TORCH: Randomness = (torch.get_rng_state, torch.set_rng_state)


def randomness_of(device: torch.device) -> list[Randomness]:
    """Return torch's random numbers that layers on a device may use."""
    if device.type == "cpu":
        return [TORCH]
    of_device = torch.get_device_module(device)
    put = partial(_put_device_state, device)
    return [TORCH, (partial(of_device.get_rng_state, device), put)]


def _put_device_state(device: torch.device, state: Tensor) -> None:
    torch.get_device_module(device).set_rng_state(state, device)


@dataclass(eq=False)
class LayerCall:
    """A call of a layer: what it gets, and what it needs to be made again.

    Attributes:
        hidden: [rows, columns, width] the states it gets, in main memory.
        begins: caches into which it puts a layer's first keys and values.
        around: what its pass holds open around its layers.
        random: states of the random numbers before it.
        output: of the last layer, where the graph of the loss begins.
        gradient: with respect to its output, then to its states.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    hidden: Tensor
    begins: list[Any]
    around: tuple[Around, ...]
    random: list[Any]
    output: Tensor | None = None
    gradient: Tensor | None = None


class LayerTape:
    """The layer calls of one batch.

    Args:
        first: the lowest layer that is differentiated.
        random: of the random numbers that layers use.
    """

    def __init__(self, first: int, layers: int, random: Sequence[Randomness] = (TORCH,)) -> None:
        self.first, self.last, self.random = first, layers - 1, random
        self.calls: dict[int, list[LayerCall]] = {}
        self._below: list[Tensor] = []

    def record(self, work: Callable[[], Tensor]) -> Tensor:
        """Run a task's ``work``, which returns a loss; differentiate what follows the last layer,
        and return the loss.
        """
        _tape.set(self)
        with torch.enable_grad():
            loss = work()
            loss.backward()
        for call in self.calls[self.last]:
            call.gradient = None if call.output is None else call.output.grad
            call.output = None
        return loss.detach()

    def tensors(self) -> Iterator[Tensor]:
        """Return the states and gradients that are held."""
        for call in (call for calls in self.calls.values() for call in calls):
            yield from (call.hidden, *([] if call.gradient is None else [call.gradient]))

    def forward(self, gate: LayerGate, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the layer of a gate whose weights are there, and note the call."""
        hidden = hidden_argument(args, kwargs)
        if gate.layer == self.first:
            self._below.append(hidden)
        hidden = hidden.detach() if hidden.requires_grad else hidden
        # Off an accelerator at once: there is no room for all of them there.
        call = LayerCall(
            args,
            kwargs,
            hidden.to("cpu"),
            [cache for cache in _caches(args, kwargs) if not cache.holds(gate.layer)],
            _around.get(),
            [read() for read, _ in self.random],
        )
        task = current_task()
        assert task is not None
        task.keep(call.hidden)
        self.calls.setdefault(gate.layer, []).append(call)
        with torch.no_grad():
            output = gate.call(*with_hidden_argument(args, kwargs, hidden))
        call.args, call.kwargs = with_hidden_argument(args, kwargs, hidden[:0].clone())
        if gate.layer == self.last:
            call.output = _hidden(output).requires_grad_()
        return output

    def back_through(self, gate: LayerGate) -> None:
        """Differentiate the calls of a layer whose weights are there: add to the gradients of its
        adapters, and keep those with respect to the states it got.
        """
        calls = self.calls.get(gate.layer, [])
        above = calls if gate.layer == self.last else self.calls.pop(gate.layer + 1, [])
        arrived = [call.gradient for call in above]
        leaves = [call.hidden.to(gate.device).requires_grad_() for call in calls]
        outputs = []
        for call, leaf in zip(calls, leaves, strict=True):
            for cache in call.begins:
                cache.forget(gate.layer)
            outputs.append(self._again(gate, call, leaf))
        pairs = [
            (output, gradient)
            for output, gradient in zip(outputs, arrived, strict=True)
            if gradient is not None and output.requires_grad
        ]
        if pairs:
            torch.autograd.backward([output for output, _ in pairs], [by for _, by in pairs])
        for call, leaf in zip(calls, leaves, strict=True):
            call.hidden, call.gradient = leaf.detach()[:0], leaf.grad
            for cache in call.begins:
                cache.forget(gate.layer)
        if gate.layer == self.first:
            self._end(calls)

    def _again(self, gate: LayerGate, call: LayerCall, leaf: Tensor) -> Tensor:
        for (_, put), state in zip(self.random, call.random, strict=True):
            put(state)
        with ExitStack() as stack:
            for around in call.around:
                stack.enter_context(around())
            with torch.enable_grad():
                output = gate.call(*with_hidden_argument(call.args, call.kwargs, leaf))
        return _hidden(output)

    def _end(self, calls: Sequence[LayerCall]) -> None:
        """Differentiate what precedes the first layer, where something is trained there."""
        for below, call in zip(self._below, calls, strict=True):
            if below.requires_grad and call.gradient is not None:
                below.backward(call.gradient)
        self.calls.clear()
        self._below.clear()


def accumulate_gradients(
    stream: LayerStream,
    first: int,
    works: Sequence[Callable[[], Tensor]],
    random: Sequence[Randomness] = (TORCH,),
) -> list[Tensor]:
    """Return the losses of all ``works`` and add their gradients to what is trained.

    Args:
        first: the lowest layer with something that is trained.
        works: functions that run passes which all begin at layer ``first`` or below and return a
            loss.
        random: of the random numbers that layers use.
    """
    gates = stream.gates
    tapes = [LayerTape(first, len(gates), random) for _ in works]
    losses = run_together(
        [partial(tape.record, work) for tape, work in zip(tapes, works, strict=True)]
    )
    drawn = [read() for read, _ in random]
    for gate in reversed(gates[first:]):
        with stream.filled(gate.layer, ahead=gate.layer - 1 if gate.layer > first else None):
            for tape in tapes:
                tape.back_through(gate)
                stream.keep_within_bound([t for other in tapes for t in other.tensors()])
    for (_, put), state in zip(random, drawn, strict=True):
        put(state)
    return losses


_tape: ContextVar[LayerTape | None] = ContextVar("workbench_layer_tape", default=None)
_around: ContextVar[tuple[Around, ...]] = ContextVar("workbench_around_layers", default=())


def tape_of(layer: int) -> LayerTape | None:
    """Return the tape on which the running task notes its calls of a layer; None for none."""
    tape = _tape.get() if torch.is_grad_enabled() else None
    return tape if tape is not None and layer >= tape.first else None


@contextmanager
def repeated_around(around: Around) -> Iterator[None]:
    """Hold ``around()`` open inside the block, and again around each layer of passes inside it
    when the layer is differentiated.
    """
    token = _around.set((*_around.get(), around))
    try:
        with around():
            yield
    finally:
        _around.reset(token)


def _hidden(output: Any) -> Tensor:
    hidden: Tensor = output[0] if isinstance(output, tuple) else output
    return hidden


def _caches(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """Return the caches that a layer gets.

    Raises:
        WorkbenchError: for one that cannot forget a layer, so that the layer cannot be called
            again.
    """
    from transformers import Cache

    found = [value for value in (*args, *kwargs.values()) if isinstance(value, Cache)]
    for cache in found:
        if not hasattr(cache, "forget"):
            raise WorkbenchError(
                "a training step of a streamed model keeps keys and values in a "
                f"{type(cache).__name__}, which a layer cannot fill twice: keep them in a "
                "PromptCache"
            )
    return found
