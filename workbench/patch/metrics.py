"""Define the metrics of a patch: one differentiable number per row.

A metric reduces the next-token logits at the prompt's end, and at the nodes of a tree, in two
steps. ``readout`` works logit row by logit row, so that the logits of many rows are never in memory
together; ``value`` makes one number of what it returns. The same two steps serve a gradient and a
packed sweep of true patches, so both speak of the same number.

:func:`expected_confidence_of` is the mean of the exact distribution over the confidence scale, in
shares of certainty, normalised to the mass on the scale; :func:`high_log_odds_of` compares its
upper half with its lower one. :func:`contrast` is a difference of logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from workbench.elicit.trie import ScaleTrie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.trace.interventions import Readout
from workbench.trace.token_tree import NO_TREE, TokenTree

CHUNK_ROWS = 64


def _as_it_is(reduced: Tensor) -> Tensor:
    return reduced


@dataclass(frozen=True)
class Metric:
    """A number per row, differentiable in the logits.

    Attributes:
        readout: next-token logits [n, vocab] -> [n, ...].
        value: [rows, 1 + nodes, ...] -> [rows], or [rows, ...] -> [rows] where nothing is read
            after the prompt.
        tree: further tokens read after the prompt.
    """

    readout: Readout
    value: Callable[[Tensor], Tensor] = _as_it_is
    tree: TokenTree = NO_TREE

    def of(self, lm: LanguageModel, final: Tensor) -> Tensor:
        """Return the metric [rows] of the states ``final`` [rows, 1 + nodes, width] after the final
        norm. Logits are computed again for the gradient.
        """

        def reduce(states: Tensor) -> Tensor:
            return self.readout(unembed(lm, states))

        flat = final.flatten(0, 1)
        if final.requires_grad:
            parts = [
                checkpoint(reduce, chunk, use_reentrant=False) for chunk in flat.split(CHUNK_ROWS)
            ]
        else:
            parts = [reduce(chunk) for chunk in flat.split(CHUNK_ROWS)]
        reduced = torch.cat(parts).unflatten(0, final.shape[:2])
        return self.of_reduced(reduced if self.tree.size else reduced[:, 0])

    def of_reduced(self, reduced: Tensor) -> Tensor:
        """Return the metric [rows] of what the readout returned, checked.

        Raises:
            WorkbenchError: if ``value`` does not give one number per row.
        """
        value = self.value(reduced)
        if value.shape != reduced.shape[:1] or not value.is_floating_point():
            raise WorkbenchError(
                f"A metric gives one number per row, [{len(reduced)}]; this one gave "
                f"{list(value.shape)}."
            )
        return value


def expected_confidence_of(trie: ScaleTrie, certain: float) -> Metric:
    """Return the expected confidence of a number scale whose value ``certain`` states certainty."""

    def value(scores: Tensor) -> Tensor:
        nodes = scores if trie.tree.size else scores[:, None]
        shares = trie.log_probabilities_of(nodes.double()).softmax(dim=-1)
        return (
            shares @ torch.tensor(trie.values, dtype=shares.dtype, device=shares.device) / certain
        )

    return Metric(trie.readout, value, trie.tree)


def high_log_odds_of(trie: ScaleTrie) -> Metric:
    """Return the log-odds, in nats, of a number in the upper half of the scale's range against one
    in the lower half. Unlike the expected confidence it has a slope where the top value has nearly
    all of the probability.

    Raises:
        WorkbenchError: for a scale of one value.
    """
    values = torch.tensor(trie.values, dtype=torch.float64)
    high = values >= (values.min() + values.max()) / 2
    if bool(high.all()):
        raise WorkbenchError("A scale of one value has no high and low numbers to compare.")

    def value(scores: Tensor) -> Tensor:
        nodes = scores if trie.tree.size else scores[:, None]
        found = trie.log_probabilities_of(nodes.double())
        upper = high.to(found.device)
        return found[:, upper].logsumexp(dim=-1) - found[:, ~upper].logsumexp(dim=-1)

    return Metric(trie.readout, value, trie.tree)


def contrast(chosen: Sequence[int], others: Sequence[int]) -> Metric:
    """Return the mean logit of the tokens ``chosen`` minus the mean logit of ``others`` at the
    prompt's end.

    Raises:
        WorkbenchError: if either side is empty.
    """
    if not chosen or not others:
        raise WorkbenchError("A contrast needs at least one token on either side.")
    ups, downs = list(chosen), list(others)
    return Metric(
        lambda logits: logits[:, ups].float().mean(dim=-1) - logits[:, downs].float().mean(dim=-1)
    )
