"""Differentiate logits at the confidence position and the scale's inner nodes with respect to the
same token's state after every layer.

Only the path through the token's own column counts: what a state does to later tokens, or earlier
tokens to this one, is left out, because a lens reads one state. So the keys and values of prompts
and nodes are computed once, without gradients. Then the nodes of one level (as many tokens below
the confidence position) are passed again on top of them, every node seeing its ancestors and
itself; one backward a token gives the gradients at all layers. The weights stay frozen;
differentiation starts at the first layer's output.

Cost for each batch: a pass over what is not kept of the prompts and, for each level, one forward
and one backward a token over the level's columns alone. So levels x (1 + tokens) passes over the
weights besides the first. Memory: the activations of a level's columns in all layers, and one
gradient [rows, nodes, width] a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.bottleneck.lens_divergence import node_probability
from workbench.bottleneck.scale_lens import LensTokens
from workbench.elicit.trie import ScaleTrie
from workbench.models import LanguageModel
from workbench.models.invocation import invoke_adapter_from
from workbench.models.unembed import unembed_tokens
from workbench.trace.decoder import decode
from workbench.trace.edits import Recording, SiteKey
from workbench.trace.forward import every_layer
from workbench.trace.hooks import Transform, hooked
from workbench.trace.layout import Tail, pad_prompts
from workbench.trace.masks import model_mask, tail_visibility
from workbench.trace.prefix_cache import ExtendableCache
from workbench.trace.prompt_cache import CachedPrompts, PromptCache, forward_tail
from workbench.trace.suffix import suffix_tail
from workbench.trace.token_tree import end_columns


def node_levels(trie: ScaleTrie) -> tuple[int, ...]:
    """Return how many tokens each inner node lies below the confidence position, [inner nodes]."""
    return (0, *trie.tree.depths())


@dataclass(frozen=True, eq=False)
class NodeSums:
    """Sums over questions and the nodes of a level, each node weighted by how probable it is that
    the model comes there. In float64 on the CPU.

    Attributes:
        gradient: [layers, levels, tokens, width] of the tokens' logits.
        state: [layers, levels, width].
        logit: [levels, tokens] the model's own.
        weight: [levels].
    """

    gradient: Tensor
    state: Tensor
    logit: Tensor
    weight: Tensor

    def __add__(self, other: NodeSums) -> NodeSums:
        return NodeSums(
            self.gradient + other.gradient,
            self.state + other.state,
            self.logit + other.logit,
            self.weight + other.weight,
        )


def node_sums(
    lm: LanguageModel, kept: CachedPrompts, rests: Sequence[Sequence[int]], chosen: LensTokens
) -> NodeSums:
    """Return the sums of one batch of prompts: those that ``kept`` begins and ``rests`` end."""
    trie, levels = chosen.trie, torch.tensor(node_levels(chosen.trie))
    rest = pad_prompts(rests, lm.tokenizer.pad_token_id, lm.device)
    tail, ends = suffix_tail(kept, rest, trie.tree), end_columns(rest, trie.tree)
    cache = ExtendableCache(kept)
    recording = Recording(ends, every_layer(lm), {})
    with torch.no_grad():
        final = forward_tail(lm, kept, tail, ends, (), recording=recording, cache=cache)
        logits = unembed_tokens(lm, final, chosen.tokens).double()
    states = recording.stacked(torch.device("cpu"))
    weight = node_probability(logits.log_softmax(dim=-1), chosen)
    computed = _Computed(kept, tail, _prompt_cache(cache, kept.prompts.columns + tail.size))
    parts = []
    for level in range(int(levels.max()) + 1):
        nodes = (levels == level).nonzero()[:, 0]
        share = weight[:, nodes.to(weight.device)]
        wide, on_cpu = states[:, :, nodes].double(), share.cpu()
        parts.append(
            (
                _gradients(lm, computed, ends[0, nodes.to(ends.device)], share, chosen.tokens),
                torch.einsum("rlnw,rn->lw", wide, on_cpu),
                (share[..., None] * logits[:, nodes.to(logits.device)]).sum(dim=(0, 1)).cpu(),
                on_cpu.sum(),
            )
        )
    gradient, state, logit, total = zip(*parts, strict=True)
    return NodeSums(
        torch.stack(gradient, dim=1),
        torch.stack(state, dim=1),
        torch.stack(logit),
        torch.stack(total),
    )


@dataclass(frozen=True, eq=False)
class _Computed:
    """Kept beginnings, the ``tail`` after them, and the keys and values of both."""

    kept: CachedPrompts
    tail: Tail
    cache: PromptCache


def _prompt_cache(cache: ExtendableCache, columns: int) -> PromptCache:
    """Return a cache that later passes read and leave as it is."""
    out = PromptCache(columns)
    for number, layer in enumerate(cache.layers):
        keys, values = layer.keys, layer.values
        assert keys is not None
        assert values is not None
        out.kept[number] = (keys, values)
    return out


def _gradients(
    lm: LanguageModel, computed: _Computed, columns: Tensor, share: Tensor, tokens: Sequence[int]
) -> Tensor:
    """Return the weighted sums of gradients, [layers, tokens, width], at some ``columns`` of the
    tail that do not see each other.
    """
    kept, tail = computed.kept, computed.tail
    own = kept.prompts.columns + columns
    see = tail_visibility(kept.prompts, tail)[:, columns]
    see[:, torch.arange(len(columns), device=see.device), own] = False
    itself = torch.eye(len(columns), dtype=torch.bool, device=see.device)
    see = torch.cat([see, itself.expand(len(see), -1, -1)], dim=2)
    positions = tail.positions[:, columns]
    keys = torch.cat([kept.prompts.positions, tail.positions, positions], dim=1)
    mask = model_mask(lm, see, positions, keys)
    passing: dict[int, Tensor] = {}

    def follow(layer: int) -> Transform:
        def transform(hidden: Tensor) -> Tensor:
            if layer == 0:
                hidden = hidden.detach().requires_grad_()
            passing[layer] = hidden
            return hidden

        return transform

    places: dict[SiteKey, Transform] = {
        (layer, "resid_post"): follow(layer) for layer in range(lm.n_layers)
    }
    with hooked(lm, places), invoke_adapter_from(lm, 0):
        final = decode(lm, tail.tokens[:, columns], positions, mask, computed.cache, gradients=True)
    states = [passing[layer] for layer in range(lm.n_layers)]
    out = torch.zeros((lm.n_layers, len(tokens), lm.width), dtype=torch.float64)
    with torch.enable_grad():
        weighted = (unembed_tokens(lm, final, tokens).double() * share[..., None]).sum(dim=(0, 1))
    for number in range(len(tokens)):
        found = torch.autograd.grad(weighted[number], states, retain_graph=number + 1 < len(tokens))
        out[:, number] = torch.stack([each.double().sum(dim=(0, 1)).cpu() for each in found])
    return out
