"""Read the distribution over a confidence scale from the residual stream after every layer.

A lens turns the state after a layer into logits, as if the layers above were not there. The *logit
lens* takes the state as it is: final norm, then head (nostalgebraist 2020). Other lenses map the
state first (:mod:`workbench.bottleneck.tuned_lens`) or replace what is above by its first-order
expansion (:mod:`workbench.bottleneck.jacobian_lens`). The scale's values are read as they are read
from the model: at the confidence position and at every inner node of the scale's trie, each with
its own state, recorded in one packed pass.

Only the tokens of the scale and a few *closing* tokens, those that most often follow a value, are
compared with each other: a layer in the middle, which has not decided on a number yet, is asked
which number it would write, and the vocabulary's other rows need not be multiplied. So a
distribution sums to 1 over the scale, and how much of the vocabulary the scale has is not shown. At
the last layer this differs from the model's own distribution only by the tokens left out.

What a lens does not show: that the model uses what it finds, or that what it does not find is not
there in another form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from workbench.arrays import Floats
from workbench.elicit.trie import ScaleTrie
from workbench.models import LanguageModel
from workbench.models.unembed import unembed_reduced, unembed_tokens
from workbench.trace.backends.kept_prefix import KeptPrefixBackend
from workbench.trace.forward import every_layer
from workbench.trace.prompt_cache import CachedPrompts
from workbench.trace.record import record

CLOSING = 4
ASKED = 16
"""Prompts from which closing tokens are chosen."""


@dataclass(frozen=True, eq=False)
class LensTokens:
    """The tokens that a lens compares: those of the scale's ``trie``, then the ``closing`` ones."""

    trie: ScaleTrie
    closing: tuple[int, ...]

    @property
    def tokens(self) -> tuple[int, ...]:
        return (*self.trie.tokens, *self.closing)

    def log_probabilities(self, logits: Tensor) -> Tensor:
        """Return the log-probability of every value, [..., values], from ``logits`` [..., inner
        nodes, tokens].
        """
        scores = logits.log_softmax(dim=-1)
        return self.trie.log_probabilities_of(scores[..., : len(self.trie.tokens)])


class Lens(Protocol):
    """A way of reading logits from the state after a layer."""

    def logits(
        self, lm: LanguageModel, layer: int, states: Tensor, tokens: Sequence[int]
    ) -> Tensor:
        """Return the logits [..., inner nodes, tokens] of ``states`` [..., inner nodes, width]
        after ``layer``.
        """
        ...


class LogitLens:
    """The lens that takes every state for the last layer's."""

    def logits(
        self, lm: LanguageModel, layer: int, states: Tensor, tokens: Sequence[int]
    ) -> Tensor:
        """Return the logits [..., tokens] of ``states`` [..., width] after any layer."""
        return unembed_tokens(lm, lm.final_norm()(states), tokens)


def node_states(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    trie: ScaleTrie,
    kept: CachedPrompts | None = None,
) -> Tensor:
    """Record the states after every layer at the prompts' ends and at the trie's inner nodes below
    them: [rows, layers, inner nodes, width].

    Args:
        kept: keys and values of the prompts' beginnings, where they have been computed before.
    """
    nodes = range(trie.tree.size + 1)
    places = [[len(prompt) - 1 + node for node in nodes] for prompt in prompts]
    if kept is not None:
        backend = KeptPrefixBackend(lm, kept)
        return backend.record(prompts, places, every_layer(lm), tree=trie.tree)
    return record(lm, prompts, places, every_layer(lm), tree=trie.tree)


def choose_tokens(lm: LanguageModel, last: Tensor, trie: ScaleTrie) -> LensTokens:
    """Choose the closing tokens: the most probable ones after the scale's inner nodes that do not
    continue a value, on average over the first prompts.

    Args:
        last: [rows, inner nodes, width] states after the last layer, as :func:`node_states` records
            them.
    """
    with torch.no_grad():
        final = lm.final_norm()(last[:ASKED].to(lm.device, lm.dtype))
        found = unembed_reduced(lm, final, lambda logits: logits.softmax(dim=-1))
    mean = found.mean(dim=(0, 1)).cpu()
    mean[list(trie.tokens)] = -1
    return LensTokens(trie, tuple(sorted(mean.topk(CLOSING).indices.tolist())))


def read_layers(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    chosen: LensTokens,
    lenses: Mapping[str, Lens],
    kept: CachedPrompts | None = None,
) -> dict[str, Floats]:
    """Return each lens's log-probabilities of the scale's values, [rows, layers, values], from one
    packed pass over all prompts, or over what follows their ``kept`` beginnings. The states are
    dropped afterwards.
    """
    states = node_states(lm, prompts, chosen.trie, kept).to(lm.dtype)

    def read(lens: Lens) -> Floats:
        with torch.no_grad():
            layers = [
                chosen.log_probabilities(
                    lens.logits(lm, layer, states[:, layer], chosen.tokens).double()
                )
                for layer in range(lm.n_layers)
            ]
        found: Floats = torch.stack(layers, dim=1).cpu().numpy()
        return found

    return {name: read(lens) for name, lens in lenses.items()}
