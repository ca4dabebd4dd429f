"""Every engine runs what sweeps, maps and readouts of a scale ask for, token trees included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.models import LanguageModel
from workbench.patch.branches import head_sites, site_branches
from workbench.patch.maps import logit_difference
from workbench.patch.sweep import layer_sweep_of_scale, record_number
from workbench.trace.backends import Engine, engine
from workbench.trace.sites import Component, Site
from workbench.trace.token_tree import TokenTree

MakeTiny = Callable[..., LanguageModel]
NAMES = ["loop", "nnsight", "transformer-lens"]
FAMILIES = ["llama", "qwen2", "gemma2", "olmo2"]
PERCENT = FORMATS["percent"]
QUESTIONS = [("Who?", "Ada"), ("What is 48 + 37, and why?", "85")]
BUDGET = 300


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_layer_sweep_of_the_percent_scale(make_tiny: MakeTiny, family: str, name: str) -> None:
    """The whole number is patched: the confidence position and the tree's nodes behind it."""
    lm = make_tiny(family, initializer_range=0.05)
    numbers = scale_tokens(lm.tokenizer, PERCENT)
    prompts = [
        confidence_conversation(lm.tokenizer, PERCENT, numbers, q, a).tokens for q, a in QUESTIONS
    ]
    at = [len(prompt) - 1 for prompt in prompts]
    assert numbers.trie.tree.size > 3
    donors = record_number(lm, prompts, numbers.trie, [[position] for position in at]).flip(0)

    def sweep(name: str) -> Any:
        return layer_sweep_of_scale(
            lm,
            prompts,
            numbers.trie,
            at,
            range(4),
            donors,
            tokens_per_forward=BUDGET,
            engine=engine(name),
        )

    packed, found = sweep("packed"), sweep(name)
    np.testing.assert_allclose(found.base, packed.base, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(found.patched, packed.patched, rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(found.patched[:, 3], packed.base[::-1], rtol=1e-3, atol=1e-9)
    assert np.abs(packed.patched[:, 3] / packed.base - 1).max() > 0.01


def test_a_scale_is_read_where_a_server_has_torch_alone(make_tiny: MakeTiny) -> None:
    """The request is packed and unpacked with the modules hidden that a server lacks."""
    lm = make_tiny("llama", initializer_range=0.05)
    trie = scale_tokens(lm.tokenizer, PERCENT).trie
    prompts, donors = [[5, 6, 7, 8], [9, 10, 11]], torch.randn(2, 4, 32)

    def sweep(run: Engine) -> Any:
        return layer_sweep_of_scale(
            lm, prompts, trie, [3, 2], range(4), donors, tokens_per_forward=BUDGET, engine=run
        )

    packed, found = sweep(engine("packed")), sweep(engine("nnsight", remote="local"))
    np.testing.assert_allclose(found.patched, packed.patched, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_map(make_tiny: MakeTiny, family: str, name: str) -> None:
    lm = make_tiny(family, initializer_range=0.05)
    prompts, donors = [[5, 6, 7, 8, 9], [20, 21, 22]], [[30, 31, 32, 33, 34], [40, 41, 42]]
    sites, at = head_sites(range(4), range(4)), torch.tensor([3, 1])
    states = engine(name)(lm).record(donors, at[:, None], sites)[:, :, 0]
    branches = site_branches(sites, at, states)

    def read(name: str) -> Any:
        return engine(name)(lm).patch(
            prompts, branches, logit_difference(60, 70), tokens_per_forward=BUDGET
        )

    packed, found = read("packed"), read(name)
    torch.testing.assert_close(found.base, packed.base, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.patched, packed.patched, rtol=1e-4, atol=1e-4)
    assert (packed.patched - packed.base[:, None]).abs().max() > 1e-3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", ["gpt2", "gpt_neox", "phi3", "qwen3", "gemma3_text"])
def test_slices_of_joined_projections_and_of_normed_ones(
    make_tiny: MakeTiny, family: str, name: str
) -> None:
    """Queries, keys and values one after another, head by head, and with a norm of their own."""
    alike = {"num_key_value_heads": 4} if family in ("gpt2", "gpt_neox") else {}
    lm = make_tiny(family, **alike)
    prompts, donors = [[5, 6, 7, 8, 9], [20, 21, 22]], [[30, 31, 32, 33, 34], [40, 41, 42]]
    parts: list[Component] = ["query", "key", "value"]
    sites = [Site(layer, part, index) for layer in (1, 2) for part in parts for index in (1, 0)]
    windows = [Site(layer, "neuron", 11, 8) for layer in (1, 2)]
    at, packed = torch.tensor([3, 1]), engine("packed")(lm)
    states = packed.record(donors, at[:, None], [*sites, *windows])
    branches = site_branches([*sites, *windows], at, states[:, :, 0])

    def read(name: str) -> Any:
        return engine(name)(lm).patch(
            prompts, branches, logit_difference(60, 70), tokens_per_forward=BUDGET
        )

    other = engine(name)(lm)
    torch.testing.assert_close(
        other.record(donors, at[:, None], sites), states[:, : len(sites)], rtol=1e-4, atol=1e-4
    )
    expected, found = read("packed"), read(name)
    torch.testing.assert_close(found.patched, expected.patched, rtol=1e-4, atol=1e-4)
    moved = (expected.patched - expected.base[:, None]).abs().amax(dim=0)
    assert bool((moved > 1e-4).all())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("family", ["llama", "gemma2", "falcon_h1"])
def test_nodes_of_a_tree_are_recorded_as_positions(
    make_tiny: MakeTiny, family: str, name: str
) -> None:
    """Read on the whole string by the model itself."""
    if (family, name) == ("falcon_h1", "transformer-lens"):
        pytest.skip("transformer-lens has no bridge of this family")
    lm = make_tiny(family)
    tree = TokenTree((40, 41, 42), (-1, 0, -1))
    prompts = [[5, 6, 7], [8, 9]]
    found = engine(name)(lm).record(
        prompts, [[4, 5, 1], [3, 4, 1]], [Site(1), Site(2, "resid_pre")], tree=tree
    )
    for row, prompt in enumerate(prompts):
        for place, (path, at) in enumerate((((40, 41), -1), ((42,), -1), ((), 1))):
            ids = torch.tensor([[*prompt, *path]])
            own = lm.base()(ids, output_hidden_states=True).hidden_states[2][0, at]
            torch.testing.assert_close(found[row, 0, place], own, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(found[row, 1, place], own, rtol=1e-4, atol=1e-5)
