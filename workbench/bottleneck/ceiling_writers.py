"""Attribute the ceiling's margin to the heads and MLPs that write at the number, in three ways.

The writers are every head and every MLP (the whole attention where a family's heads cannot be told
apart), each at the confidence position and at all further tokens a number is read from. The first
layer is left out: it mostly tells the layers above which token this is, and without it they read
none. What a writer adds is measured against a *reference*, a state it is given instead:

- ``other tokens``: its mean over ordinary tokens of other questions, at which no number is due.
  What it does only where a number is written is taken away, including what it does alike for every
  question. This is the reference for the ceiling.
- ``other questions``: its mean at the same token of other questions. What it does alike for all
  questions stays, so a constant ceiling is invisible to it: it shows who makes questions differ.

Three attributions, all positive where the writer raises the margin, in nats:

- ``direct``: own state minus reference, through the final norm alone, frozen. One forward.
- ``gradient``: the same difference through all parts above, to first order. One forward, one
  backward.
- ``ablation``: the margin minus the margin with the reference written, truly computed; packed, one
  branch a writer. A branch has the tokens a number is read from, and begins at its writer's layer.

The first two are first orders; the third counts what later parts make up for as not written. None
shows what two writers do together: for that, sets are ablated
(:mod:`workbench.bottleneck.ceiling_ablation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.arrays import Floats
from workbench.models import LanguageModel
from workbench.models.slices import slices_of
from workbench.patch.components import ComponentSet, states_at, whole_model
from workbench.patch.direct_gradients import direct_times_difference
from workbench.patch.direct_logit_attribution import adapter_start
from workbench.patch.gradients import gradient_times_difference
from workbench.patch.inputs import ModelInputs, Reading, batch_of, require_pair
from workbench.patch.metrics import Metric
from workbench.trace.backends import PACKED, Engine
from workbench.trace.batches import map_batches
from workbench.trace.edits import SiteKey
from workbench.trace.interventions import Branch, Patch
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE, TokenTree

DIRECT, GRADIENT, ABLATION = ATTRIBUTIONS = ("direct", "gradient", "ablation")
OTHER_TOKENS, OTHER_QUESTIONS = REFERENCES = ("other tokens", "other questions")


def writer_set(lm: LanguageModel) -> ComponentSet:
    """Return the components that write, of all layers but the first: heads and MLPs, or the
    attention as a whole where heads cannot be told apart.
    """
    found = whole_model(lm, ("head_out", "mlp_out"))
    if "head_out" not in found.components:
        found = whole_model(lm, ("attn_out", "mlp_out"))
    return ComponentSet(found.layers[1:] or found.layers, found.components)


def writers_of(lm: LanguageModel) -> tuple[Site, ...]:
    """Return every writer, the order of all that is attributed."""
    cut = writer_set(lm)
    return tuple(
        Site(layer, component, index)
        for component in cut.components
        for layer in cut.layers
        for index in _indices(lm, component)
    )


def _indices(lm: LanguageModel, component: str) -> Sequence[int | None]:
    slices = slices_of(lm, component)
    return [None] if slices is None else range(slices.count)


@dataclass(frozen=True, eq=False)
class Reference:
    """The states that writers are given instead of their own: by place of the pass [1 + nodes,
    width], or [1, width] for one state at all tokens; all heads of a layer together.
    """

    states: Mapping[SiteKey, Tensor]

    def of(self, lm: LanguageModel, site: Site, tokens: int) -> Tensor:
        """Return the states [tokens, width] of one writer (head size for a head)."""
        states = self.states[site.layer, site.component].expand(tokens, -1)
        slices = slices_of(lm, site.component)
        return states if slices is None else slices.split(states)[:, site.index]


def mean_at_number(inputs: ModelInputs, tree: TokenTree, tokens_per_forward: int) -> Reference:
    """Average every writer's states over rows, at each of the positions a number is read from.

    Args:
        inputs: questions that are neither attributed nor tested, at the positions of ``tree``
            (:func:`workbench.patch.written_confidence.number_positions`).
    """
    states = _recorded(inputs, tree, tokens_per_forward)
    return Reference({at: found.mean(dim=0).to(inputs.lm.dtype) for at, found in states.items()})


def mean_of_tokens(inputs: ModelInputs, tokens_per_forward: int) -> Reference:
    """Average every writer's states over rows and over all positions of ``inputs``, ordinary tokens
    of questions that are neither attributed nor tested.
    """
    states = _recorded(inputs, NO_TREE, tokens_per_forward)
    return Reference(
        {at: found.mean(dim=(0, 1))[None].to(inputs.lm.dtype) for at, found in states.items()}
    )


def _recorded(
    inputs: ModelInputs, tree: TokenTree, tokens_per_forward: int
) -> dict[SiteKey, Tensor]:
    """Return every writer's states [rows, positions, width], float64 on the CPU."""
    places = writer_set(inputs.lm).places()

    def compute(rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        batch = batch_of(inputs, torch.as_tensor(rows), tree)
        with inputs.within(), torch.no_grad():
            _, states = states_at(inputs.lm, batch, places)
        return tuple(states[at].double().cpu() for at in places)

    found = map_batches(inputs.lengths.tolist(), tokens_per_forward, compute, tree.size)
    return dict(zip(places, found, strict=True))


def ablation_branch(
    lm: LanguageModel, writers: Sequence[Site], reference: Reference, positions: Tensor
) -> Branch:
    """Return the branch in which all ``writers`` have their reference at ``positions`` [rows, 1 +
    nodes].
    """
    rows = len(positions)
    return tuple(
        Patch(site, positions[:, at], value.expand(rows, -1))
        for site in writers
        for at, value in enumerate(reference.of(lm, site, positions.shape[1]))
    )


def attribute_margin(
    inputs: ModelInputs,
    reference: Reference,
    metric: Metric,
    *,
    tokens_per_forward: int,
    engine: Engine = PACKED,
) -> dict[str, Floats]:
    """Attribute ``metric`` to every writer: by name of ATTRIBUTIONS, [rows, writers].

    Args:
        inputs: at the positions a number is read from
            (:func:`workbench.patch.written_confidence.number_positions`).

    Raises:
        WorkbenchError: for models whose padding cannot be masked, or that run in several processes.
    """
    require_pair(inputs, inputs, metric.tree.size)
    linear = first_orders(inputs, reference, metric, tokens_per_forward=tokens_per_forward)
    lm = inputs.lm
    branches = [ablation_branch(lm, [site], reference, inputs.positions) for site in writers_of(lm)]
    found = Reading(metric, tokens_per_forward, engine).values(inputs, branches)
    moved: Floats = (found.base[:, None] - found.patched).double().cpu().numpy()
    return {**linear, ABLATION: moved}


def first_orders(
    inputs: ModelInputs, reference: Reference, metric: Metric, *, tokens_per_forward: int
) -> dict[str, Floats]:
    """Return the direct and the gradient's attribution alone, [rows, writers], as
    :func:`attribute_margin` does.
    """
    lm, cut = inputs.lm, writer_set(inputs.lm)
    places = [(layer, component) for component in cut.components for layer in cut.layers]
    with inputs.within():
        start = adapter_start(lm, inputs)

    def joined(found: Mapping[SiteKey, Tensor]) -> Tensor:
        sums = [found[at].sum(dim=-1).reshape(len(found[at]), -1) for at in places]
        # Donor minus base is the reference minus the own state, an ablation: the sign turns.
        return -torch.cat(sums, dim=1).double()

    def compute(rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        batch = batch_of(inputs, torch.as_tensor(rows), metric.tree)
        donors = {
            at: state.to(lm.device).expand(len(rows), metric.tree.size + 1, -1)
            for at, state in reference.states.items()
        }
        with inputs.within():
            _, direct = direct_times_difference(lm, batch, cut, metric, donors, start)
            _, through = gradient_times_difference(lm, batch, cut, metric, donors)
        return joined(direct), joined(through)

    direct, gradient = map_batches(
        inputs.lengths.tolist(), tokens_per_forward, compute, metric.tree.size
    )
    return {DIRECT: direct.numpy(), GRADIENT: gradient.numpy()}


def forwards_of(inputs: ModelInputs, tree: TokenTree) -> dict[str, float]:
    """Return what every attribution costs a question, in forwards of its prompt: tokens times
    layers that they pass, backward passes counted twice.
    """
    lm, length = inputs.lm, float(inputs.lengths.double().mean())
    nodes = tree.size
    whole = (length + nodes) / length
    above = sum(1 - site.layer / lm.n_layers for site in writers_of(lm))
    return {
        DIRECT: whole,
        GRADIENT: 3 * whole,
        ABLATION: whole + above * (1 + nodes) / length,
    }
