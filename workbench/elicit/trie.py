"""Build the number trie, which gives a confidence scale's exact distribution from one packed
forward.

A scale's values are numbers, decimals, words or letters; "number" means all of them. Every
value is tokenised as the model would write it after the confidence prefix, as part of the whole
string, so merged spaces, single-token numbers and digit-by-digit tokenisers all come out right.
Tokens common to all values belong to the prompt; what differs forms a trie. Its inner nodes are
scored as packed branches. Along a path probabilities multiply, and a value ends with probability 1
- (mass of the tokens that would continue it to a longer value of the scale), so no list of endings
is needed and the sum over values is the mass the model puts on the scale.

The read of the scale is one differentiable function, :meth:`ScaleTrie.log_probabilities`. Engines
take it in two steps, because the first needs one row of logits at a time and the second all inner
nodes together; a loss, a metric and a table of readings then hold the same numbers. It computes in
the precision it is given: float32 in training, float64 for what is written down.

What the numbers do not show: a value with which no longer value of the scale begins counts as ended
whatever follows it ("57" in "57.5" or "573", "very certain" in "very certainly"). A value written
in other tokens than its tokenizer would use, with other capitals, or merged into one token with the
punctuation after it, is not counted. Tokens common to all values are given, so the mass does not
say whether the model would have written them. The text the model generates is parsed separately and
may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from workbench.errors import WorkbenchError
from workbench.trace.interventions import Readout
from workbench.trace.token_tree import TokenTree

LEAST_LEFT = float(torch.finfo(torch.float32).eps)
"""The smallest probability of a remainder, where the probabilities of others that share a node or
the scale are subtracted from one.

