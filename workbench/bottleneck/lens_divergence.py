"""Measure how far what a lens reads is from what the model says in the end.

The divergence is KL(model || lens) in nats between the distributions over the lens's tokens, at the
confidence position and the scale's inner nodes; each node counts as much as it is probable that the
model comes there. Sign: smaller is nearer; 0 for a lens that reads what the model says. It does not
show that a nearer lens reads more of what the model knows: a lens can only be near by saying, at an
early layer, what the model does not know yet.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.bottleneck.scale_lens import Lens, LensTokens, LogitLens
from workbench.models import LanguageModel


def own_log_probabilities(lm: LanguageModel, last: Tensor, chosen: LensTokens) -> Tensor:
    """Return the model's own log-probabilities [rows, inner nodes, tokens] in float64, from its
    states ``last`` [rows, inner nodes, width] after the last layer.
    """
    with torch.no_grad():
        own = LogitLens().logits(lm, lm.n_layers - 1, last.to(lm.dtype), chosen.tokens)
    return own.double().log_softmax(dim=-1)


def node_probability(own: Tensor, chosen: LensTokens) -> Tensor:
    """Return the probability [rows, inner nodes] that the model comes to each inner node, from its
    ``own`` log-probabilities [rows, inner nodes, tokens].
    """
    trie, column = chosen.trie, {token: n for n, token in enumerate(chosen.tokens)}
    found = [torch.ones_like(own[:, 0, 0])]
    for path, parent in zip(trie.inner[1:], trie.parent[1:], strict=True):
        found.append(found[parent] * own[:, parent, column[path[-1]]].exp())
    return torch.stack(found, dim=1)


def divergence(own: Tensor, logits: Tensor, weight: Tensor) -> Tensor:
    """Return KL(model || lens) in nats, a scalar: ``own`` log-probabilities and a lens's ``logits``
    [rows, inner nodes, tokens], nodes weighted by ``weight`` [rows, inner nodes].
    """
    apart = (own.exp() * (own - logits.double().log_softmax(dim=-1))).sum(dim=-1)
    return (weight * apart).sum() / weight.sum()


def divergence_by_layer(
    lm: LanguageModel, lens: Lens, states: Tensor, chosen: LensTokens
) -> Tensor:
    """Return a lens's divergence after every layer, [layers], on ``states`` [rows, layers, inner
    nodes, width] of questions that it was not fitted on.
    """
    own = own_log_probabilities(lm, states[:, -1], chosen)
    weight = node_probability(own, chosen)
    with torch.no_grad():
        return torch.stack(
            [
                divergence(
                    own,
                    lens.logits(lm, layer, states[:, layer].to(lm.dtype), chosen.tokens),
                    weight,
                )
                for layer in range(states.shape[1])
            ]
        ).float()
