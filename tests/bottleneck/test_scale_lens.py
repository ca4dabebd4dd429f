"""Readings of every layer equal those of plain forwards of whole strings, cut off after it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.bottleneck.scale_lens import (
    CLOSING,
    LensTokens,
    LogitLens,
    choose_tokens,
    node_states,
    read_layers,
)
from workbench.models import LanguageModel
from workbench.models.unembed import unembed

MakeTiny = Callable[..., LanguageModel]


def plain_layers(lm: LanguageModel, tokens: Sequence[int]) -> list[torch.Tensor]:
    """The full logits of the logit lens after each layer, at the end of one string."""
    with torch.no_grad():
        out = lm.base()(input_ids=torch.tensor([list(tokens)]), output_hidden_states=True)
        *below, final = out.hidden_states[1:]
        states = [lm.final_norm()(state[:, -1]) for state in below]
        return [unembed(lm, state)[0] for state in (*states, final[:, -1])]


def by_hand(lm: LanguageModel, prompt: Sequence[int], chosen: LensTokens) -> np.ndarray:
    """Every value's probability after each layer, path by path, [layers, values]."""
    trie = chosen.trie
    column = {token: index for index, token in enumerate(chosen.tokens)}
    nodes = [
        [
            logits[list(chosen.tokens)].double().softmax(dim=0)
            for logits in plain_layers(lm, [*prompt, *path])
        ]
        for path in trie.inner
    ]
    out = np.ones((lm.n_layers, len(trie.values)))
    for value, (steps, end) in enumerate(trie.ends):
        for layer in range(lm.n_layers):
            for node, token in steps:
                out[layer, value] *= nodes[node][layer][column[token]]
            if end >= 0:
                goes_on = sum(float(nodes[end][layer][column[t]]) for t in trie.children[end])
                out[layer, value] *= 1 - goes_on
    return out


@pytest.mark.parametrize("family", ["llama", "gemma2", "falcon_h1"])
def test_readings_are_those_of_plain_forwards(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    chosen = choose_tokens(lm, node_states(lm, PROMPTS, trie_of(lm))[:, -1], trie_of(lm))
    found = read_layers(lm, PROMPTS, chosen, {"logit": LogitLens()})
    wanted = np.stack([by_hand(lm, prompt, chosen) for prompt in PROMPTS])
    assert found["logit"].shape == wanted.shape
    np.testing.assert_allclose(np.exp(found["logit"]), wanted, atol=2e-6)


def test_closing_tokens_are_the_likeliest_others(tiny_lm: LanguageModel) -> None:
    trie = trie_of(tiny_lm)
    chosen = choose_tokens(tiny_lm, node_states(tiny_lm, PROMPTS, trie)[:, -1], trie)
    mean = torch.stack(
        [
            plain_layers(tiny_lm, [*prompt, *path])[-1].softmax(dim=0)
            for prompt in PROMPTS
            for path in trie.inner
        ]
    ).mean(dim=0)
    mean[list(trie.tokens)] = 0
    assert set(chosen.closing) == set(mean.topk(CLOSING).indices.tolist())
    assert not {*chosen.closing} & {*trie.tokens}


def test_probabilities_of_the_scale_are_at_most_one(tiny_lm: LanguageModel) -> None:
    chosen = choose_tokens(
        tiny_lm, node_states(tiny_lm, PROMPTS, trie_of(tiny_lm))[:, -1], trie_of(tiny_lm)
    )
    found = read_layers(tiny_lm, PROMPTS, chosen, {"a": LogitLens()})
    mass = np.exp(found["a"]).sum(axis=-1)
    assert ((mass > 0) & (mass <= 1 + 1e-9)).all()
