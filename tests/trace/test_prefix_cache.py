from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import DynamicCache

import workbench.trace.prefix_cache
from tests.support.streamed import stream_copy
from workbench.config import LoraSettings
from workbench.models import LanguageModel
from workbench.teach.adapter import add_adapter
from workbench.trace.forward import forward
from workbench.trace.layout import empty_tail, pad_prompts, without_last
from workbench.trace.prefix_cache import ExtendableCache, PrefixCache
from workbench.trace.prompt_cache import CachedPrompts
from workbench.trace.row_layers import bytes_of

MakeTiny = Callable[..., LanguageModel]
TOKENS = [[5, 6, 7, 8, 9, 10, 11], [20, 21, 22], [30, 31, 32, 33, 34]]
ROWS = np.array([70, 3, 41])
SIZE = 4 * 2 * 2 * 8 * 4
"""Bytes of a token: layers, keys and values, key-value heads, head size, float32."""


def own_cache(lm: LanguageModel, tokens: list[int]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Keys and values [heads, tokens, head size] that the model's own unpadded forward leaves."""
    with torch.no_grad():
        cache = lm.base()(
            input_ids=torch.tensor([tokens]), past_key_values=DynamicCache()
        ).past_key_values
    return [(layer.keys[0], layer.values[0]) for layer in cache.layers]


def check(lm: LanguageModel, kept: CachedPrompts, tolerance: float = 1e-5) -> None:
    assert kept.prompts.tokens.tolist() == pad_prompts(TOKENS, 0, lm.device).tokens.tolist()
    for row, tokens in enumerate(TOKENS):
        for layer, pair in enumerate(own_cache(lm, tokens)):
            for side in (0, 1):
                found = kept.cache.kept[layer][side][row].float()
                torch.testing.assert_close(
                    found[:, -len(tokens) :], pair[side], rtol=tolerance, atol=tolerance
                )
                assert not found[:, : -len(tokens)].any()


def keep(
    lm: LanguageModel, prefixes: PrefixCache, rows: list[int], tokens: list[list[int]]
) -> None:
    """Keep what a pass over ``tokens`` leaves."""
    prompts = pad_prompts(tokens, 0, lm.device)
    last = torch.full((prompts.rows, 1), prompts.columns - 1)
    cache = forward(lm, prompts, empty_tail(prompts), last, cache=DynamicCache()).cache
    prefixes.keep(rows, cache, prompts)


@contextmanager
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Tokens of every pass, padding included."""
    seen: list[int] = []
    run = workbench.trace.prefix_cache.run_joint

    def counted(lm: Any, prompts: Any, *rest: Any) -> Any:
        seen.append(prompts.tokens.numel())
        return run(lm, prompts, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(workbench.trace.prefix_cache, "run_joint", counted)
        yield seen


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma3_text", "gpt2"])
def test_kept_once_they_are_what_each_row_leaves_alone(
    make_tiny: MakeTiny, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lm = make_tiny(family, sliding_window=64) if family == "mistral" else make_tiny(family)
    prefixes = PrefixCache(10**9, 10, None)
    keep(lm, prefixes, ROWS.tolist(), TOKENS)
    with passes(monkeypatch) as seen:
        check(lm, prefixes.kept(lm, ROWS, TOKENS))
        assert not seen
        check(lm, PrefixCache(10**9, 10, None).kept(lm, ROWS, TOKENS))
        assert seen == [7, 2 * 5]
    assert 70 in prefixes
    assert 71 not in prefixes
    subset = prefixes.kept(lm, ROWS[[1, 2]], [TOKENS[1], TOKENS[2]])
    assert subset.prompts.columns == 5


def test_layers_below_a_passs_beginning_are_left_out(tiny_lm: LanguageModel) -> None:
    prefixes = PrefixCache(10**9, 100, None)
    whole, upper = (
        prefixes.kept(tiny_lm, ROWS, TOKENS),
        prefixes.kept(tiny_lm, ROWS, TOKENS, first=2),
    )
    assert sorted(upper.cache.kept) == [2, 3]
    for layer in (2, 3):
        assert all(
            torch.equal(*pair)
            for pair in zip(upper.cache.kept[layer], whole.cache.kept[layer], strict=True)
        )


def test_only_missing_rows_are_computed(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    prefixes = PrefixCache(10**9, 100, None)
    keep(tiny_lm, prefixes, [3], [TOKENS[1]])
    with passes(monkeypatch) as seen:
        check(tiny_lm, prefixes.kept(tiny_lm, ROWS, TOKENS))
    assert seen == [14]


def test_what_another_pass_leaves_is_kept_up_to_the_prompts_end(tiny_lm: LanguageModel) -> None:
    """The cache holds two tokens more of every row, and padding; neither is kept."""
    prompts = pad_prompts([[*tokens, 50, 51] for tokens in TOKENS], 0, tiny_lm.device)
    last = torch.full((3, 1), prompts.columns - 1)
    cache = forward(tiny_lm, prompts, empty_tail(prompts), last, cache=DynamicCache()).cache
    prefixes = PrefixCache(10**9, 100, None)
    prefixes.keep(ROWS.tolist(), cache, without_last(prompts, 2))
    assert prefixes.bytes == SIZE * sum(map(len, TOKENS))
    check(tiny_lm, prefixes.kept(tiny_lm, ROWS, TOKENS))


def test_they_are_copies_that_nobody_else_writes_to(tiny_lm: LanguageModel) -> None:
    prefixes = PrefixCache(10**9, 100, None)
    keep(tiny_lm, prefixes, ROWS.tolist(), TOKENS)
    for _ in range(2):
        kept = prefixes.kept(tiny_lm, ROWS, TOKENS)
        check(tiny_lm, kept)
        for keys, values in kept.cache.kept.values():
            keys.fill_(7)
            values.fill_(7)


def test_what_finds_no_room_is_computed_anew_within_the_bound_and_that_is_said_once(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for eight tokens: the first row of seven fits, the others do not."""
    prefixes = PrefixCache(8 * SIZE, 5, None)
    with pytest.warns(
        UserWarning, match=r"1 prompts fill the 0\.0 GB of model\.kv_cache_bytes.*computed anew"
    ):
        keep(tiny_lm, prefixes, ROWS.tolist(), TOKENS)
    assert [row in prefixes for row in ROWS.tolist()] == [True, False, False]
    assert prefixes.bytes == 7 * SIZE
    with warnings.catch_warnings(), passes(monkeypatch) as seen:
        warnings.simplefilter("error")
        for _ in range(2):
            keep(tiny_lm, prefixes, ROWS.tolist(), TOKENS)
            check(tiny_lm, prefixes.kept(tiny_lm, ROWS, TOKENS))
    assert seen == [5, 3] * 2


def test_a_lower_dtype_is_the_same_whether_kept_or_computed_anew(tiny_lm: LanguageModel) -> None:
    prefixes = PrefixCache(10**9, 100, torch.bfloat16)
    keep(tiny_lm, prefixes, ROWS.tolist(), TOKENS)
    assert prefixes.bytes == SIZE // 2 * sum(map(len, TOKENS))
    found = prefixes.kept(tiny_lm, ROWS, TOKENS)
    check(tiny_lm, found, tolerance=2**-8)
    anew = PrefixCache(10**9, 100, torch.bfloat16).kept(tiny_lm, ROWS, TOKENS)
    for layer, pair in found.cache.kept.items():
        for one, other in zip(pair, anew.cache.kept[layer], strict=True):
            assert one.dtype == other.dtype == torch.bfloat16
            torch.testing.assert_close(one, other)


def test_adapter_and_dropout_are_off_while_they_are_computed(make_tiny: MakeTiny) -> None:
    """In the middle of training too, which goes on as it was and has drawn no random number."""
    lm = make_tiny("gpt2", attn_pdrop=0.5, resid_pdrop=0.5, embd_pdrop=0.5)
    expected = PrefixCache(10**9, 100, None).kept(lm, ROWS, TOKENS)
    other = make_tiny(attention_dropout=0.5)
    tuned = add_adapter(other, LoraSettings(rank=4, alpha=8, dropout=0.5))
    for name, parameter in tuned.model.named_parameters():
        if "lora_B" in name:
            parameter.data.fill_(0.3)
    for model, reference in (
        (lm, expected),
        (tuned, PrefixCache(10**9, 100, None).kept(make_tiny(), ROWS, TOKENS)),
    ):
        model.model.train()
        state = torch.random.get_rng_state()
        kept = PrefixCache(0, 100, None).kept(model, ROWS, TOKENS)
        assert torch.equal(torch.random.get_rng_state(), state)
        assert model.model.training
        for layer, pair in reference.cache.kept.items():
            for one, another in zip(pair, kept.cache.kept[layer], strict=True):
                torch.testing.assert_close(one, another, rtol=1e-5, atol=1e-5)
    assert all(p.requires_grad for name, p in tuned.model.named_parameters() if "lora_" in name)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_growing_cache_takes_on_the_dtype_of_what_follows(
    tiny_lm: LanguageModel, dtype: torch.dtype
) -> None:
    kept = PrefixCache(10**9, 100, dtype).kept(tiny_lm, ROWS, TOKENS)
    cache = ExtendableCache(kept)
    for steps in (1, 3):
        for layer in range(4):
            before = cache.get_seq_length(layer)
            more = torch.full((3, 2, steps, 8), float(layer))
            keys, values = cache.update(more, more + 1, layer)
            assert keys.dtype == values.dtype == torch.float32
            assert keys.shape[2] == before + steps == cache.get_seq_length(layer)
            assert torch.equal(keys[:, :, :7], kept.cache.kept[layer][0].float())
            assert torch.equal(values[:, :, :7], kept.cache.kept[layer][1].float())
            assert torch.equal(keys[:, :, -steps:], more)
    cache.batch_select_indices(torch.tensor([2, 0]))
    assert torch.equal(cache.layers[1].keys[:, :, :7], kept.cache.kept[1][0].float()[[2, 0]])


def test_what_rows_begin_with_is_kept_once(tiny_lm: LanguageModel) -> None:
    """Rows that begin otherwise, or hold nothing else, are kept whole; kept or computed anew,
    all come back whole.
    """
    tokens = [[5, 6, 7, 8], [5, 6, 9], [20, 21], [5, 6]]
    rows = np.arange(4)
    for room in (10**9, 0):
        prefixes = PrefixCache(room, 100, None, shared=(5, 6))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            keep(tiny_lm, prefixes, rows.tolist(), tokens)
        assert prefixes.bytes == (SIZE * (2 + 1 + 2 + 2) if room else 0)
        kept = prefixes.kept(tiny_lm, rows, tokens)
        assert prefixes.bytes == (SIZE * (2 + 1 + 2 + 2 + 2) if room else SIZE * 2)
        for row, own in enumerate(tokens):
            for layer, pair in enumerate(own_cache(tiny_lm, own)):
                for side in (0, 1):
                    found = kept.cache.kept[layer][side][row]
                    torch.testing.assert_close(
                        found[:, -len(own) :], pair[side], rtol=1e-5, atol=1e-5
                    )
                    assert not found[:, : -len(own)].any()


def test_dropped_rows_leave_their_room_to_others(tiny_lm: LanguageModel) -> None:
    """Two stores under one bound of ten tokens: the second has room once the first lets go."""
    first = PrefixCache(10 * SIZE, 100, None)
    second = PrefixCache(10 * SIZE, 100, None, sibling=first)
    keep(tiny_lm, first, [70, 3], [TOKENS[0], TOKENS[1]])
    assert first.bytes == 10 * SIZE
    first.drop([70, 99])
    assert first.bytes == 3 * SIZE
    assert 70 not in first
    keep(tiny_lm, second, [70], [TOKENS[0]])
    assert 70 in second
    with pytest.warns(UserWarning, match="model.kv_cache_bytes"):
        keep(tiny_lm, second, [41], [TOKENS[2]])
    assert 41 not in second


@pytest.mark.parametrize("most_bytes", [10**9, 0])
def test_a_streamed_model_is_read_once_for_all_rows(
    make_tiny: MakeTiny, tmp_path: Path, most_bytes: int
) -> None:
    """What finds no room lies in files, where it does not count against the bound."""
    lm = make_tiny()
    streamed, stream = stream_copy(lm, tmp_path)
    rows = [[9, 8, *range(20, 25 + n)] for n in range(5)]
    found, expected = (PrefixCache(bound, 12, None, shared=(9, 8)) for bound in (most_bytes, 10**9))
    found.fill(streamed, range(5), rows, "filling")
    assert stream.weights.counts.reads == dict.fromkeys(range(lm.n_layers), 1)
    assert not found.full
    expected.fill(lm, range(5), rows, "filling")
    caches = [
        cache.kept(model, np.arange(5), rows).cache
        for cache, model in ((found, streamed), (expected, lm))
    ]
    for layer in range(lm.n_layers):
        for got, wanted in zip(*(cache.kept[layer] for cache in caches), strict=True):
            assert torch.equal(got, wanted)
    assert stream.weights.counts.passes == 1
    held = found.bytes
    found.drop(range(5))
    assert found.bytes == (held if most_bytes == 0 else bytes_of(found.begin(streamed)))
    stream.close()
