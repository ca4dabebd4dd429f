from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.forward import forward
from workbench.trace.layout import pad_prompts
from workbench.trace.prefix_cache import PrefixCache
from workbench.trace.prompt_cache import CachedPrompts
from workbench.trace.suffix import cache_common_prefix, common_prefix, forward_suffix
from workbench.trace.token_tree import TokenTree, end_columns, tree_tail

MakeTiny = Callable[..., LanguageModel]
BEGUN = [[5, 6, 7, 8, 9, 10], [5, 6, 7, 8], [5, 6, 7, 8, 11]]
RESTS = [[12, 13], [14, 15, 16, 17, 18], [19]]
TREE = TokenTree((30, 31, 32), (-1, 0, -1))
FAMILIES = [("llama", {}), ("mistral", {"sliding_window": 4}), ("gemma3_text", {}), ("gpt2", {})]


def own_kept(lm: LanguageModel) -> CachedPrompts:
    return PrefixCache(10**9, 100, None).kept(lm, np.arange(3), BEGUN)


@pytest.mark.parametrize(("family", "overrides"), FAMILIES)
def test_a_pass_behind_kept_beginnings_is_one_over_whole_prompts(
    make_tiny: MakeTiny, family: str, overrides: dict[str, object]
) -> None:
    """Final and recorded states, and keys and values of every row's own tokens, with padding at
    two places of a row.
    """
    lm = make_tiny(family, **overrides)
    whole = [[*begun, *rest] for begun, rest in zip(BEGUN, RESTS, strict=True)]
    at = torch.tensor(
        [[len(tokens) - 1, len(begun)] for tokens, begun in zip(whole, BEGUN, strict=True)]
    )
    prompts = pad_prompts(whole, 0, lm.device)
    tail, nodes = tree_tail(prompts, TREE), end_columns(prompts, TREE)
    expected = forward(lm, prompts, tail, nodes, record=prompts.column_of(at), cache=DynamicCache())
    found = forward_suffix(lm, own_kept(lm), RESTS, TREE, at)
    torch.testing.assert_close(found.final, expected.final, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.recorded, expected.recorded, rtol=1e-4, atol=1e-5)
    assert found.prompts.lengths.tolist() == [8, 9, 6]
    for row, tokens in enumerate(whole):
        own = found.prompts.valid[row]
        assert found.prompts.tokens[row][own].tolist() == tokens
        assert found.prompts.positions[row][own].tolist() == list(range(len(tokens)))
        for layer, reference in zip(found.cache.layers, expected.cache.layers, strict=True):
            keys = layer.keys[row][:, : len(own)][:, own]
            torch.testing.assert_close(
                keys,
                reference.keys[row][:, : prompts.columns][:, prompts.valid[row]],
                rtol=1e-4,
                atol=1e-5,
            )


def test_a_common_beginning_serves_every_row(tiny_lm: LanguageModel) -> None:
    kept = cache_common_prefix(tiny_lm, [5, 6, 7, 8], 3)
    assert {keys.shape[0] for keys, _ in kept.cache.kept.values()} == {1}
    prompts = pad_prompts([[5, 6, 7, 8, *rest] for rest in RESTS], 0, tiny_lm.device)
    expected = forward(tiny_lm, prompts, tree_tail(prompts, TREE), end_columns(prompts, TREE))
    torch.testing.assert_close(
        forward_suffix(tiny_lm, kept, RESTS, TREE).final, expected.final, rtol=1e-4, atol=1e-5
    )


def test_states_of_the_beginning_cannot_be_recorded(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="lies outside its prompt"):
        forward_suffix(tiny_lm, own_kept(tiny_lm), RESTS, TREE, torch.tensor([[3], [4], [5]]))


def test_shared_tokens_leave_every_prompt_its_last() -> None:
    assert common_prefix([(1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 7)]) == (1, 2, 3, 4, 5)
    assert common_prefix([(1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 6)]) == (1, 2, 3, 4)
    assert common_prefix([(1, 2, 3, 9), (1, 2, 3, 4, 5)]) == ()
    assert common_prefix([(1, 2, 3, 4, 5, 6)]) == ()
