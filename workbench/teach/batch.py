"""Align the targets of a batch of training examples with the places at which its forward makes
logits, and compute their loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.teach.examples import Example

ALMOST_ONE = 1 - 1e-6


@dataclass(frozen=True, eq=False)
class Targets:
    """The targets of a batch: what should follow at every place.

    Attributes:
        alphabet: [tokens] every token targeted in the batch.
        probabilities: [rows, places, tokens].
        follows: [rows, places, tokens] bool, tokens targeted at the place.
        ends: [rows, places] probability that none of them follows.
        weights: [rows, places], 0 at padding nodes.
    """

    alphabet: Tensor
    probabilities: Tensor
    follows: Tensor
    ends: Tensor
    weights: Tensor

    def loss(self, logits: Tensor) -> Tensor:
        """Return the mean over rows of the weighted cross-entropies of ``logits`` [rows, places,
        vocab].
        """
        logits = logits.float()
        scores = logits[..., self.alphabet] - logits.logsumexp(dim=-1, keepdim=True)
        crossed = -(self.probabilities * scores).sum(dim=-1)
        inside = (scores.exp() * self.follows).sum(dim=-1).clamp(max=ALMOST_ONE)
        return (self.weights * (crossed - self.ends * torch.log1p(-inside))).sum() / len(logits)


def batch_targets(examples: Sequence[Example], device: torch.device) -> Targets:
    """Return the examples' targets, aligned with the places of
    :class:`~workbench.teach.batch_layout.Columns`.
    """
    alphabet = sorted(
        {token for example in examples for place in example.places for token in place.tokens}
    )
    column = {token: index for index, token in enumerate(alphabet)}
    places = max(len(example.places) for example in examples)
    probabilities = torch.zeros(len(examples), places, len(alphabet))
    follows = torch.zeros_like(probabilities, dtype=torch.bool)
    ends, weights = torch.zeros(len(examples), places), torch.zeros(len(examples), places)
    for row, example in enumerate(examples):
        for index, place in enumerate(example.places):
            columns = [column[token] for token in place.tokens]
            probabilities[row, index, columns] = torch.tensor(place.probabilities)
            follows[row, index, columns] = True
            ends[row, index], weights[row, index] = place.ends, place.weight
    parts = (torch.tensor(alphabet), probabilities, follows, ends, weights)
    return Targets(*(part.to(device) for part in parts))
