"""Set the precision in which a model computes: a property of the model, not of the place that calls
it.

``bfloat16`` computes matrix products in bfloat16 under autocast while the residual stream stays in
the model's own dtype: about twice the speed on processors that have bfloat16 units, at the price of
readouts that move by a few tenths of a per cent. ``auto`` takes it where the hardware has such
units. Every result says which one it used. Without units the products are emulated
(:mod:`workbench.models.bfloat16_products`), so that what another machine gives can be measured.

A model is set to its precision once, when it is loaded. From then on every pass is made in that
precision. The model, its decoder and its head enter autocast themselves, so a generation, a
trainer's step, a divergence from the base model or another library's hook cannot use another one.
What is not the model (a loss, a probe, another network) is computed as its code says.
:func:`model_arithmetic` is for code that calls one of a model's inner modules by itself.

The passes inside :func:`in_float32` are deliberately made in float32, whatever the model's
precision: comparisons of two ways to compute one number, whose difference would drown in the
kernels' rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache, wraps
from typing import Any, Literal

import torch
from torch import Tensor, nn

from workbench.compat import has_bfloat16_units, trim_heap
from workbench.errors import WorkbenchError
from workbench.models.bfloat16_products import bfloat16_arithmetic
from workbench.models.language_model import LanguageModel
from workbench.models.plain_weights import is_plain
from workbench.models.tied_head import can_keep_cast, forget_cast, forward_with_cast

Precision = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")
MARK = "compute_dtype"
"""Name of the attribute on a layer whose matrix was rounded. PEFT reads it: an adapter gets this
dtype, and not that of the matrix it acts on.
"""


def resolve_precision(precision: Precision, device: torch.device) -> Literal["float32", "bfloat16"]:
    """Return the precision that a setting means on this device; only ``auto`` depends on it.

    Raises:
        WorkbenchError: for an unknown precision.
    """
    if precision not in PRECISIONS:
        raise WorkbenchError(f"unknown precision {precision!r}: use one of {', '.join(PRECISIONS)}")
    if precision != "auto":
        return precision
    if device.type == "cpu":
        return "bfloat16" if has_bfloat16_units() else "float32"
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return "bfloat16"
    return "float32"


def set_precision(lm: LanguageModel, precision: Precision) -> None:
    """Let ``lm`` compute in this precision from now on.

    For bfloat16 the frozen matrices of linear layers become bfloat16, one after the other, and stay
    so. Autocast would cast them anew at every use, and keeping the casts as well would take half of
    their memory once more. The products are the same to the bit. Matrices shared with the token
    embedding, trainable and quantised ones stay as they are; the cast of a head's is kept
    (:mod:`workbench.models.tied_head`). Back in float32 the matrices keep the values they were
    rounded to.
    """
    wanted = resolve_precision(precision, lm.device)
    if wanted == lm.precision:
        return
    if wanted == "bfloat16":
        _round([module for module in _linear(lm) if _castable(module.weight, lm)])
        _leave_the_file(lm)
        trim_heap()
        _enter(_entrances(lm), lm)
    else:
        _widen(_rounded(lm))
        _leave(_entered(lm))


@contextmanager
def in_float32(lm: LanguageModel) -> Iterator[None]:
    """Compute passes of ``lm`` in float32 inside the block, whatever its precision.

    The matrices of a bfloat16 model take float32's memory there. Their values and dtype are
    restored afterwards.
    """
    rounded, entered = _rounded(lm), _entered(lm)
    trim_heap()  # what earlier passes freed fits few of the wider matrices
    _widen(rounded)
    _leave(entered)
    try:
        yield
    finally:
        _round(rounded)
        trim_heap()
        _enter(entered, lm)


def model_arithmetic(lm: LanguageModel) -> AbstractContextManager[Any]:
    """Return a context with the arithmetic of the model's passes, for a block that calls one of its
    inner modules by itself.
    """
    if lm.precision == "float32":
        return nullcontext()
    return bfloat16_arithmetic(lm.device.type)


def _linear(lm: LanguageModel) -> list[Any]:
    return [
        module
        for module in lm.base().modules()
        if isinstance(module, nn.Linear) and is_plain(getattr(module, "weight", None))
    ]


def _castable(weight: Tensor, lm: LanguageModel) -> bool:
    frozen = not weight.requires_grad and weight is not lm.embedding().weight
    return frozen and weight.dtype == torch.float32 and weight.device.type != "meta"


def _entrances(lm: LanguageModel) -> list[nn.Module]:
    """Return the modules through which a pass begins; all others are called by one of them."""
    return list(dict.fromkeys([lm.base(), lm.decoder(), lm.head()]))


def _rounded(lm: LanguageModel) -> list[Any]:
    return [module for module in _linear(lm) if MARK in vars(module)]


def _entered(lm: LanguageModel) -> list[nn.Module]:
    return [module for module in lm.base().modules() if "computes_in" in vars(type(module))]


def _round(modules: Sequence[Any]) -> None:
    for module in modules:
        module.weight.data = module.weight.data.to(torch.bfloat16)
        setattr(module, MARK, torch.float32)


def _widen(modules: Sequence[Any]) -> None:
    for module in modules:
        module.weight.data = module.weight.data.float()
        delattr(module, MARK)


def _leave_the_file(lm: LanguageModel) -> None:
    """Copy the weights that were not rounded. A loaded model's weights are views of its file, and
    the whole file stays in memory as long as one view does.
    """
    for tensor in filter(is_plain, (*lm.base().parameters(), *lm.base().buffers())):
        if tensor.device.type == "cpu" and tensor.dtype != torch.bfloat16:
            tensor.data = tensor.data.clone()


def _enter(modules: Sequence[nn.Module], lm: LanguageModel) -> None:
    for module in modules:
        tied = can_keep_cast(module, lm.embedding())
        # mypy takes the hash of a module for that of its class.
        module.__class__ = _in_bfloat16(type(module), lm.device.type, tied)  # type: ignore[arg-type]


def _leave(modules: Sequence[nn.Module]) -> None:
    for module in modules:
        module.__class__ = type(module).__bases__[0]
        forget_cast(module)


@cache
def _in_bfloat16(kind: type[nn.Module], device: str, keeps_cast: bool) -> type[nn.Module]:
    """Return the class ``kind``, under its own name, whose passes are made in bfloat16; with
    ``keeps_cast`` by the kept cast of its weight.

    Both ways to call a module are covered: some libraries call ``forward``, others replace it on
    the module.
    """

    def __call__(self: nn.Module, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        with bfloat16_arithmetic(device):
            return kind.__call__(self, *args, **kwargs)

    @wraps(kind.forward)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with bfloat16_arithmetic(device):
            if keeps_cast:
                return forward_with_cast(self, *args, **kwargs)
            return kind.forward(self, *args, **kwargs)

    own = {"__call__": __call__, "forward": forward, "computes_in": "bfloat16"}
    return type(
        kind.__name__,
        (kind,),
        {**own, "__module__": kind.__module__, "__qualname__": kind.__qualname__},
    )
