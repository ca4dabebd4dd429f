"""In which precision forwards compute.

``bfloat16`` runs matrix products in bfloat16 under autocast while weights and the residual stream stay in the model's
own dtype: about twice the speed on processors that have bfloat16 units, at the price of readouts that move by a few
tenths of a per cent. ``auto`` takes it where the hardware has such units. Every result says which one it used.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def resolve_precision(precision: Precision, device: torch.device) -> Literal["float32", "bfloat16"]:
    """The precision ``auto`` stands for on this device."""
    if precision != "auto":
        return precision
    if device.type == "cpu":
        units = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
        return "bfloat16" if units else "float32"
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return "bfloat16"
    return "float32"


@contextmanager
def computing_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """Run forwards inside the block in this precision."""
    enabled = resolve_precision(precision, device) == "bfloat16"
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled):
        yield
