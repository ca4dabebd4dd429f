from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import DynamicCache

from tests.support.tiny_models import PACKABLE
from workbench.elicit.conversation import scale_tokens
from workbench.elicit.formats import format_named
from workbench.elicit.greedy import end_tokens, greedy, stop_after_number, stop_at_newline
from workbench.models import LanguageModel
from workbench.models.unembed import unembed
from workbench.trace.forward import forward
from workbench.trace.layout import Tail, empty_tail, pad_prompts
from workbench.trace.token_tree import tree_tail

MakeTiny = Callable[..., LanguageModel]
ROWS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15], [20, 21, 22], [30, 31, 32, 33, 34, 35, 36]]
NEVER = torch.zeros(384, dtype=torch.bool)


def generated_alone(lm: LanguageModel, row: list[int], limit: int) -> list[int]:
    """The host library's greedy generation from one unpadded row, ends of turn ignored."""
    ids = torch.tensor([row])
    lm.base().generation_config.eos_token_id = None
    out = lm.base().generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=limit,
        pad_token_id=0,
    )
    return out[0, len(row) :].tolist()


def continued(
    lm: LanguageModel,
    limit: int,
    stop: torch.Tensor,
    with_tail: bool = False,
    rows: Sequence[Sequence[int]] = ROWS,
) -> list[list[int]]:
    prompts = pad_prompts(rows, 0, lm.device)
    tail: Tail = empty_tail(prompts)
    if with_tail:
        tail = tree_tail(prompts, scale_tokens(lm.tokenizer, format_named("percent")).trie.tree)
    last = torch.full((len(rows), 1), prompts.columns - 1)
    result = forward(lm, prompts, tail, last, cache=DynamicCache())
    first = unembed(lm, result.final[:, 0]).argmax(dim=-1)
    return greedy(lm, prompts, tail, first, result.cache, limit, stop)


@pytest.mark.parametrize("family", PACKABLE)
def test_every_row_is_continued_as_the_host_library_continues_it_alone(
    make_tiny: MakeTiny, family: str
) -> None:
    """Left-padded rows, a sliding window shorter than the prompt, and packed tail tokens that
    must stay unseen.
    """
    lm = make_tiny(family)
    expected = [generated_alone(lm, row, 14) for row in ROWS]
    assert continued(lm, 14, NEVER) == expected
    assert continued(lm, 14, NEVER, with_tail=True) == expected


def test_a_row_ends_with_its_first_stop_token(tiny_lm: LanguageModel) -> None:
    plain = continued(tiny_lm, 10, NEVER)
    stop = NEVER.clone()
    stop[[plain[0][3], plain[1][6]]] = True
    expected = [row[: next((i + 1 for i, t in enumerate(row) if stop[t]), 10)] for row in plain]
    assert {len(row) for row in expected} != {10}
    assert continued(tiny_lm, 10, stop) == expected


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma3_text", "gpt2"])
def test_rows_that_leave_the_batch_one_by_one_change_nothing(
    make_tiny: MakeTiny, family: str
) -> None:
    """Eight rows, padded, ending after 1 to 14 tokens; each is what the host library writes for
    it alone.
    """
    lm = make_tiny(family)
    rows = [[(11 * row + 3 * place) % 380 + 3 for place in range(3 + row)] for row in range(8)]
    alone = [generated_alone(lm, row, 14) for row in rows]

    @settings(max_examples=12, deadline=None)
    @given(
        st.lists(st.sampled_from(sorted({token for row in alone for token in row})), max_size=8),
        st.booleans(),
    )
    def check(stops: list[int], with_tail: bool) -> None:
        stop = NEVER.clone()
        stop[stops] = True
        expected = [row[: next((i + 1 for i, t in enumerate(row) if stop[t]), 14)] for row in alone]
        assert continued(lm, 14, stop, with_tail, rows) == expected

    check()


def test_rows_leave_the_batch_once_half_of_it_has_ended(tiny_lm: LanguageModel) -> None:
    alone = [generated_alone(tiny_lm, row, 10) for row in ROWS]
    stop = NEVER.clone()
    stop[[alone[0][0], alone[1][2]]] = True
    sizes: list[int] = []
    handle = tiny_lm.layers()[0].register_forward_hook(
        lambda module, args, output: sizes.append(len(args[0]))
    )
    found = continued(tiny_lm, 10, stop)
    handle.remove()
    lengths = [len(row) for row in found]
    live = [sum(length > step for length in lengths) for step in range(1, max(lengths))]
    assert sizes[0] == 3
    assert len(sizes) == len(live) + 1
    for size, count in zip(sizes[1:], live, strict=True):
        assert count <= size < 2 * count or size == count


def test_the_first_token_can_be_the_last(tiny_lm: LanguageModel) -> None:
    plain = continued(tiny_lm, 10, NEVER)
    assert continued(tiny_lm, 10, ~NEVER) == [row[:1] for row in plain]
    assert continued(tiny_lm, 1, NEVER) == [row[:1] for row in plain]


@pytest.mark.parametrize(
    ("declared", "ids"), [(7, {2, 7}), ([7, 9], {2, 7, 9}), (None, {2}), ([2], {2})]
)
def test_ends_of_turn_come_from_model_and_tokenizer(
    tiny_lm: LanguageModel, declared: Any, ids: set[int]
) -> None:
    tiny_lm.base().generation_config.eos_token_id = declared
    assert end_tokens(tiny_lm) == ids


@pytest.mark.parametrize("kind", ["digits", "whole_numbers", "merged_space"])
def test_what_stops_answers_and_numbers(make_tiny: MakeTiny, kind: str) -> None:
    """Every token of the vocabulary is judged by its text, and ids without text never stop an
    answer.
    """
    lm = make_tiny("llama", tokenizer=kind)
    answers, numbers = stop_at_newline(lm), stop_after_number(lm)
    assert answers.shape == numbers.shape == (384,)
    for token in range(len(lm.tokenizer)):
        text = lm.tokenizer.decode([token])
        assert bool(answers[token]) == ("\n" in text or token == 2)
        assert bool(numbers[token]) == (
            not text or not set(text) <= set("0123456789. ") or token == 2
        )
    assert not answers[len(lm.tokenizer) :].any()
    newline, percent = (lm.tokenizer(text)["input_ids"] for text in ("\n", "%"))
    seven = lm.tokenizer(" 73.", add_special_tokens=False)["input_ids"]
    assert answers[newline].all()
    assert numbers[percent].all()
    assert not numbers[seven].any()
