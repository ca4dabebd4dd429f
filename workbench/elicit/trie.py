"""The number trie: a confidence scale's exact distribution from one packed forward.

A scale's values are numbers, decimals, words or letters; "number" stands for all of them. Every
value is tokenised as the model would write it behind the confidence prefix, as part of the whole
string, so merged spaces, single-token numbers and digit-by-digit tokenisers all come out right.
Tokens common to all values belong to the prompt; what differs forms a trie. Its inner nodes are
scored as packed branches. Along a path probabilities multiply, and a value ends with probability 1
- (mass of the tokens that would continue it to a longer value of the scale), so no list of endings
is needed and the sum over values is the mass the model puts on the scale.

What the numbers do not show: a value that no longer one of the scale begins with counts as ended
whatever follows it ("57" in "57.5" or "573", "very certain" in "very certainly"). A value written
in other tokens than its tokenizer would use, with other capitals, or merged into one token with the
punctuation behind it, is not counted. Tokens common to all values are given, so the mass does not
say whether the model would have written them. The text the model generates is parsed for itself and
may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.trace.token_tree import TokenTree


@dataclass(frozen=True)
class ScaleTrie:
    """Tokens that continue the confidence position, as a trie.

    Attributes:
        values: [n] the scale's values, in order.
        inner: token paths whose next-token distribution must be known; ``inner[0]`` is the empty
            path.
        parent: for each inner node, index of its parent in ``inner`` (-1 for the root).
        children: for each inner node, the token ids that continue it within the scale.
        ends: for each value, (steps, inner node where it ends or -1): steps are (inner node, token)
            pairs.
    """

    values: tuple[float, ...]
    inner: tuple[tuple[int, ...], ...]
    parent: tuple[int, ...]
    children: tuple[tuple[int, ...], ...]
    ends: tuple[tuple[tuple[tuple[int, int], ...], int], ...]

    @property
    def scored_tokens(self) -> tuple[int, ...]:
        """Last tokens of the inner nodes below the root: the packed tail's tokens."""
        return tuple(path[-1] for path in self.inner[1:])

    @property
    def tree(self) -> TokenTree:
        """The inner nodes below the root, as what the trace room scores behind a prompt."""
        return TokenTree(self.scored_tokens, tuple(parent - 1 for parent in self.parent[1:]))


def build_trie(paths: Sequence[Sequence[int]], values: Sequence[float]) -> ScaleTrie:
    """Trie of one token path per value; paths must be distinct and non-empty."""
    keys = [tuple(int(t) for t in path) for path in paths]
    if len(keys) != len(values) or len(set(keys)) != len(keys) or any(not key for key in keys):
        raise WorkbenchError(
            "Every value of a confidence scale needs its own token path; two values share one."
        )
    prefixes = sorted(
        {key[:depth] for key in keys for depth in range(len(key))}, key=lambda p: (len(p), p)
    )
    index = {prefix: node for node, prefix in enumerate(prefixes)}
    children: list[set[int]] = [set() for _ in prefixes]
    for key in keys:
        for depth, token in enumerate(key):
            children[index[key[:depth]]].add(token)
    ends = tuple(
        (tuple((index[key[:depth]], token) for depth, token in enumerate(key)), index.get(key, -1))
        for key in keys
    )
    return ScaleTrie(
        values=tuple(values),
        inner=tuple(prefixes),
        parent=tuple(index[p[:-1]] if p else -1 for p in prefixes),
        children=tuple(tuple(sorted(c)) for c in children),
        ends=ends,
    )


def child_log_probabilities(trie: ScaleTrie, logits: Tensor) -> Tensor:
    """Log-probabilities of all tokens that occur in the trie at every inner node.

    Args:
        logits: [..., inner nodes, vocab].

    Returns:
        [..., inner nodes, len(trie_tokens(trie))] float32.
    """
    tokens = torch.as_tensor(trie_tokens(trie), device=logits.device)
    logits = logits.float()
    return logits[..., tokens] - logits.logsumexp(dim=-1, keepdim=True)


def trie_tokens(trie: ScaleTrie) -> tuple[int, ...]:
    """All token ids on the trie's edges, sorted."""
    return tuple(sorted({token for children in trie.children for token in children}))


def distribution(trie: ScaleTrie, log_probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probability of every value; sums to the mass on the scale.

    Args:
        log_probabilities: [..., inner nodes, trie tokens] from :func:`child_log_probabilities`.

    Returns:
        [..., values] float64.
    """
    column = {token: i for i, token in enumerate(trie_tokens(trie))}
    table = np.exp(np.asarray(log_probabilities, dtype=np.float64))
    continued = np.stack(
        [
            table[..., node, [column[t] for t in children]].sum(axis=-1)
            for node, children in enumerate(trie.children)
        ],
        axis=-1,
    )
    out = np.empty((*table.shape[:-2], len(trie.values)), dtype=np.float64)
    for i, (steps, end) in enumerate(trie.ends):
        probability = np.ones(table.shape[:-2], dtype=np.float64)
        for node, token in steps:
            probability = probability * table[..., node, column[token]]
        if end >= 0:
            probability = probability * np.clip(1.0 - continued[..., end], 0.0, 1.0)
        out[..., i] = probability
    return out
