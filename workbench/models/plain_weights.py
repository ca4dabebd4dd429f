"""Tell plain weights from quantised ones, module by module.

Libraries hold quantised weights in many ways: whole numbers in a plain tensor, a tensor class of
their own that looks like a floating-point one, a module class of their own. Plain are the
floating-point tensors of torch's own classes, split over processes or not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

_PLAIN = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def is_plain(weight: Any) -> bool:
    """Return whether a module's weight is held as floating-point numbers, each by itself."""
    own = type(weight).__module__.partition(".")[0] == "torch"
    return own and isinstance(weight, Tensor) and weight.dtype in _PLAIN


def is_linear(module: nn.Module) -> bool:
    """Return whether a module is a linear map, plain or quantised, that an adapter can act on."""
    if isinstance(module, nn.Linear | Conv1D):
        return True
    # The layers of GPTQ, AWQ and HQQ are classes of their own, which have these sizes in common.
    return all(isinstance(getattr(module, name, None), int) for name in _SIZES)


_SIZES = ("in_features", "out_features")
