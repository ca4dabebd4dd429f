"""Run path patching: measure what one part tells another directly.

The path effect of a sender on a receiver is the metric's change when the *receiver alone* is given
what it computes from a stream in which the sender alone has its donor state. Exactly, for a base
run x and a sender s with donor state s':

1. d = what the layer adds to the residual stream with s' in place of s, minus what it adds in x
   (through the output projection and a family's norm for a head or neuron; s' - s for whole
   components and the stream).
2. The receiver reads x's own stream plus d at the sender's token, everything between being held at
   its value in x; its output r' at the receiver's token is computed anew, for attention with query,
   key and value of that stream. A receiver that is the residual stream becomes x's own plus d.
3. r' replaces r in x, and everything after the receiver is computed anew.

Effect = metric after step 3 minus metric of x; positive: the path raises the metric. Holding *all*
attention and MLPs between is the single edge of Goldowsky-Dill et al. 2023 (arXiv 2304.05969); Wang
et al. 2022 (arXiv 2211.00593) let MLPs between be computed anew and count them as part of the path.
With the stream after the last layer as receiver it is the direct effect on the output.

What it does not show: paths through further parts, which may carry more; and effects of paths do
not add up where parts interact. Steps 2 and 3 are packed: a pass for each receiving layer holds
every sender, and all pairs share the passes of a sweep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason
from workbench.models.slices import PROJECTIONS
from workbench.patch.inputs import ModelInputs, Reading, recorded, require_run
from workbench.patch.metrics import Metric
from workbench.patch.recorded_branches import record_branches
from workbench.trace.checks import require_site, require_within_invocation, site_width
from workbench.trace.interventions import Branch, Patch
from workbench.trace.sites import Component, Site

Edge = tuple[Site, Site]
"""A sender and a receiver."""


@dataclass(frozen=True, eq=False)
class PathEffects:
    """The metric's values and changes: ``base`` [rows] and ``effects`` [rows, senders, receivers],
    or [rows, edges], on the CPU.
    """

    base: Tensor
    effects: Tensor


def path_effects(
    base: ModelInputs,
    donor: ModelInputs,
    senders: Sequence[Site],
    receivers: Sequence[Site],
    metric: Metric,
    *,
    tokens_per_forward: int,
) -> PathEffects:
    """Return the effect of every sender on every receiver.

    Args:
        base: the patched run; its positions are [rows, 2], the sender's and the receiver's token.
        donor: the run sender states come from, at its positions [rows, 1].
        tokens_per_forward: most tokens of a pass.

    Raises:
        WorkbenchError: before any forward, where no direct path leads from a sender to a receiver.
    """
    edges = [(sender, receiver) for sender in senders for receiver in receivers]
    found = edge_effects(base, donor, edges, metric, tokens_per_forward=tokens_per_forward)
    effects = found.effects.unflatten(1, (len(senders), len(receivers)))
    return PathEffects(found.base, effects)


def edge_effects(
    base: ModelInputs,
    donor: ModelInputs,
    edges: Sequence[Edge],
    metric: Metric,
    *,
    tokens_per_forward: int,
) -> PathEffects:
    """Return the effects [rows, edges] of some senders on some receivers, pair by pair; the other
    arguments and errors are those of :func:`path_effects`.
    """
    require_edges(base, donor, edges)
    changes = sender_changes(base, donor, [sender for sender, _ in edges], tokens_per_forward)
    branches = _branches(base, edges, changes, tokens_per_forward)
    out = Reading(metric, tokens_per_forward).values(base, branches)
    return PathEffects(out.base.cpu(), (out.patched - out.base[:, None]).cpu())


def written_at(lm: LanguageModel, site: Site) -> int:
    """Return the point of the stream from which a sender's state is in it: 2 l before layer l, 2 l
    + 1 between its parts.
    """
    if site.component == "resid_pre":
        return 2 * site.layer
    parts = ("attn_out", "head_out", "resid_mid")
    early = site.component in parts and not missing_component_reason(lm, "resid_mid")
    return 2 * site.layer + (1 if early else 2)


def read_at(lm: LanguageModel, site: Site) -> Site:
    """Return the stream a receiver reads, as a site."""
    if site.component in ("attn_out", "head_out", *PROJECTIONS):
        return Site(site.layer, "resid_pre")
    if site.component in ("mlp_in", "mlp_out", "neuron"):
        return Site(
            site.layer, "resid_pre" if missing_component_reason(lm, "resid_mid") else "resid_mid"
        )
    return site


def leads_to(lm: LanguageModel, sender: Site, receiver: Site) -> bool:
    """Return whether a sender's state is in the stream that a receiver reads."""
    return written_at(lm, sender) <= written_at(lm, read_at(lm, receiver))


