"""Run layer sweeps of activation patching on the confidence readout.

For every layer the residual stream after it, at one token, is replaced by a donor's state, and the
exact confidence distribution is read. Where a number takes several tokens, only the first is chosen
at the confidence position. Donors may therefore bring the states of the number's further tokens too
(the trie's nodes). Then all places the number is read from are patched, and a patch after the last
layer gives exactly the donor's distribution. The packed engine does all layers in one forward; the
loop runs one hooked forward a layer and is the reference the packed result is tested against. All
engines return the same numbers to rounding.

With a ``subspace`` only the projection onto it is swapped, such as that on a probe's direction,
and the rest of each state stays.

A sweep says what a state *can* do where it is put. It does not say that the model reads the
information from there in an unpatched run. Read it together with the reverse sweep and the
controls.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.elicit.trie import ScaleTrie
from workbench.models import LanguageModel
from workbench.patch.branches import layer_sites, site_branches
from workbench.trace.backends import PACKED, Engine
from workbench.trace.checks import require_positions
from workbench.trace.interventions import Branch
from workbench.trace.sites import Component
from workbench.trace.subspace import subspaces_by_layer

Prompts = Sequence[Sequence[int]]
ONE_BATCH = sys.maxsize
"""No bound on a forward: the caller has cut the rows into batches that fit."""


@dataclass(frozen=True)
class SweepReading:
    """The distributions of a sweep over the scale.

    Attributes:
        base: [rows, values] unpatched.
        patched: [rows, branches, values].
    """

    base: NDArray[np.float64]
    patched: NDArray[np.float64]


def read_scale(
    engine: Engine,
    lm: LanguageModel,
    prompts: Prompts,
    trie: ScaleTrie,
    branches: Sequence[Branch],
    tokens_per_forward: int,
) -> SweepReading:
    """Read the trie's distribution at the end of every branch."""
    patched = engine(lm).patch(
        prompts, branches, trie.readout, tokens_per_forward=tokens_per_forward, tree=trie.tree
    )
    base, inner = (
        t if trie.tree.size else t[..., None, :] for t in (patched.base, patched.patched)
    )
    return SweepReading(trie.distribution(base), trie.distribution(inner))


def layer_sweep_of_scale(
    lm: LanguageModel,
    prompts: Prompts,
    trie: ScaleTrie,
    positions: Sequence[int],
    layers: Sequence[int],
    donors: Tensor,
    *,
    tokens_per_forward: int,
    component: Component = "resid_post",
    engine: Engine = PACKED,
    subspace: Any = None,
) -> SweepReading:
    """Patch each prompt at its position in every one of ``layers`` and read the scale.

    Args:
        prompts: token ids up to the confidence position.
        positions: token index patched in each prompt, 0 at its first token.
        donors: [rows, len(layers), width], or [rows, len(layers), 1 + nodes, width] to patch the
            whole number (see :func:`record_number`).
        tokens_per_forward: most tokens of a forward; ONE_BATCH packs all layers into one.
        engine: what runs the branches (:func:`workbench.trace.backends.engine`).
        subspace: by layer, what alone of the states is swapped: a mapping from layers to subspaces
            or bases, or one for each of ``layers`` in their order, [layers, width, r] or directions
            [layers, width]. Whole states, if not given.

    Raises:
        WorkbenchError: before any forward, for positions, layers, donors or subspaces that do not
            fit.
    """
    branches = _branches(prompts, trie, positions, layers, donors, component, subspace)
    return read_scale(engine, lm, prompts, trie, branches, tokens_per_forward)


def record_number(
    lm: LanguageModel,
    prompts: Prompts,
    trie: ScaleTrie,
    positions: Sequence[Sequence[int]],
    engine: Engine = PACKED,
) -> Tensor:
    """Record the states at each prompt's ``positions``, then at the trie's packed nodes: [rows,
    layers, positions + nodes, width].
    """
    nodes = range(trie.tree.size)
    every = [
        [*row, *(len(prompt) + k for k in nodes)]
        for prompt, row in zip(prompts, positions, strict=True)
    ]
    sites = layer_sites(range(lm.n_layers))
    return engine(lm).record(prompts, every, sites, tree=trie.tree)


def _branches(
    prompts: Prompts,
    trie: ScaleTrie,
    positions: Sequence[int],
    layers: Sequence[int],
    donors: Tensor,
    component: Component,
    subspace: Any,
) -> list[Branch]:
    lengths, at = (
        torch.as_tensor([len(prompt) for prompt in prompts]),
        torch.as_tensor(list(positions)),
    )
    require_positions(at[:, None], lengths, nodes=0)
    nodes = None
    if donors.dim() == 4 and donors.shape[2] > 1:
        nodes = lengths[:, None] + torch.arange(trie.tree.size)
    spans = None if subspace is None else subspaces_by_layer(subspace, layers)
    return site_branches(layer_sites(layers, component), at, donors, nodes=nodes, subspaces=spans)