They come out of a float32 softmax, so a remainder below its rounding is unknown. Set to that
rounding, it has a logarithm, and its gradient is finite.
"""


@dataclass(frozen=True)
class ScaleTrie:
    """The tokens that continue the confidence position, as a trie.

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
        """The last tokens of the inner nodes below the root: the packed tail's tokens."""
        return tuple(path[-1] for path in self.inner[1:])

    @property
    def tree(self) -> TokenTree:
        """The inner nodes below the root, as what :mod:`workbench.trace` scores after a prompt."""
        return TokenTree(self.scored_tokens, tuple(parent - 1 for parent in self.parent[1:]))

    @cached_property
    def tokens(self) -> tuple[int, ...]:
        """All token ids on the trie's edges, sorted."""
        return tuple(sorted({token for children in self.children for token in children}))

    @property
    def readout(self) -> Readout:
        """The readout of log-probabilities of the trie's tokens: logits [..., vocab] -> [...,
        tokens] float32.

        The first step of :meth:`log_probabilities`, for engines that hold logits node by node; it
        needs torch alone, so that it can be sent to a server.
        """
        tokens = list(self.tokens)
        return lambda logits: (
            logits[..., tokens].float() - logits.float().logsumexp(dim=-1, keepdim=True)
        )

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Return the log-probability of every value, differentiable in the logits.

        Args:
            logits: [..., inner nodes, vocab], node 0 at the confidence position.

        Returns:
            [..., values] float32; their probabilities sum to the mass on the scale.
        """
        return self.log_probabilities_of(self.readout(logits))

    def log_probabilities_and_rest(self, logits: Tensor) -> Tensor:
        """Return :meth:`log_probabilities` and, last, that of everything that is no value: [...,
        values + 1]. So a loss over the scale can also weigh the rest.
        """
        values = self.log_probabilities(logits)
        rest = 1 - values.exp().sum(dim=-1, keepdim=True)
        return torch.cat([values, rest.clamp(min=LEAST_LEFT).log()], dim=-1)

    def log_probabilities_of(self, scores: Tensor) -> Tensor:
        """Return the second step of :meth:`log_probabilities`, in the precision of ``scores``.

        Args:
            scores: [..., inner nodes, tokens] what :attr:`readout` returns for the logits.

        Returns:
            [..., values].
        """
        steps, follows, ends = (part.to(scores.device) for part in self._paths)
        nothing = scores.new_zeros(*scores.shape[:-2], 1)
        reached = torch.cat([scores.flatten(-2), nothing], dim=-1)[..., steps].sum(dim=-1)
        continued = (scores.exp() * follows.to(scores.dtype)).sum(dim=-1)
        ended = torch.log1p(-continued.clamp(max=1 - LEAST_LEFT))
        return reached + torch.cat([ended, nothing], dim=-1)[..., ends]

    def distribution(self, scores: Tensor) -> NDArray[np.float64]:
        """Return the probability of every value, [..., values] in float64, from what
        :attr:`readout` returns.
        """
        wide = self.log_probabilities_of(scores.detach().double().cpu())
        return np.asarray(wide.exp().numpy(), dtype=np.float64)

    def greedy_values(self, scores: Tensor, best: Tensor) -> NDArray[np.float64]:
        """Return the value greedy decoding writes, NaN where it writes none: [...].

        From the confidence position it follows the most probable tokens of the whole vocabulary, as
        far as they continue a value of the scale.

        Args:
            scores: [..., inner nodes, tokens] what :attr:`readout` returns for the logits.
            best: [..., inner nodes] log-probability of the vocabulary's most probable token.
        """
        steps, follows, ends = self._paths
        within = scores.detach().cpu().masked_fill(~follows, -torch.inf)
        goes_on = within.amax(dim=-1) >= best.detach().cpu()
        taken = one_hot(within.argmax(dim=-1), len(self.tokens)).bool() & goes_on[..., None]
        always, never = (torch.full((*goes_on.shape[:-1], 1), said) for said in (True, False))
        reached = torch.cat([taken.flatten(-2), always], dim=-1)[..., steps].all(dim=-1)
        written = reached & ~torch.cat([goes_on, never], dim=-1)[..., ends]
        values = np.asarray(self.values, dtype=np.float64)[written.int().argmax(dim=-1).numpy()]
        return np.where(written.any(dim=-1).numpy(), values, np.nan)

    @cached_property
    def _paths(self) -> tuple[Tensor, Tensor, Tensor]:
        """The path that leads to each value, as indices.

        ``steps`` [values, longest] into inner nodes times tokens, filled up with the index after
        the last; ``follows`` [inner nodes, tokens] whether the token continues the node; ``ends``
        [values] the inner node a value ends at, or the index after the last.
        """
        column = {token: index for index, token in enumerate(self.tokens)}
        size = len(self.inner) * len(column)
        longest = max(len(steps) for steps, _ in self.ends)
        steps = torch.full((len(self.values), longest), size)
        follows = torch.zeros((len(self.inner), len(column)), dtype=torch.bool)
        for value, (path, _) in enumerate(self.ends):
            for depth, (node, token) in enumerate(path):
                steps[value, depth] = node * len(column) + column[token]
        for node, children in enumerate(self.children):
            follows[node, [column[token] for token in children]] = True
        ends = torch.tensor([end if end >= 0 else len(self.inner) for _, end in self.ends])
        return steps, follows, ends


def build_trie(paths: Sequence[Sequence[int]], values: Sequence[float]) -> ScaleTrie:
    """Build the trie of one token path per value; paths must be distinct and non-empty.

    Raises:
        WorkbenchError: if two values share a path.
    """
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


def cut_trie(trie: ScaleTrie, values: Iterable[float]) -> ScaleTrie:
    """Cut a trie down to the inner nodes that ``values`` need, for a read that costs fewer tokens.

    Every value that can be read from those nodes stays, with the log-probability it had.
    """
    wanted = [trie.ends[trie.values.index(value)] for value in values]
    needed = sorted({0, *(node for end in wanted for node in _nodes(end))})
    place = {node: at for at, node in enumerate(needed)}
    left = [at for at, end in enumerate(trie.ends) if _nodes(end) <= {*needed}]
    return ScaleTrie(
        values=tuple(trie.values[at] for at in left),
        inner=tuple(trie.inner[node] for node in needed),
        parent=tuple(place.get(trie.parent[node], -1) for node in needed),
        children=tuple(trie.children[node] for node in needed),
        ends=tuple(
            (tuple((place[node], token) for node, token in steps), place.get(end, -1))
            for steps, end in (trie.ends[at] for at in left)
        ),
    )


def _nodes(end: tuple[tuple[tuple[int, int], ...], int]) -> set[int]:
    """Return the inner nodes that a value is read from."""
    steps, last = end
    return {node for node, _ in steps} | ({last} if last >= 0 else set())