def sender_changes(
    base: ModelInputs, donor: ModelInputs, senders: Sequence[Site], tokens_per_forward: int
) -> dict[Site, Tensor]:
    """Return, for each sender, the change [rows, width] that its donor state makes to the
    stream.
    """
    of_base = base.at(base.positions[:, :1])
    at = base.positions[:, 0]
    deltas: dict[Site, Tensor] = {}
    whole = [site for site in senders if site.index is None]
    if whole:
        theirs, own = (
            recorded(run, whole, [0], tokens_per_forward)[:, :, 0] for run in (donor, of_base)
        )
        difference = theirs.to(own.device) - own
        deltas |= {site: difference[:, index] for index, site in enumerate(whole)}
    groups: dict[tuple[int, Component, int], list[Site]] = {}
    for site in dict.fromkeys(senders):
        if site.index is not None:
            groups.setdefault((site.layer, site.component, site.span), []).append(site)
    for (layer, component, _), slices in groups.items():
        added = [Site(layer, "mlp_out" if component == "neuron" else "attn_out")]
        states = recorded(donor, slices, [0], tokens_per_forward)[:, :, 0]
        patches = [Patch(site, at, states[:, index]) for index, site in enumerate(slices)]
        changed = record_branches(base, patches, at, added, tokens_per_forward=tokens_per_forward)[
            :, :, 0
        ]
        plain = recorded(of_base, added, [0], tokens_per_forward)[:, :, 0]
        deltas |= {site: changed[:, index] - plain[:, 0] for index, site in enumerate(slices)}
    return deltas


def _branches(
    base: ModelInputs,
    edges: Sequence[Edge],
    deltas: dict[Site, Tensor],
    tokens_per_forward: int,
) -> list[Branch]:
    """Return one branch for each edge, in their order."""
    sent, reached = base.positions.unbind(dim=1)
    values: dict[Edge, Patch] = {}
    groups: dict[tuple[Site, int], list[Edge]] = {}
    for sender, receiver in dict.fromkeys(edges):
        stream = read_at(base.lm, receiver)
        if stream == receiver:
            values[sender, receiver] = Patch(receiver, sent, deltas[sender], "add")
        else:
            width = site_width(base.lm, receiver)
            groups.setdefault((stream, width), []).append((sender, receiver))
    for (stream, _), members in groups.items():
        senders = list(dict.fromkeys(sender for sender, _ in members))
        group = list(dict.fromkeys(receiver for _, receiver in members))
        patches = [Patch(stream, sent, deltas[sender], "add") for sender in senders]
        states = record_branches(
            base, patches, reached, group, tokens_per_forward=tokens_per_forward
        )
        values |= {
            (sender, receiver): Patch(receiver, reached, states[:, i, j])
            for i, sender in enumerate(senders)
            for j, receiver in enumerate(group)
        }
    return [(values[edge],) for edge in edges]


def require_edges(base: ModelInputs, donor: ModelInputs, edges: Sequence[Edge]) -> None:
    """Refuse runs, and senders and receivers between which no direct path leads.

    Raises:
        WorkbenchError: for any that do not fit.
    """
    for run, width in ((base, 2), (donor, 1)):
        require_run(run, 0)
        if run.positions.shape[1] != width:
            raise WorkbenchError(
                "A path needs base positions [rows, 2], sender's and receiver's token, and donor "
                "positions [rows, 1]."
            )
    if len(base.prompts) != len(donor.prompts) or base.lm.width != donor.lm.width:
        raise WorkbenchError("Donor and base need as many prompts, in models of the same width.")
    if not edges:
        raise WorkbenchError("Name at least one sender and one receiver.")
    for site in dict.fromkeys(site for edge in edges for site in edge):
        require_site(base.lm, site)
    for sender in dict.fromkeys(sender for sender, _ in edges):
        if sender.component in (*PROJECTIONS, "mlp_in"):
            into = "mlp_out" if sender.component == "mlp_in" else "head_out"
            raise WorkbenchError(
                f"{sender} adds nothing to the stream itself; name the {into} it goes into as "
                "sender."
            )
    sent, reached = base.positions.unbind(dim=1)
    if bool((sent > reached).any()):
        raise WorkbenchError("A receiver's token cannot come before its sender's.")
    with base.within():
        require_within_invocation(base.lm, base.positions.cpu(), base.lengths)
    for sender, receiver in edges:
        attention = receiver.component in ("attn_out", "head_out")
        if not attention and not torch.equal(sent, reached):
            raise WorkbenchError(
                f"{receiver} reads its own token alone; only attention receives from another token."
            )
        if not leads_to(base.lm, sender, receiver):
            raise WorkbenchError(
                f"No path leads from {sender} to {receiver}: it is read before it is written."
            )
