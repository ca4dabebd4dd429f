from __future__ import annotations

import pytest
import torch

from workbench.trace.layout import pad_prompts
from workbench.trace.prompt_cache import PromptCache
from workbench.trace.row_layers import bytes_of, row_of

ROWS = [[5, 6, 7, 8, 9], [10, 11]]
HEADS = ((2, 3), (1, 5), (2, 3))
"""Key-value heads and head size of each layer; values are of one more."""


def make_cache(dtypes: tuple[torch.dtype, ...]) -> PromptCache:
    generator = torch.Generator().manual_seed(0)
    cache = PromptCache(5)
    for layer, ((heads, size), dtype) in enumerate(zip(HEADS, dtypes, strict=True)):
        keys, values = (
            torch.randn(2, heads, 5, wide, generator=generator).to(dtype)
            for wide in (size, size + 1)
        )
        cache.kept[layer] = (keys, values)
    return cache


@pytest.mark.parametrize("cut", [0, 1])
def test_a_rows_parts_are_the_columns_of_its_own_tokens(cut: int) -> None:
    dtypes = (torch.bfloat16, torch.float32, torch.float64)
    cache, prompts = make_cache(dtypes), pad_prompts(ROWS, 0, torch.device("cpu"))
    found = row_of(cache, 1, prompts, cut, None)
    for layer, pair in enumerate(found):
        for part, whole in zip(pair, cache.kept[layer], strict=True):
            assert part.dtype == dtypes[layer]
            assert torch.equal(part, whole[1, :, 3 + cut :])
    parts = [part for pair in found for part in pair]
    assert bytes_of(found) == sum(part.numel() * part.element_size() for part in parts)


def test_a_rows_parts_are_rounded_and_independent_of_the_pass() -> None:
    cache, prompts = make_cache((torch.float32,) * 3), pad_prompts(ROWS, 0, torch.device("cpu"))
    expected = cache.kept[2][0][0].to(torch.bfloat16)
    found = row_of(cache, 0, prompts, 0, torch.bfloat16)
    cache.kept[2][0].zero_()
    assert torch.equal(found[2][0], expected)
    assert found[2][0].dtype == torch.bfloat16


def test_a_row_without_tokens_of_its_own_has_empty_parts() -> None:
    cache, prompts = make_cache((torch.float32,) * 3), pad_prompts(ROWS, 0, torch.device("cpu"))
    found = row_of(cache, 1, prompts, 2, None)
    assert [part.shape[1] for pair in found for part in pair] == [0] * 6
