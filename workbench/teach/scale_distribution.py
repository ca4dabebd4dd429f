"""The exact distribution over the confidence scale as a differentiable function of the number
trie's logits.

log P(value) is the sum of the log-probabilities of its tokens, plus, where a longer value continues
it, the log of the probability that none of those tokens follows. Probabilities sum to the mass on
the scale; the rest, which no value has, is returned beside them as one more outcome, so that every
loss over the scale can say what it thinks of it.

The same numbers as :func:`workbench.elicit.trie.distribution`, which reads them in float64 and
needs no gradient.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.elicit.trie import ScaleTrie, child_log_probabilities, trie_tokens

SMALLEST_END = 1e-6


@dataclass(frozen=True, eq=False)
class ScalePaths:
    """Which tokens lead to which value.

    Attributes:
        trie: the trie of a format's numbers.
        steps: [values, inner nodes * trie tokens] 1 where the token at the node is on the value's
            path.
        follows: [inner nodes, trie tokens] 1 where the token continues the node within the scale.
        ends: [values, inner nodes] 1 where the value ends at a node that longer values continue.
    """

    trie: ScaleTrie
    steps: Tensor
    follows: Tensor
    ends: Tensor

    @property
    def nodes(self) -> int:
        """Inner nodes, the confidence position included."""
        return len(self.trie.inner)


def scale_paths(trie: ScaleTrie) -> ScalePaths:
    """The paths of every value of ``trie``."""
    tokens = trie_tokens(trie)
    column = {token: index for index, token in enumerate(tokens)}
    follows = torch.zeros(len(trie.inner), len(tokens))
    for node, children in enumerate(trie.children):
        follows[node, [column[token] for token in children]] = 1
    steps = torch.zeros(len(trie.values), len(trie.inner), len(tokens))
    ends = torch.zeros(len(trie.values), len(trie.inner))
    for value, (path, end) in enumerate(trie.ends):
        for node, token in path:
            steps[value, node, column[token]] = 1
        if end >= 0:
            ends[value, end] = 1
    return ScalePaths(trie, steps.flatten(1), follows, ends)


def scale_log_probabilities(paths: ScalePaths, logits: Tensor) -> Tensor:
    """Log-probability of every value and, last, of everything that is no value.

    Args:
        logits: [rows, inner nodes, vocab], node 0 at the confidence position.

    Returns:
        [rows, values + 1] float32.
    """
    scores = child_log_probabilities(paths.trie, logits)
    steps, follows, ends = (
        part.to(scores.device) for part in (paths.steps, paths.follows, paths.ends)
    )
    continued = (scores.exp() * follows).sum(dim=-1).clamp(max=1 - SMALLEST_END)
    values = scores.flatten(1) @ steps.T + torch.log1p(-continued) @ ends.T
    off = 1 - values.exp().sum(dim=-1, keepdim=True)
    return torch.cat([values, off.clamp(min=SMALLEST_END).log()], dim=-1)
