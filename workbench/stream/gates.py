"""Stand in for the forward of every decoder layer: wait until the layer's weights are there, then
call it.

The modules stay transformers' own, with all hooks of theirs; only ``forward`` is looked up on a
gate. A task that arrives at a gate lets others run until its layer is read
(:mod:`workbench.stream.rounds`). A plain forward outside of any task reads every layer as it comes
to it, for itself alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from workbench.errors import WorkbenchError
from workbench.models.adapter_switch import switch_to, switched_off
from workbench.stream.layer_tape import tape_of
from workbench.stream.layer_weights import LayerWeights
from workbench.stream.logged_calls import LoggedCalls
from workbench.stream.pass_log import PassLog
from workbench.stream.rounds import Rounds, close_stream, current_rounds, open_stream
from workbench.stream.spill import Moved, SpillFolder, bring_back, held_bytes, tensors_in
from workbench.stream.tasks import Task, current_task, keep_for_each_task

Forward = Callable[..., Any]

# PEFT has one switch for a module; a task with the adapter off must not switch it off for others.
keep_for_each_task(switched_off, switch_to)


class LayerStream:
    """The decoder layers of a model whose weights are read when they are needed.

    Args:
        layers: the modules, first to last.
        weights: what reads their weights.
        most_waiting_bytes: what the tensors of tasks that wait may take together.
        spill: where they go beyond that.
        pass_log: where is kept what layers return, for a process that is killed; None for nowhere.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        weights: LayerWeights,
        most_waiting_bytes: int,
        spill: SpillFolder,
        pass_log: PassLog | None = None,
    ) -> None:
        self.weights, self.spill, self.pass_log = weights, spill, pass_log
        self.calls = LoggedCalls()
        self.most_waiting_bytes = most_waiting_bytes
        self.gates = [LayerGate(self, number, layer) for number, layer in enumerate(layers)]
        self.resident: set[int] = set()
        open_stream(self)

    @contextmanager
    def filled(self, layer: int, ahead: int | None = -1) -> Iterator[None]:
        """Have a layer's weights in place inside the block, and begin to read the layer ``ahead``:
        by default the one after it.
        """
        if self.weights.is_filled(layer):
            yield
            return
        self.weights.fill(layer, layer + 1 if ahead == -1 else ahead)
        try:
            yield
        finally:
            self.weights.empty(layer)

    @contextmanager
    def held(self, layers: Sequence[int]) -> Iterator[None]:
        """Keep the weights of some layers in place inside the block, where passes through them can
        be differentiated.
        """
        before = self.resident
        with ExitStack() as stack:
            for place, layer in enumerate(layers):
                after = layers[place + 1] if place + 1 < len(layers) else None
                stack.enter_context(self.filled(layer, after))
            self.resident = before | set(layers)
            try:
                yield
            finally:
                self.resident = before

    def keep_within_bound(self, tensors: Iterable[Tensor]) -> None:
        """Put tensors in main memory into files where they take more than waiting ones may."""
        held = list(tensors)
        if held_bytes(held, self.spill) > self.most_waiting_bytes:
            self.spill.spill(tensor for tensor in held if tensor.device.type == "cpu")

    def expect(self, layer: int) -> None:
        """Begin to read a layer that tasks wait for."""
        self.weights.read_ahead(layer)

    def rest(self) -> None:
        """Drop what was read ahead."""
        self.weights.drop_ahead()

    def close(self) -> None:
        """Give the layers their own forward back, without weights, and end the reading thread."""
        for gate in self.gates:
            gate.remove()
        self.weights.close()
        close_stream(self)


class LayerGate:
    """The forward of a layer that waits for the layer's weights."""

    def __init__(self, stream: LayerStream, layer: int, module: nn.Module) -> None:
        self.stream, self.layer, self.module = stream, layer, module
        self._forward: Forward = module.forward
        self._skips: dict[Task | None, list[Forward]] = {}
        module.__dict__["forward"] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        task = current_task()
        skip = self._skip_of(task)
        if skip is not None:
            return skip(*args, **kwargs)
        tape = tape_of(self.layer)
        if tape is None and self.layer not in self.stream.resident:
            self._refuse_gradients(args)
        if task is None:
            with self.stream.filled(self.layer):
                return self._forward(*args, **kwargs)
        if not self.stream.weights.is_filled(self.layer):
            rounds = current_rounds()
            assert rounds is not None
            task.calls += 1
            logs = tape is None and rounds.logs
            task.given = self.stream.calls.given(self, task, args, kwargs) if logs else None
            moved = self._settle(rounds, task, (args, kwargs))
            rounds.wait_for(self, task)
            bring_back(moved)
            if rounds.log is not None and task.given is not None:
                return self.stream.calls.run(self, task, rounds.log, args, kwargs)
        return self._forward(*args, **kwargs) if tape is None else tape.forward(self, args, kwargs)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the layer itself, whose weights must be there."""
        return self._forward(*args, **kwargs)

    @property
    def device(self) -> torch.device:
        """Where the layer computes."""
        return self.stream.weights.device

    def _refuse_gradients(self, args: Sequence[Any]) -> None:
        if torch.is_grad_enabled() and any(t.requires_grad for t in tensors_in(args)):
            raise WorkbenchError(
                "gradients need every layer in memory, and this model is read layer by layer: set "
                "model.placement=device"
            )

    @contextmanager
    def skipped(self, instead: Forward) -> Iterator[None]:
        """Let passes of the current task call ``instead`` of the layer inside the block."""
        own = self._skips.setdefault(current_task(), [])
        own.append(instead)
        try:
            yield
        finally:
            own.pop()

    def _settle(self, rounds: Rounds, task: Task, values: Any) -> Moved:
        """Note what a task holds that comes here, and spill it where it is more than its room."""
        spill, held = self.stream.spill, [*tensors_in(values), *task.tensors_kept()]
        # The states a pass begins with stay in its frame to its end.
        task.keep(next(tensors_in(values)))
        moved: Moved = ()
        if held_bytes(held, spill) > rounds.room_for(task):
            moved = spill.spill(held)
        rounds.note_waiting(task, held_bytes(held, spill))
        return moved

    def remove(self) -> None:
        """Give the layer its own forward back."""
        self.module.__dict__.pop("forward", None)

    def _skip_of(self, task: Task | None) -> Forward | None:
        while True:
            if self._skips.get(task):
                return self._skips[task][-1]
            if task is None:
                return None
            task = task.parent


def gate_of(layer: nn.Module) -> LayerGate | None:
    """Return the gate at a layer; None for a layer in memory."""
    forward = layer.__dict__.get("forward")
    return forward if isinstance(forward, LayerGate) else None
