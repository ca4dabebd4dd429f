"""Measure how far a trained model has moved from the base model on the answers it gives.

Jensen-Shannon divergence between the next-token distributions of the model with and without its
adapter, in nats (at most log 2), averaged over the answer's tokens. As a penalty it keeps an
adapter on the whole conversation from changing what the model answers while it learns to judge it
(Kapoor et al. 2024, arXiv 2406.08391).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """Return the divergence [...] of two log-distributions [..., tokens], in nats."""
    middle = torch.logaddexp(first, second) - torch.log(torch.tensor(2.0))
    sides = ((one.exp() * (one - middle)).sum(dim=-1) for one in (first, second))
    return 0.5 * sum(sides, torch.zeros((), device=first.device))


@contextmanager
def without_adapter(lm: LanguageModel) -> Iterator[None]:
    """Let ``lm`` behave as its base model inside the block, without gradients and without dropout;
    for use within a training step.
    """
    base = lm.base()
    training = base.training
    with adapter_off(lm):
        base.eval()
        try:
            with torch.no_grad():
                yield
        finally:
            base.train(training)
