"""Gradients on kept prompts and packed nodes equal those of plain forwards of whole strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from tests.support.scale_prompts import PROMPTS, trie_of
from workbench.bottleneck.jacobian_lens import fit_jacobian_lens
from workbench.bottleneck.node_gradients import node_levels
from workbench.bottleneck.scale_lens import LensTokens, choose_tokens, node_states
from workbench.models import LanguageModel
from workbench.models.unembed import unembed

MakeTiny = Callable[..., LanguageModel]


def tokens_of(lm: LanguageModel) -> LensTokens:
    trie = trie_of(lm)
    return choose_tokens(lm, node_states(lm, PROMPTS, trie)[:, -1], trie)


def plain(
    lm: LanguageModel, string: Sequence[int], tokens: Sequence[int]
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A string's logits [tokens] at its end, gradients [layers, tokens, width] with respect to the
    states there, and these [layers, width].
    """
    passing: list[torch.Tensor] = []

    def follow(module: torch.nn.Module, args: object, output: object) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        assert isinstance(hidden, torch.Tensor)
        if not passing:
            hidden.requires_grad_()
        passing.append(hidden)

    handles = [layer.register_forward_hook(follow) for layer in lm.layers()]
    with torch.enable_grad():
        final = lm.decoder()(input_ids=torch.tensor([list(string)])).last_hidden_state[:, -1]
        logits = unembed(lm, final)[0, list(tokens)]
    for handle in handles:
        handle.remove()
    gradients = [
        torch.stack([g[0, -1] for g in torch.autograd.grad(one, passing, retain_graph=True)])
        for one in logits
    ]
    return (
        logits.detach(),
        torch.stack(gradients, dim=1),
        torch.stack([state[0, -1].detach() for state in passing]),
    )


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
def test_they_are_the_weighted_means_of_plain_gradients(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    chosen = tokens_of(lm)
    lens = fit_jacobian_lens(lm, PROMPTS, chosen, tokens_per_forward=40)
    trie, column = chosen.trie, {token: n for n, token in enumerate(chosen.tokens)}
    sums = [[0.0, 0.0, 0.0, 0.0] for _ in range(max(node_levels(trie)) + 1)]
    for prompt in PROMPTS:
        arrived: list[float] = []
        probability: list[torch.Tensor] = []
        for node, path in enumerate(trie.inner):
            logits, gradient, state = plain(lm, [*prompt, *path], chosen.tokens)
            parent = trie.parent[node]
            arrived.append(
                1.0 if node == 0 else arrived[parent] * float(probability[parent][column[path[-1]]])
            )
            probability.append(logits.double().softmax(dim=0))
            found = (1.0, gradient.double(), state.double(), logits.double())
            here = sums[len(path)]
            sums[len(path)] = [a + arrived[node] * b for a, b in zip(here, found, strict=True)]
    for level, (weight, gradient, state, logit) in enumerate(sums):
        slope = gradient / weight
        constant = logit / weight - torch.einsum("ltw,lw->lt", slope, state / weight)
        torch.testing.assert_close(lens.gradient[:, level].double(), slope, atol=2e-5, rtol=1e-4)
        torch.testing.assert_close(lens.intercept[:, level].double(), constant, atol=2e-4, rtol=0)


def test_levels_are_the_depths_of_inner_nodes(tiny_lm: LanguageModel) -> None:
    trie = trie_of(tiny_lm)
    assert node_levels(trie) == tuple(len(path) for path in trie.inner)
    assert max(node_levels(trie)) == 2
