"""Linearise how a scale's first tokens are read from the residual stream: matrices [tokens, width].

Each row is the mean over states of the gradient of one token's logit with respect to the state at
the confidence position, so that a row's product with a displacement is how the logit moves. Three
of them: after the final norm (the head's own rows), in front of it (the logit lens's, as if the
layers above a layer were not there), and through the layers above (the Jacobian's). At that
position only the first token of a number is read; where values share it, as 5 and 57 do on a
tokenizer of digits, what tells them apart is read one token later from another state, and is not in
these matrices.

:func:`high_minus_low` weighs the tokens so that the weighted sum of rows is the direction of high
numbers against low ones: each value counts through its first token. Gradients of several questions
can cancel in the mean; what a matrix shows is the part of the readout that questions share.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from transformers import Cache

from workbench import progress
from workbench.arrays import Floats
from workbench.elicit.trie import ScaleTrie
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.adapter_switch import adapter_off
from workbench.models.unembed import unembed_tokens
from workbench.trace.batches import plan_batches
from workbench.trace.checks import require_masks
from workbench.trace.edits import SiteKey
from workbench.trace.forward import run_joint
from workbench.trace.hooks import Transform, hooked
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.prompt_cache import CachedPrompts, PromptCache, forward_tail
from workbench.trace.suffix import forward_suffix, suffix_tail
from workbench.trace.token_tree import NO_TREE, end_columns


def first_tokens(trie: ScaleTrie) -> tuple[int, ...]:
    """Return the tokens that a number of the scale can begin with."""
    return trie.children[0]


def high_minus_low(trie: ScaleTrie) -> Floats:
    """Return the weight of each of :func:`first_tokens`: the share of the values above the middle
    of the scale that begin with it, less that of the values below.
    """
    tokens = first_tokens(trie)
    values = np.asarray(trie.values, dtype=np.float64)
    middle = (values[0] + values[-1]) / 2
    begins = np.array([tokens.index(steps[0][1]) for steps, _ in trie.ends])
    counts = [
        np.bincount(begins[side], minlength=len(tokens)) / side.sum()
        for side in (values > middle, values < middle)
    ]
    return counts[0] - counts[1]


def head_rows(lm: LanguageModel, final: Tensor, tokens: Sequence[int]) -> Floats:
    """Return the matrix [tokens, width] of the ``tokens``' logits at the states ``final`` [states,
    width] after the final norm.
    """
    return _mean_gradients(lm, final, lambda leaf: unembed_tokens(lm, leaf, tokens))


def lens_rows(lm: LanguageModel, states: Tensor, tokens: Sequence[int]) -> Floats:
    """Return the matrix [tokens, width] of the logits that a logit lens reads at ``states``
    [states, width].
    """
    norm = lm.final_norm()
    return _mean_gradients(lm, states, lambda leaf: unembed_tokens(lm, norm(leaf), tokens))


def _mean_gradients(lm: LanguageModel, states: Tensor, read: Callable[[Tensor], Tensor]) -> Floats:
    leaf = states.detach().to(lm.device, lm.dtype).requires_grad_()
    with torch.enable_grad():
        rows = [
            torch.autograd.grad(of_token.sum(), [leaf], retain_graph=True)[0].double().mean(dim=0)
            for of_token in read(leaf).unbind(dim=1)
        ]
    found: Floats = torch.stack(rows).cpu().numpy()
    return found


def jacobian_rows(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    tokens: Sequence[int],
    *,
    tokens_per_forward: int,
) -> Floats:
    """Return the matrix [layers, tokens, width] of the next-token logits at the prompts' ends with
    respect to the states there after every layer, through the layers above.

    Only the last token's pass is differentiated, on kept keys and values of what precedes it: a
    state at the end changes nothing else. So the cost is one forward over the prompts and, for each
    token, the backward of a pass of one column.

    Raises:
        WorkbenchError: for a model whose branches cannot be packed.
    """
    if not lm.architecture.packable:
        raise WorkbenchError(
            f"{lm.architecture.family} keeps no keys and values to go on from: "
            f"{lm.architecture.why_not}; leave the geometry out (geometry=False)"
        )
    require_masks(lm)
    total = torch.zeros((lm.n_layers, len(tokens), lm.width), dtype=torch.float64)
    batches = plan_batches([len(prompt) for prompt in prompts], tokens_per_forward)
    for batch in progress.track(batches, "differentiating number logits"):
        total += _summed(lm, [prompts[row] for row in batch], tokens)
    found: Floats = (total / len(prompts)).numpy()
    return found


def _summed(lm: LanguageModel, prompts: Sequence[Sequence[int]], tokens: Sequence[int]) -> Tensor:
    """Return the sum over prompts of their gradients, [layers, tokens, width], on the CPU."""
    kept, cache = _begun(lm, prompts)
    rest = pad_prompts([prompt[-1:] for prompt in prompts], lm.tokenizer.pad_token_id, lm.device)
    streams: list[Tensor] = []

    def follow(hidden: Tensor) -> Tensor:
        # A view, so that what goes on from a leaf is in the graph whatever the layer does with it.
        here = hidden if streams else hidden.detach().requires_grad_()
        streams.append(here)
        return here.view_as(here)

    places: dict[SiteKey, Transform] = {
        (layer, "resid_post"): follow for layer in range(lm.n_layers)
    }
    tail, ends = suffix_tail(kept, rest, NO_TREE), end_columns(rest, NO_TREE)
    with hooked(lm, places):
        final = forward_tail(lm, kept, tail, ends, (), cache=cache, gradients=True)
    with torch.enable_grad():
        found = [
            torch.autograd.grad(of_token.sum(), streams, retain_graph=True)
            for of_token in unembed_tokens(lm, final[:, 0], tokens).unbind(dim=1)
        ]
    return torch.stack(
        [
            torch.stack([each[layer][:, -1].double().sum(dim=0).cpu() for each in found])
            for layer in range(lm.n_layers)
        ]
    )


def _begun(lm: LanguageModel, prompts: Sequence[Sequence[int]]) -> tuple[CachedPrompts, Cache]:
    """Compute all of the prompts but their last tokens, and return what is kept of them: where an
    adapter acts on their ends, by the base model up to there and with the adapter from there on.
    """
    acted_on = lm.invocation_length or 1
    pad = lm.tokenizer.pad_token_id
    begun = pad_prompts([prompt[:-acted_on] for prompt in prompts], pad, lm.device)
    kept = CachedPrompts(begun, PromptCache(begun.columns), {}, 0)
    with nullcontext() if lm.invocation_length is None else adapter_off(lm):
        run_joint(lm, begun, empty_tail(begun), None, (), kept.cache)
    if acted_on == 1:
        return kept, kept.cache
    rest = forward_suffix(lm, kept, [prompt[-acted_on:-1] for prompt in prompts], NO_TREE)
    return replace(kept, prompts=rest.prompts), rest.cache
