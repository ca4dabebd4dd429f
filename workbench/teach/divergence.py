"""How far a taught model has moved from the base model on the answers it gives.

Jensen-Shannon divergence between the next-token distributions of the model with and without its
adapter, in nats (at most log 2), averaged over the answer's tokens. As a penalty it keeps an
adapter on the whole conversation from changing what the model answers while it learns to judge it
(Kapoor et al. 2024, arXiv 2406.08391).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """Divergence [...] of two log-distributions [..., tokens], in nats."""
    middle = torch.logaddexp(first, second) - torch.log(torch.tensor(2.0))
    sides = ((one.exp() * (one - middle)).sum(dim=-1) for one in (first, second))
    return 0.5 * sum(sides, torch.zeros((), device=first.device))


@contextmanager
def without_adapter(model: nn.Module) -> Iterator[None]:
    """The base model's behaviour inside the block, without gradients and without dropout; for
    use within a training step.
    """
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    on = [layer for layer in layers if not layer.disable_adapters]
    training = model.training
    for layer in on:
        layer.enable_adapters(False)
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
        for layer in on:
            layer.enable_adapters(True)
