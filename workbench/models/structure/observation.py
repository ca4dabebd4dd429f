"""Observe what every module of a model is given and returns in one forward pass.

Rows of the workbench's description of a model are read off such observations: a module's place in
the computation is recognised by the tensors that go through it, never by its name or class. Kept
are the first tensor of three dimensions among a module's arguments and what it returns (the first
element of a tuple), as copies, so that later writes in place do not change them. An observation
shows one prompt: what happens to coincide on it is told apart by real tests afterwards
(:mod:`workbench.models.validate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

CLOSE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 3e-2}
"""Largest difference, relative to the largest entry, of tensors that are called equal."""


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a module.

    Attributes:
        path: of the module, from the root that was observed.
        given: the first [batch, time, entries] among its arguments; None without any.
        returned: its output, or the first element of a tuple; None where that is no tensor.
        order: how many calls had ended before this one.
        parts: how many things it returned in a tuple or list; 0 for anything else.
    """

    path: str
    module: nn.Module
    given: Tensor | None
    returned: Tensor | None
    order: int
    parts: int = 0


@dataclass
class Observation:
    """The calls of one pass, in the order in which they ended.

    Attributes:
        arguments: of the last call of every module that ``observing`` was to keep, for calling it
            again.
    """

    calls: list[Call] = field(default_factory=list)
    arguments: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = field(default_factory=dict)

    def single(self) -> Mapping[str, Call]:
        """Return the calls of all modules that were called once, by path."""
        counts: dict[str, int] = {}
        for call in self.calls:
            counts[call.path] = counts.get(call.path, 0) + 1
        return {call.path: call for call in self.calls if counts[call.path] == 1}


@contextmanager
def observing(
    root: nn.Module, keep: Callable[[str], bool] = lambda _: False
) -> Iterator[Observation]:
    """Record the calls of all modules below ``root``, itself included, inside the block."""
    seen = Observation()
    with ExitStack() as stack:
        for path, module in root.named_modules():
            hooks = _hooks(seen, path, keep(path))
            stack.callback(module.register_forward_pre_hook(hooks[0], with_kwargs=True).remove)
            stack.callback(
                module.register_forward_hook(hooks[1], with_kwargs=True, always_call=False).remove
            )
        yield seen


def _hooks(seen: Observation, path: str, keep: bool) -> tuple[Callable[..., None], ...]:
    waiting: list[Tensor | None] = []

    def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        waiting.append(_copy(first_states(args, kwargs)))
        if keep:
            seen.arguments[path] = (args, dict(kwargs))

    def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        several = isinstance(output, tuple | list) and bool(output)
        returned = output[0] if several else output
        parts = len(output) if several else 0
        given = waiting.pop()
        seen.calls.append(Call(path, module, given, _copy(returned), len(seen.calls), parts))

    return before, after


def first_states(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor | None:
    """Return the first floating-point tensor of three dimensions or more among the arguments,
    those by place first.
    """
    for value in (*args, kwargs.get("hidden_states"), *kwargs.values()):
        if isinstance(value, Tensor) and value.is_floating_point() and value.dim() >= 3:
            return value
    return None


def _copy(value: Any) -> Tensor | None:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.detach().clone()
    return None


def same(a: Tensor | None, b: Tensor | None, loose: float = 1.0) -> bool:
    """Return whether two tensors are equal up to rounding in their precision, times ``loose``."""
    if a is None or b is None or a.shape != b.shape:
        return False
    low = min(a.dtype, b.dtype, key=lambda dtype: torch.finfo(dtype).bits)
    bound = loose * CLOSE.get(low, 1e-4)
    size = b.float().abs().max().clamp_min(1e-6)
    return bool((a.float() - b.float().to(a.device)).abs().max() <= bound * size)
