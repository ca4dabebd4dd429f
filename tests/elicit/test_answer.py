from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.elicit.answer import answer_batch, first_line, recompute_prompt_cache
from workbench.elicit.conversation import answer_tokens
from workbench.elicit.formats import format_named
from workbench.models import LanguageModel
from workbench.trace.prefix_cache import PrefixCache
from workbench.trace.suffix import common_prefix

MakeTiny = Callable[..., LanguageModel]
QUESTIONS = (
    "Who?",
    "What is 48 + 37?",
    "In which country is the city of Lyon, and since when?",
    "Why is it so?",
)


def own_answer(lm: LanguageModel, prompt: tuple[int, ...], limit: int) -> str:
    ids = torch.tensor([prompt])
    out = lm.base().generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=limit,
        pad_token_id=0,
    )
    text = lm.tokenizer.decode(out[0, len(prompt) :], skip_special_tokens=True)
    return text.split("\n")[0].strip()


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gpt2"])
def test_answers_are_the_host_librarys_first_lines(make_tiny: MakeTiny, family: str) -> None:
    lm = make_tiny(family)
    prompts = [
        answer_tokens(lm.tokenizer, format_named("percent"), question) for question in QUESTIONS
    ]
    expected = [own_answer(lm, prompt, 12) for prompt in prompts]
    assert answer_batch(lm, prompts, 12) == expected
    assert [answer_batch(lm, [prompt], 12)[0] for prompt in prompts] == expected
    assert any(expected)


def test_prompts_leave_their_keys_and_values_before_anything_is_generated(
    make_tiny: MakeTiny,
) -> None:
    """What stands before every prompt's end, computed behind a common beginning and, for one
    prompt, without; asked for again without answering it is the same to the bit.
    """
    lm = make_tiny("llama")
    prompts = [
        answer_tokens(lm.tokenizer, format_named("percent"), question) for question in QUESTIONS
    ]
    assert common_prefix(prompts)
    for chosen in (prompts, prompts[:1]):
        rows = np.arange(len(chosen))
        left, again = PrefixCache(10**9, 10**6, None), PrefixCache(10**9, 10**6, None)
        answer_batch(lm, chosen, 4, partial(left.keep, rows.tolist()))
        recompute_prompt_cache(lm, chosen, partial(again.keep, rows.tolist()))
        found, same, anew = (
            store.kept(lm, rows, chosen).cache.kept
            for store in (left, again, PrefixCache(10**9, 10**6, None))
        )
        for layer, pair in anew.items():
            for side in (0, 1):
                assert torch.equal(found[layer][side], same[layer][side])
                torch.testing.assert_close(found[layer][side], pair[side], rtol=1e-4, atol=1e-5)


def test_an_answer_ends_at_a_line_break_and_at_the_end_of_a_turn(tiny_lm: LanguageModel) -> None:
    """The head is rigged to write a, b, c, ... and then what ends an answer."""
    a = tiny_lm.tokenizer("a")["input_ids"][0]
    newline = tiny_lm.tokenizer("\n")["input_ids"][0]
    for ending in (newline, 2):
        chain = [a, a + 1, a + 2, ending, a + 3, a + 4]
        with torch.no_grad():
            for layer in tiny_lm.base().model.layers:
                layer.self_attn.o_proj.weight.zero_()
                layer.mlp.down_proj.weight.zero_()
            tiny_lm.embedding().weight.zero_()
            tiny_lm.base().lm_head.weight.zero_()
            for place, token in enumerate([40, *chain]):
                tiny_lm.embedding().weight[token, place] = 1.0
            for place, token in enumerate(chain):
                tiny_lm.base().lm_head.weight[token, place] = 1.0
        assert answer_batch(tiny_lm, [(40,), (50, 40)], 20) == ["abc", "abc"]
        assert answer_batch(tiny_lm, [(40,)], 2) == ["ab"]


@given(st.text())
def test_the_first_line_has_no_break_and_no_margins(reply: str) -> None:
    line = first_line(reply)
    assert line == reply.partition("\n")[0].strip()
    assert first_line(line) == line
