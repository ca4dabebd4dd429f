"""Maps of activation patching: layers, layers by positions, by heads, by components, and windows of
layers.

Each takes donors in the layout in which :func:`workbench.trace.record` returns states of the same
sites and positions, and gives ``base`` [rows, ...] and ``patched`` [rows, *axes, ...] readouts;
every cell is a branch of the packed engine. ``engine`` may be
:func:`workbench.trace.loop_branches`, the reference, or another backend with the same arguments.

Which run is patched is the caller's choice of model state: with one model and an adapter, record
donors with the adapter on and patch inside ``adapter_off`` (base <- tuned), or the other way round
(tuned <- base).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.patch.branches import (
    head_sites,
    layer_sites,
    position_branches,
    site_branches,
    window_branches,
)
from workbench.trace.backends import PACKED, Engine
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.sites import Component, Site
from workbench.trace.token_tree import NO_TREE, TokenTree

Prompts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Reading:
    """How the end of a branch is read, and at what cost.

    Attributes:
        readout: next-token logits [n, vocab] -> [n, ...].
        tokens_per_forward: most tokens of a forward.
        tree: further tokens to read behind the prompt.
    """

    readout: Readout
    tokens_per_forward: int
    tree: TokenTree = NO_TREE
    engine: Engine = PACKED

    def run(
        self, lm: LanguageModel, prompts: Prompts, branches: Sequence[Branch], *axes: int
    ) -> Patched:
        """Readouts of ``branches``, whose axis is unfolded to ``axes``."""
        out = self.engine(lm).patch(
            prompts,
            branches,
            self.readout,
            tokens_per_forward=self.tokens_per_forward,
            tree=self.tree,
        )
        return Patched(out.base, out.patched.unflatten(1, axes))


def layer_sweep(
    lm: LanguageModel,
    prompts: Prompts,
    positions: Tensor,
    layers: Sequence[int],
    donors: Tensor,
    reading: Reading,
    component: Component = "resid_post",
) -> Patched:
    """One component of each layer at each row's token ``positions`` [rows]; donors [rows,
    layers, width].
    """
    return reading.run(
        lm, prompts, site_branches(layer_sites(layers, component), positions, donors), len(layers)
    )


def position_map(
    lm: LanguageModel,
    prompts: Prompts,
    positions: Tensor,
    layers: Sequence[int],
    donors: Tensor,
    reading: Reading,
    component: Component = "resid_post",
) -> Patched:
    """Each layer at each of ``positions`` [rows, n]; donors [rows, layers, n, width]; patched
    [rows, layers, n, ...].
    """
    branches = position_branches(layer_sites(layers, component), positions, donors)
    return reading.run(lm, prompts, branches, len(layers), positions.shape[1])


def head_map(
    lm: LanguageModel,
    prompts: Prompts,
    positions: Tensor,
    layers: Sequence[int],
    heads: Sequence[int],
    donors: Tensor,
    reading: Reading,
) -> Patched:
    """Single heads at ``positions`` [rows]; donors [rows, layers * heads, head size] in the order
    of :func:`workbench.patch.branches.head_sites`; patched [rows, layers, heads, ...].
    """
    branches = site_branches(head_sites(layers, heads), positions, donors)
    return reading.run(lm, prompts, branches, len(layers), len(heads))


def component_sites(layers: Sequence[int], components: Sequence[Component]) -> list[Site]:
    """Every component of every layer, all layers of the first component first."""
    return [site for component in components for site in layer_sites(layers, component)]


def component_map(
    lm: LanguageModel,
    prompts: Prompts,
    positions: Tensor,
    layers: Sequence[int],
    components: Sequence[Component],
    donors: Tensor,
    reading: Reading,
) -> Patched:
    """Components of each layer at ``positions`` [rows]; donors [rows, components * layers, width]
    in the order of :func:`component_sites`; patched [rows, components, layers, ...].
    """
    branches = site_branches(component_sites(layers, components), positions, donors)
    return reading.run(lm, prompts, branches, len(components), len(layers))


def window_sweep(
    lm: LanguageModel,
    prompts: Prompts,
    positions: Tensor,
    layers: Sequence[int],
    size: int,
    donors: Tensor,
    reading: Reading,
    component: Component = "resid_post",
) -> Patched:
    """Runs of ``size`` neighbouring ``layers`` patched together; donors [rows, layers, width];
    patched [rows, windows, ...].
    """
    branches = window_branches(layer_sites(layers, component), size, positions, donors)
    return reading.run(lm, prompts, branches, len(branches))


def spans(starts: Sequence[int], ends: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Token positions from ``starts`` to ``ends`` (included) of each row, aligned at their ends.

    Returns:
        Positions [rows, longest] and which of them lie in their row's own span, bool; a place
        before a shorter span repeats
        its first position, so that a map over it is defined and can be left out of means.
    """
    first, last = torch.as_tensor(list(starts)), torch.as_tensor(list(ends))
    if first.shape != last.shape or bool((first < 0).any()) or bool((last < first).any()):
        raise WorkbenchError("Every span needs a start and an end at or behind it, counted from 0.")
    back = torch.arange(int((last - first).max()), -1, -1)
    positions = last[:, None] - back
    return positions.clamp(min=first[:, None]), positions >= first[:, None]


def token_logits(tokens: Sequence[int]) -> Readout:
    """The logits of chosen tokens: [n, vocab] -> [n, tokens] float32."""
    return lambda logits: logits[:, list(tokens)].float()


def token_log_probabilities(tokens: Sequence[int]) -> Readout:
    """Their log-probabilities among the whole vocabulary: [n, vocab] -> [n, tokens] float32."""
    return lambda logits: (
        logits[:, list(tokens)].float() - logits.float().logsumexp(dim=-1, keepdim=True)
    )


def logit_difference(first: int, second: int) -> Readout:
    """Logit of token ``first`` minus that of ``second``: [n, vocab] -> [n] float32."""
    return lambda logits: (logits[:, first] - logits[:, second]).float()
