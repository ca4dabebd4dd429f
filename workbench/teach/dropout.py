"""Dropout from 16-bit random integers, for adapters trained on processors without an accelerator.

torch draws one Bernoulli float per element on one thread; on LoRA's inputs that costs as much as a third of a training
step. Comparing 16-bit integers with a threshold gives the same distribution with the probability rounded to 1/65536.
The generator is seeded from torch's, so torch's saved random state still decides what a resumed run draws.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 65536


class IntegerDropout(nn.Module):
    """Inverted dropout; ``p`` is the probability that an element is zeroed."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        threshold = round(self.p * LEVELS)
        if not self.training or threshold == 0:
            return x
        seed = int(torch.randint(2**31 - 1, (), dtype=torch.int64))
        draws = np.frombuffer(np.random.Generator(np.random.SFC64(seed)).bytes(2 * x.numel()), dtype=np.uint16)
        keep = torch.from_numpy(draws >= threshold).reshape(x.shape)
        return x * (keep.to(x.dtype) * (LEVELS / (LEVELS - threshold)))


def use_integer_dropout(model: nn.Module) -> None:
    """Replace the dropout in every LoRA layer of ``model``, in place."""
    for module in model.modules():
        dropouts = getattr(module, "lora_dropout", None)
        if isinstance(dropouts, nn.ModuleDict):
            for name, dropout in dropouts.items():
                if isinstance(dropout, nn.Dropout):
                    dropouts[name] = IntegerDropout(dropout.p)
