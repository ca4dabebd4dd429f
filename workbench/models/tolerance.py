"""Say how far two computations of one number by a model may differ.

Plain weights, and quantised ones that are widened before a product, give the same numbers up to the
rounding of the dtype that products are made in. Methods that round the states that enter a layer
can turn such a difference into one step of their grid, whatever the dtype, so they get the
tolerance of bfloat16, whose steps are of that size. How far quantised weights are from the plain
ones plays no part: both computations use the same.
"""

from __future__ import annotations

import torch

from workbench.models.language_model import LanguageModel
from workbench.models.quantisation import method_of

DTYPE_TOLERANCE = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Relative to the largest value: the readout is recomputed outside the model, where kernels may
round otherwise.
"""
ROUNDED_ACTIVATIONS = DTYPE_TOLERANCE[torch.bfloat16]


def tolerance_of(lm: LanguageModel) -> float:
    """Return the largest difference, relative to the largest value, that rounding explains."""
    plain = DTYPE_TOLERANCE.get(lm.dtype, 1e-4)
    method = method_of(lm)
    if method is None:
        return plain
    rounds = method.rounds_activations or any(
        # torchao keeps on a weight how the states that meet it are rounded.
        getattr(weight, "act_quant_kwargs", None) is not None
        for weight in lm.base().parameters()
    )
    computed = getattr(lm.base().config.quantization_config, "bnb_4bit_compute_dtype", lm.dtype)
    coarsest = max(plain, DTYPE_TOLERANCE.get(computed, 1e-4))
    return max(coarsest, ROUNDED_ACTIVATIONS) if rounds else coarsest
