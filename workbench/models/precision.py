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

from workbench.models.language_model import LanguageModel
from workbench.models.replaced import replaced_weights

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
def computing_in(precision: Precision, lm: LanguageModel) -> Iterator[None]:
    """Run forwards of ``lm`` inside the block in this precision."""
    if resolve_precision(precision, lm.device) == "float32":
        yield
        return
    with weights_in_bfloat16(lm), torch.autocast(lm.device.type, dtype=torch.bfloat16):
        yield


@contextmanager
def weights_in_bfloat16(lm: LanguageModel) -> Iterator[None]:
    """Hold the frozen matrices of linear layers in bfloat16 inside the block.

    Autocast casts a frozen float32 matrix anew at every use, which on a CPU can cost more than the product. Cast once, the
    products are the same to the bit. Matrices shared with the token embedding, and trainable ones, stay as they are.
    """
    embedding = lm.embedding().weight
    with replaced_weights() as put:
        for module in lm.base().modules():
            if not isinstance(module, torch.nn.Linear):
                continue
            weight = module.weight
            if weight is not embedding and not weight.requires_grad and weight.dtype == torch.float32:
                put(weight, weight.data.to(torch.bfloat16))
        yield
