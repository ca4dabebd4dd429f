"""Measure what one part tells another directly, and propose the pairs worth measuring, for the same
prompts, donor, places and readout as a patch.

- :func:`path_effects`: what a sender's donor state changes by what a receiver alone computes from
  it (:mod:`workbench.patch.path_patching`).
- :func:`propose_edges`: the same, estimated from gradients for every pair at once; the largest and
  some random others are patched truly (:mod:`workbench.patch.edge_attribution`).

Positive: the path raises the readout. Paths through further parts are not in these numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from workbench.api.attribution import require_run, run_inputs
from workbench.api.donor_match import cuts_alike
from workbench.api.donors import ModelPrompts, open_donor
from workbench.api.positions import LAST, At, find_places
from workbench.api.prompt_runs import run_as_named
from workbench.api.prompts import Prompts, PromptTokens, encode_prompts
from workbench.api.readouts import Read, readout_of
from workbench.api.results import PatchMap, Readings
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch import edge_attribution as edges
from workbench.patch import path_patching as paths
from workbench.patch.edge_attribution import EdgeProposals
from workbench.patch.effect_map import Axis
from workbench.patch.inputs import ModelInputs
from workbench.patch.verification import Check
from workbench.settings.defaults import PATCHING_TOKENS_PER_FORWARD
from workbench.trace.sites import Site


def path_effects(
    lm: LanguageModel,
    prompts: Prompts,
    donor: Any,
    *,
    read: Read,
    senders: Sequence[Site],
    receivers: Sequence[Site],
    at: At = LAST,
    to: At = LAST,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
) -> PatchMap:
    """Measure what every sender, given its donor state at ``at``, tells every receiver at ``to``
    along the direct path.

    Raises:
        WorkbenchError: as :func:`workbench.api.patching.sweep`, and where no direct path leads from
            a sender to a receiver.
    """
    tokens = encode_prompts(lm, prompts)
    readout = readout_of(lm, read, tokens)
    with open_donor(lm, donor, tokens) as source:
        theirs = require_run(lm, source)
        base, other, names = _along(lm, tokens, theirs, at, to)
        found = paths.path_effects(
            base,
            other,
            senders,
            receivers,
            readout.metric(),
            tokens_per_forward=tokens_per_forward,
        )
    plain = found.base.double().numpy()
    axes = (
        Axis("sender", tuple(site_label(site) for site in senders)),
        Axis("receiver", tuple(site_label(site) for site in receivers)),
    )
    patched = plain[:, None, None] + found.effects.double().numpy()
    return PatchMap(
        readout.label,
        f"direct paths from {names[0]} to {names[1]}",
        (Readings("path", "effect", axes, plain, None, patched),),
    )


def propose_edges(
    lm: LanguageModel,
    prompts: Prompts,
    donor: Any,
    *,
    read: Read,
    senders: Sequence[Site],
    receivers: Sequence[Site],
    at: At = LAST,
    to: At = LAST,
    check: Check | None = None,
    tokens_per_forward: int = PATCHING_TOKENS_PER_FORWARD,
) -> EdgeProposals:
    """Estimate every direct path from ``senders`` at ``at`` to ``receivers`` at ``to`` from
    gradients, and patch the largest and random others truly.

    Args:
        read: one readout for all prompts.
        check: how many edges are patched truly, 8 largest and 8 random ones if not given.

    Raises:
        WorkbenchError: as :func:`path_effects`; pairs without a path are left out, and there has to
            be one.
    """
    tokens = encode_prompts(lm, prompts)
    readout = readout_of(lm, read, tokens)
    if len(readout.groups()) > 1:
        raise WorkbenchError("Edges are proposed for one readout; give the same read to every one.")
    with open_donor(lm, donor, tokens) as source:
        base, other, _ = _along(lm, tokens, require_run(lm, source), at, to)
        ((_, metric),) = readout.groups()
        return edges.propose_edges(
            base,
            other,
            senders,
            receivers,
            metric,
            tokens_per_forward=tokens_per_forward,
            check=check or Check(),
        )


def _along(
    lm: LanguageModel, tokens: PromptTokens, theirs: ModelPrompts, at: At, to: At
) -> tuple[ModelInputs, ModelInputs, tuple[str, str]]:
    """Return the runs of base and donor that paths from ``at`` to ``to`` are patched in, and what
    the two places are called.

    Raises:
        WorkbenchError: for more than one place on either side.
    """
    sent = find_places(at, tokens, theirs.prompts, cut_alike=cuts_alike(lm, theirs.prompts))
    received = find_places(to, tokens, None)
    if len(sent.labels) != 1 or len(received.labels) != 1:
        raise WorkbenchError("A path leads from one place to one: name one in at and in to.")
    both = torch.cat([sent.base, received.base], dim=1)
    base = ModelInputs(lm, tokens.rows, both, lambda: run_as_named(lm))
    return base, run_inputs(theirs, sent.donor), (sent.labels[0], received.labels[0])


def site_label(site: Site) -> str:
    """Return a site's label on an axis: ``5 mlp_out``, ``5 head 2``."""
    if site.index is None:
        return f"{site.layer} {site.component}"
    name = "head" if site.component == "head_out" else site.component
    last = f"–{site.index + site.span - 1}" if site.span > 1 else ""
    return f"{site.layer} {name} {site.index}{last}"
