"""Prompts on kept beginnings: the states and readouts of whole prompts, packed or in the loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace import Branch, Patch, Site
from workbench.trace.backends import engine
from workbench.trace.backends.kept_prefix import KeptPrefixBackend
from workbench.trace.packed import patch_branches
from workbench.trace.prefix_cache import PrefixCache
from workbench.trace.record import record
from workbench.trace.token_tree import NO_TREE, TokenTree

MakeTiny = Callable[..., LanguageModel]
BEGUN = [[5, 6, 7, 8, 9, 10], [5, 6, 7, 8], [5, 6, 7, 8, 11]]
RESTS = [[12, 13, 14], [15, 16, 17], [18, 19, 20]]
UNEVEN = [[12, 13], [14, 15, 16, 17, 18], [19, 20]]
TREE = TokenTree((30, 31, 32), (-1, 0, -1))
FAMILIES = [
    ("llama", {}),
    ("mistral", {"sliding_window": 4}),
    ("gemma3_text", {}),
    ("gpt2", {}),
    ("gpt_neox", {}),
]


def kept_prefix(lm: LanguageModel) -> KeptPrefixBackend:
    return KeptPrefixBackend(lm, PrefixCache(10**9, 100, None).kept(lm, np.arange(3), BEGUN))


def whole(rests: Sequence[Sequence[int]]) -> list[list[int]]:
    return [[*begun, *rest] for begun, rest in zip(BEGUN, rests, strict=True)]


def probabilities(logits: Tensor) -> Tensor:
    return logits.float().softmax(dim=-1)[:, :7]


def branches(lm: LanguageModel, rests: Sequence[Sequence[int]], nodes: bool) -> list[Branch]:
    """At every layer's output, and inside the first layer: the last token, the one before it, and
    the nodes.
    """
    draw = torch.Generator().manual_seed(3)
    ends = torch.tensor([len(tokens) for tokens in whole(rests)])

    def patch(site: Site, at: Tensor) -> Patch:
        return Patch(site, at, torch.randn(3, lm.width, generator=draw))

    out: list[Branch] = []
    for layer in range(lm.n_layers):
        out.append((patch(Site(layer), ends - 1),))
        out.append((patch(Site(layer), ends - 2), patch(Site(layer), ends - 1)))
        if nodes:
            out.append((patch(Site(layer), ends - 1), patch(Site(layer), ends + 1)))
    out.append((patch(Site(0, "attn_out"), ends - 1),))
    return out


@pytest.mark.parametrize(("family", "overrides"), FAMILIES)
@pytest.mark.parametrize("rests", [RESTS, UNEVEN])
@pytest.mark.parametrize("tree", [NO_TREE, TREE])
@pytest.mark.parametrize("bound", [10**9, 12])
def test_patched_readouts_are_those_of_whole_prompts(
    make_tiny: MakeTiny,
    family: str,
    overrides: dict[str, object],
    rests: Sequence[Sequence[int]],
    tree: TokenTree,
    bound: int,
) -> None:
    lm = make_tiny(family, **overrides)
    wanted = branches(lm, rests, nodes=tree.size > 0)
    expected = patch_branches(
        lm, whole(rests), wanted, probabilities, tokens_per_forward=10**9, tree=tree
    )
    found = kept_prefix(lm).patch(
        whole(rests), wanted, probabilities, tokens_per_forward=bound, tree=tree
    )
    torch.testing.assert_close(found.base, expected.base, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found.patched, expected.patched, rtol=1e-4, atol=1e-6)
    assert (found.patched - found.base[:, None]).abs().max() > 1e-3


def test_they_are_those_of_the_loop(tiny_lm: LanguageModel) -> None:
    wanted = branches(tiny_lm, RESTS, nodes=True)
    loop, found = (
        backend.patch(whole(RESTS), wanted, probabilities, tokens_per_forward=10**9, tree=TREE)
        for backend in (engine("loop")(tiny_lm), kept_prefix(tiny_lm))
    )
    torch.testing.assert_close(found.patched, loop.patched, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("rests", [RESTS, UNEVEN])
def test_recorded_states_are_those_of_whole_prompts(
    tiny_lm: LanguageModel, rests: Sequence[Sequence[int]]
) -> None:
    """At a token of the rest, the last token, and two nodes of the tree."""
    sites = [Site(layer) for layer in range(tiny_lm.n_layers)]
    ends = [len(tokens) for tokens in whole(rests)]
    at = [[end - 2, end - 1, end, end + 2] for end in ends]
    expected = record(tiny_lm, whole(rests), at, sites, tree=TREE)
    found = kept_prefix(tiny_lm).record(whole(rests), at, sites, tree=TREE)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_kept_tokens_are_neither_patched_nor_recorded(tiny_lm: LanguageModel) -> None:
    backend, begun = kept_prefix(tiny_lm), torch.tensor([len(tokens) for tokens in BEGUN])
    patch = Patch(Site(0), begun - 1, torch.zeros(3, tiny_lm.width))
    with pytest.raises(WorkbenchError, match="keep fewer tokens"):
        backend.patch(whole(RESTS), [(patch,)], probabilities, tokens_per_forward=100)
    with pytest.raises(WorkbenchError, match="keep fewer tokens"):
        backend.record(whole(RESTS), (begun - 1)[:, None], [Site(0)])


def test_prompts_must_go_on_from_what_is_kept(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="in the order of the kept rows"):
        kept_prefix(tiny_lm).record(whole(RESTS)[::-1], [[7], [7], [7]], [Site(0)])
