from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from workbench.api.prompts import encode_prompts, show_tokens, token_texts
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, Turn, encode


def test_a_text_is_tokenised_as_it_stands(tiny_lm: LanguageModel) -> None:
    found = encode_prompts(tiny_lm, "What is the cat")
    assert found.rows == (tuple(tiny_lm.tokenizer("What is the cat")["input_ids"]),)
    assert found.pieces == (("What", " is", " the", " ", "c", "a", "t"),)
    assert found.text(0) == "What is the cat"
    assert found.ends(0) == [4, 7, 11, 12, 13, 14, 15]


def test_every_kind_gives_the_same_tokens(tiny_lm: LanguageModel) -> None:
    ids = tiny_lm.tokenizer("What is")["input_ids"]
    for one in (ids, tuple(ids), torch.tensor(ids), np.array(ids), "What is", ["What is"]):
        assert encode_prompts(tiny_lm, one).rows == (tuple(ids),)
    mixed = encode_prompts(tiny_lm, ["What is", ids, torch.tensor(ids)])
    assert mixed.rows == (tuple(ids),) * 3
    assert mixed.lengths == (2, 2, 2)


def test_chat_turns_go_through_the_template(tiny_lm: LanguageModel) -> None:
    turns = [Turn("system", "Be short."), Turn("user", "What is it?")]
    wanted = tuple(encode(tiny_lm.tokenizer, turns))
    written = [{"role": turn.role, "content": turn.content} for turn in turns]
    assert encode_prompts(tiny_lm, turns).rows == (wanted,)
    assert encode_prompts(tiny_lm, [written, turns]).rows == (wanted, wanted)
    begun = encode_prompts(tiny_lm, [*written, {"role": "assistant", "content": "It is"}])
    assert begun.rows == (tuple(encode(tiny_lm.tokenizer, turns, "It is")),)


def test_a_character_split_over_tokens_belongs_to_its_last(tiny_lm: LanguageModel) -> None:
    ids = tiny_lm.tokenizer("aé is")["input_ids"]
    assert token_texts(tiny_lm.tokenizer, ids) == ("a", "", "é", " is")


def test_many_tokens_are_shown_in_part() -> None:
    assert show_tokens(["a", " b"]) == "'a' ' b'"
    assert show_tokens(["x"] * 41).endswith("... (41 tokens)")


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ([], "There are no prompts"),
        ("", "Prompt 0 is empty"),
        (["What is", "  "], "Prompt 1 is empty"),
        ([[]], "Prompt 0 is empty"),
        ([5, 4000], "Prompt 0 holds a token id outside the vocabulary of 384"),
        ([["What"]], "a prompt is a text, chat turns"),
        (3.5, "A prompt is a text, chat turns"),
        ([{"role": "user", "content": 3}], "A chat turn needs a role and a content"),
    ],
)
def test_what_is_no_prompt_is_refused(
    make_tiny: Callable[..., LanguageModel], prompts: object, said: str
) -> None:
    with pytest.raises(WorkbenchError, match=said):
        encode_prompts(make_tiny(), prompts)
