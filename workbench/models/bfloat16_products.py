"""Compute matrix products in bfloat16 at a usable speed on processors without bfloat16 units.

Units multiply bfloat16 factors exactly, add in float32 and round the sum once. A product in float32
of rounded factors, rounded afterwards, is the same up to the order of the sums, and about six times
as fast as torch's own kernel on a processor that has only float32. So a model set to bfloat16 gives
on every machine the numbers that one with units gives, except for that order, which moves a result
by at most one rounding. Gradients are treated alike: each product's gradients come out rounded.

Attention and products with quantised weights keep torch's own kernels. The emulation says nothing
about the speed of a machine with units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from workbench.compat import has_bfloat16_units
from workbench.models.plain_weights import is_plain


def bfloat16_arithmetic(device: str) -> AbstractContextManager[Any]:
    """Return a context in which products on devices of the type ``device`` are made in bfloat16:
    by the device's own kernels, or emulated on a processor without units.
    """
    stack = ExitStack()
    stack.enter_context(torch.autocast(device, dtype=torch.bfloat16))
    if device == "cpu" and not has_bfloat16_units():
        stack.enter_context(EmulatedProducts())
    return stack


class EmulatedProducts(TorchFunctionMode):
    """A mode that computes linear maps and matrix products under autocast on the processor in
    float32, from factors rounded to bfloat16, and rounds the results.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        # Autocast leaves a product alone whose result has a place already.
        # A quantised factor has a product of its own, which autocast lowers inside.
        quantised = not all(is_plain(one) for one in args if isinstance(one, Tensor))
        if func not in _PRODUCTS or "out" in given or not _lowered(args[0]) or quantised:
            return func(*args, **given)
        with torch.autocast("cpu", enabled=False):
            wide = [_rounded(one) if isinstance(one, Tensor) else one for one in args]
            named = {
                key: _rounded(one) if isinstance(one, Tensor) else one for key, one in given.items()
            }
            return func(*wide, **named).to(torch.bfloat16)


_PRODUCTS = {
    torch.nn.functional.linear,
    torch.matmul,
    torch.mm,
    torch.bmm,
    torch.addmm,
    Tensor.matmul,
    Tensor.__matmul__,
    Tensor.mm,
    Tensor.bmm,
}


def _lowered(factor: Tensor) -> bool:
    """Return whether autocast would make a product with ``factor`` in bfloat16."""
    return (
        factor.device.type == "cpu"
        and factor.is_floating_point()
        and factor.dtype != torch.float64
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
    )


def _rounded(factor: Tensor) -> Tensor:
    """Return the factor as autocast rounds it, in float32; its gradient is rounded on the way
    back.
    """
    return factor.to(torch.bfloat16).float()
