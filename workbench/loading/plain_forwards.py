"""Run two short prompts in plain forwards of the untouched model, unpatched and patched in every
layer.

Unpadded, without a mask or positions of ours; a hook on each layer writes the states, and the rows
of a forward are all the same prompt, one for each branch. These are the numbers that every other
way of running branches must give.

A branch writes in two layers, half the layers apart, so that there are half as many rows as layers.
In one prompt the lower of them writes at the last token, in the other the upper: no write at a last
token hides another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.models import LanguageModel, hidden_of, with_hidden
from workbench.trace.decoder import takes
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site

LENGTHS = (5, 7)
READ = 256


@dataclass(frozen=True, eq=False)
class Plain:
    """What plain forwards gave.

    Attributes:
        read: [prompts, 1 + branches, read entries] logits, unpatched first.
        states: [layers, tokens, width] the residual stream at the longer prompt's last tokens.
    """

    read: Tensor
    states: Tensor


def prompts_of(lm: LanguageModel) -> list[list[int]]:
    """Return two prompts of unequal length, of tokens the model embeds."""
    rows = min(lm.embedding().weight.shape[0], int(lm.config.vocab_size))
    generator = torch.Generator().manual_seed(0)
    low = min(100, rows // 4)
    return [torch.randint(low, rows, (n,), generator=generator).tolist() for n in LENGTHS]


def _layer_pairs(lm: LanguageModel) -> list[tuple[int, ...]]:
    """Return the layers that each branch writes in, every layer once, half the layers apart."""
    half = -(-lm.n_layers // 2)
    return [tuple(range(layer, lm.n_layers, half)) for layer in range(half)]


def branches_of(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], states: Tensor
) -> list[list[Patch]]:
    """Return branches that write ``states`` of other tokens, shifted so that they are nothing the
    model made, in two layers each.
    """
    places = torch.tensor([_places(len(prompt), lower=row) for row, prompt in enumerate(prompts)])
    values = states[:, (places + 2) % states.shape[1]].roll(1, -1)
    return [
        [
            Patch(Site(layer), places[:, upper, n], values[layer, :, upper, n])
            for upper, layer in enumerate(pair)
            for n in range(places.shape[-1])
        ]
        for pair in _layer_pairs(lm)
    ]


def run_plain(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], branches: Sequence[Sequence[Patch]]
) -> Plain:
    """Run every prompt, unpatched and in every branch, in plain forwards."""
    entries = min(READ, int(lm.config.vocab_size))
    found = [_patched_rows(lm, prompt, branches, row) for row, prompt in enumerate(prompts)]
    read = torch.stack([logits[:, :entries] for logits, _ in found])
    return Plain(read, found[-1][1][:, -min(LENGTHS) :])


def _places(length: int, lower: int) -> list[list[int]]:
    """Return three tokens for the lower and three for the upper layer of a branch; the last token
    is the upper one's in prompt 0 and the ``lower`` one's in prompt 1. None is the first token, as
    copies of all tokens would keep their distances if positions were counted by columns.
    """
    middle = length // 2
    with_last, without = [1, middle, length - 1], [middle - 1, middle, length - 2]
    return [with_last, without] if lower else [without, with_last]


def _patched_rows(
    lm: LanguageModel, prompt: Sequence[int], branches: Sequence[Sequence[Patch]], row: int
) -> tuple[Tensor, Tensor]:
    """Return the last logits [1 + branches, vocab] of a batch of one prompt, the ``row``-th one,
    unpatched and in every branch, and the unpatched states after every layer [layers, tokens,
    width].
    """
    seen: list[Tensor] = []
    ids = torch.tensor([list(prompt)], device=lm.device).expand(1 + len(branches), -1)

    def write(layer: int) -> object:
        def hook(_module: object, _args: object, output: object) -> object:
            hidden = hidden_of(output, lm.architecture.streams).clone()
            seen.append(hidden[0].to(lm.device))
            for number, branch in enumerate(branches):
                for patch in branch:
                    if patch.site.layer == layer:
                        hidden[1 + number, patch.positions[row]] = patch.value[row].to(hidden)
            return with_hidden(output, hidden, lm.architecture.streams)

        return hook

    handles = [
        layer.register_forward_hook(write(index))  # type: ignore[arg-type]
        for index, layer in enumerate(lm.layers())
    ]
    last = {"logits_to_keep": 1} if takes(lm.base(), "logits_to_keep") else {}
    try:
        logits = lm.base()(input_ids=ids, use_cache=False, **last).logits[:, -1].float()
        return logits, torch.stack(seen)
    finally:
        for handle in handles:
            handle.remove()
