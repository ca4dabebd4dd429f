"""Call a layer and write down what it returned, or take what was written in its place.

What is written must be all that the call did: the tensors it returned, and the keys and values it
put into a cache. A call is not written where more happens inside the layer: hooks of the
workbench's own on its parts, a cache of states other than keys and values, arguments that layers
share and change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import Cache

from workbench.compat import attention_kernel, hooks_of
from workbench.models.adapter_fingerprint import adapter_digest
from workbench.models.invocation import first_invoked_column
from workbench.stream.pass_log import CallDigests, TaskLog
from workbench.stream.spill import tensors_in
from workbench.stream.tasks import Task, acts_on

if TYPE_CHECKING:
    from workbench.stream.gates import LayerGate

Kept = list[tuple[Tensor, Tensor]]


class LoggedCalls:
    """The calls of a stream's layers."""

    def __init__(self) -> None:
        self._digests = CallDigests()

    def given(
        self, gate: LayerGate, task: Task, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> bytes | None:
        """Return the digest of what a layer gets from a task; None where the call is not written
        down.
        """
        caches = _caches(args, kwargs)
        if (
            any(isinstance(value, dict) for value in (*args, *kwargs.values()))
            or any("Linear" in type(layer).__name__ for c in caches for layer in c.layers)
            or _hooked_inside(gate.module, task)
        ):
            return None
        plain = tensors_in([value for value in _values(args, kwargs) if value not in caches])
        model = gate.stream.weights.model
        settings = (attention_kernel(model), first_invoked_column(), adapter_digest(gate.module))
        named = {name: repr(v) for name, v in kwargs.items() if isinstance(v, int | float | str)}
        return self._digests.digest(gate.layer, plain, caches, (settings, named))

    def run(
        self,
        gate: LayerGate,
        task: Task,
        log: TaskLog,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Return what the layer returns, from the log where it is there."""
        caches = _caches(args, kwargs)
        found = log.take(task)
        if found is not None:
            if "keys" in found:
                keys, values = (found[name].to(gate.device) for name in ("keys", "values"))
                caches[0].update(keys, values, gate.layer)
            return _output(found, gate.device)
        with _updates_of(caches) as kept:
            output = gate.call(args, kwargs)
        parts = _parts(output)
        if parts is not None and len(kept) == len(caches) <= 1:
            log.note(
                task, parts | dict(zip(("keys", "values"), kept[0] if kept else (), strict=False))
            )
        return output


def _values(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    return [*args, *(value for _, value in sorted(kwargs.items()))]


def _caches(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    return [value for value in _values(args, kwargs) if isinstance(value, Cache)]


def _hooked_inside(layer: torch.nn.Module, task: Task) -> bool:
    """Return whether hooks inside a layer act on a task's passes."""
    inside = (module for module in layer.modules() if module is not layer)
    return any(acts_on(hook, task) for module in inside for hook in hooks_of(module))


def _parts(output: Any) -> dict[str, Tensor] | None:
    """Return the tensors of what a layer returned by name; None where there is more in it."""
    if isinstance(output, Tensor):
        return {"output": output}
    if not isinstance(output, tuple) or not all(isinstance(o, Tensor | None) for o in output):
        return None
    parts = {f"output.{n}": part for n, part in enumerate(output) if part is not None}
    return {**parts, "count": torch.tensor(len(output))}


def _output(found: dict[str, Tensor], device: torch.device) -> Any:
    if "output" in found:
        return found["output"].to(device)
    places = (found.get(f"output.{n}") for n in range(int(found["count"])))
    return tuple(None if part is None else part.to(device) for part in places)


@contextmanager
def _updates_of(caches: Iterable[Any]) -> Iterator[Kept]:
    """Collect the keys and values that are put into caches inside the block."""
    kept: Kept = []
    caches = list(caches)

    def noting(update: Callable[..., Any]) -> Callable[..., Any]:
        def noted(keys: Tensor, values: Tensor, *args: Any, **kwargs: Any) -> Any:
            kept.append((keys, values))
            return update(keys, values, *args, **kwargs)

        return noted

    for cache in caches:
        cache.__dict__["update"] = noting(cache.update)
    try:
        yield kept
    finally:
        for cache in caches:
            del cache.__dict__["update"]
