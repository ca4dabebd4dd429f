"""Propose edges between heads and MLPs by their gradients, and verify the proposals by true path
patches.

The score of an edge is (what the sender's donor state changes in the stream) . (gradient of the
metric with respect to the stream as this receiver alone reads it): the first-order estimate of the
path effect of :mod:`workbench.patch.path_patching`, for all edges at once. Positive: the path
raises the metric. The receiver's gradient is that of the metric at its output at the receiver's
token, carried back through the receiver alone to the stream at the sender's token. So the cost is
two forwards and one backward, a part of a backward for each receiver, and the passes that tell what
sliced senders change; the truth would take a branch for each edge.

The largest edges are then patched truly, with as many random others, and compared: Spearman's rho
and the slope of effect on score through the origin (:mod:`workbench.patch.verification`). What a
score does not show is what a tangent cannot see: saturated softmax, norms that follow the change,
and parts that act together. Read proposals as a list of where to patch; their effects are the true
ones. And the largest are largest by score: the slope of the random ones is that of the map.

Source: Syed et al. 2023, arXiv 2310.10348 (edge attribution patching).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.models.slices import slices_of
from workbench.patch.inputs import ModelInputs, batch_of, require_pair
from workbench.patch.metrics import Metric
from workbench.patch.path_patching import (
    Edge,
    edge_effects,
    leads_to,
    read_at,
    require_edges,
    sender_changes,
)
from workbench.patch.verification import KINDS, Check, Kind, choose, compare
from workbench.trace.batches import map_batches
from workbench.trace.edits import SiteKey, gather_columns, place
from workbench.trace.forward import run_joint
from workbench.trace.hooks import Transform, hooked
from workbench.trace.sites import Site


@dataclass(frozen=True, eq=False)
class EdgeScores:
    """The unverified scores of edges: ``scores`` [rows, edges], on the CPU, and the metric of the
    base run, [rows].
    """

    edges: tuple[Edge, ...]
    base: Tensor
    scores: Tensor

    def largest(self, count: int) -> list[Edge]:
        """Return the edges of largest mean absolute score, the largest first."""
        order = self.scores.abs().mean(dim=0).argsort(descending=True)
        return [self.edges[index] for index in order[:count].tolist()]


@dataclass(frozen=True, eq=False)
class EdgeAgreement:
    """The scores and the true effects of some edges, [rows, edges] each."""

    kind: Kind
    edges: tuple[Edge, ...]
    scores: Floats
    effects: Floats
    rho: Estimate
    slope: Estimate

    def __str__(self) -> str:
        return (
            f"{len(self.edges)} {self.kind} edges: Spearman {self.rho:.2f}, slope {self.slope:.2f}"
        )


@dataclass(frozen=True, eq=False)
class EdgeProposals:
    """Scores of all edges, and what true patches of the largest and of random others say."""

    found: EdgeScores
    agreements: tuple[EdgeAgreement, ...]

    def table(self) -> pd.DataFrame:
        """Return one line per edge that was patched: sender, receiver, kind, mean ``score`` and
        mean true ``effect``.
        """
        return pd.DataFrame(
            [
                {
                    "sender": str(sender),
                    "receiver": str(receiver),
                    "kind": each.kind,
                    "score": float(each.scores[:, index].mean()),
                    "effect": float(each.effects[:, index].mean()),
                }
                for each in self.agreements
                for index, (sender, receiver) in enumerate(each.edges)
            ]
        )


def edges_between(
    base: ModelInputs, senders: Sequence[Site], receivers: Sequence[Site]
) -> list[Edge]:
    """Return the pairs of sender and receiver between which a direct path leads."""
    return [
        (sender, receiver)
        for sender in senders
        for receiver in receivers
        if leads_to(base.lm, sender, receiver)
    ]


def propose_edges(
    base: ModelInputs,
    donor: ModelInputs,
    senders: Sequence[Site],
    receivers: Sequence[Site],
    metric: Metric,
    *,
    tokens_per_forward: int,
    check: Check,
) -> EdgeProposals:
    """Score every edge from ``senders`` to ``receivers``, and patch the largest and random others
    truly.

    Args:
        base: the patched run; its positions are [rows, 2], the sender's and the receiver's token.
        donor: the run sender states come from, at its positions [rows, 1].
        tokens_per_forward: most tokens of a pass; the pass with gradients keeps the activations of
            that many.
        check: how many edges are patched truly, and the intervals.

    Raises:
        WorkbenchError: before any forward, for runs and positions that do not fit, and where no
            path leads from any sender to any receiver.
    """
    found = score_edges(
        base,
        donor,
        edges_between(base, senders, receivers),
        metric,
        tokens_per_forward=tokens_per_forward,
    )
    table = found.scores.double().numpy()
    agreements = []
    for kind, chosen in zip(KINDS, choose(table, check), strict=True):
        if not len(chosen):
            continue
        edges = tuple(found.edges[index] for index in chosen)
        true = edge_effects(base, donor, edges, metric, tokens_per_forward=tokens_per_forward)
        scores, effects = table[:, chosen], true.effects.double().numpy()
        rho, slope = compare(scores, effects, resamples=check.resamples, seed=check.seed)
        agreements.append(EdgeAgreement(kind, edges, scores, effects, rho, slope))
    return EdgeProposals(found, tuple(agreements))


def score_edges(
    base: ModelInputs,
    donor: ModelInputs,
    edges: Sequence[Edge],
    metric: Metric,
    *,
    tokens_per_forward: int,
) -> EdgeScores:
    """Return the scores of ``edges`` alone, unverified; arguments and errors are those of
    :func:`propose_edges`.
    """
    if not edges:
        raise WorkbenchError("No path leads from any of the senders to any of the receivers.")
    require_edges(base, donor, edges)
    require_pair(base.at(base.positions[:, :1]), donor, metric.tree.size)
    changes = sender_changes(base, donor, [sender for sender, _ in edges], tokens_per_forward)
    receivers = list(dict.fromkeys(receiver for _, receiver in edges))

    def compute(rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        some = torch.as_tensor(rows)
        with base.within():
            value, gradients = _receiver_gradients(base, some, receivers, metric)
        scores = [
            (_of(changes[sender], some, gradients[receiver]) * gradients[receiver]).sum(dim=-1)
            for sender, receiver in edges
        ]
        return value, torch.stack(scores, dim=1).cpu()

    lengths = base.lengths.tolist()
    value, scores = map_batches(lengths, tokens_per_forward, compute, metric.tree.size)
    return EdgeScores(tuple(edges), value, scores)


def _of(change: Tensor, rows: Tensor, like: Tensor) -> Tensor:
    return change[rows.to(change.device)].to(like)


def _receiver_gradients(
    base: ModelInputs, rows: Tensor, receivers: Sequence[Site], metric: Metric
) -> tuple[Tensor, dict[Site, Tensor]]:
    """Return the metric [rows], and for each receiver the gradient [rows, width] at the sender's
    token of the stream as it alone reads it for the receiver's token.
    """
    lm, batch = base.lm, batch_of(base, rows, metric.tree)
    sent, reached = (batch.columns[:, side, None] for side in (0, 1))
    streams = {receiver: read_at(lm, receiver) for receiver in receivers}
    start = place(min(site.layer for site in streams.values()), "resid_pre")
    places = {place(site.layer, site.component) for pair in streams.items() for site in pair}
    seen: dict[SiteKey, Tensor] = {}

    def keep(at: SiteKey) -> Transform:
        def transform(hidden: Tensor) -> Tensor:
            if at == start:
                leaf = hidden.detach().requires_grad_()
                hidden = leaf.view_as(leaf)
            seen[at] = hidden
            return hidden

        return transform

    with hooked(lm, {at: keep(at) for at in {start, *places}}):
        final = run_joint(lm, batch.prompts, batch.tail, None, (), None, gradients=True)
    outputs = list(dict.fromkeys(place(site.layer, site.component) for site in receivers))
    with torch.enable_grad():
        value = metric.of(lm, gather_columns(final, batch.ends))
        at_outputs = torch.autograd.grad(
            value.sum(), [seen[at] for at in outputs], retain_graph=True
        )
    found: dict[Site, Tensor] = {}
    for receiver in receivers:
        out = place(receiver.layer, receiver.component)
        gradient = at_outputs[outputs.index(out)]
        if streams[receiver] == receiver:
            found[receiver] = gather_columns(gradient, sent)[:, 0]
            continue
        stream = streams[receiver]
        (back,) = torch.autograd.grad(
            seen[out],
            [seen[place(stream.layer, stream.component)]],
            grad_outputs=_only(base, gradient, receiver, reached),
            retain_graph=True,
        )
        found[receiver] = gather_columns(back, sent)[:, 0]
    return value.detach().cpu(), found


def _only(base: ModelInputs, gradient: Tensor, receiver: Site, reached: Tensor) -> Tensor:
    """Return ``gradient`` with zeros but for the receiver's entries at its token."""
    kept = torch.zeros_like(gradient)
    rows = torch.arange(len(gradient), device=gradient.device)
    at = reached[:, 0].to(gradient.device)
    entries = slice(None)
    slices = slices_of(base.lm, receiver.component)
    if slices is not None and receiver.index is not None:
        first = slices.first(receiver.index)
        entries = slice(first, first + receiver.span * slices.size)
    kept[rows, at, entries] = gradient[rows, at, entries]
    return kept
