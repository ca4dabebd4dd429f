from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.settings import BaselineSettings
from workbench.elicit.baselines.top_k import (
    Guess,
    list_prompt,
    list_scores,
    listed_batch,
    parse_guesses,
)
from workbench.models import LanguageModel

MakeAsked = Callable[[LanguageModel], list[Asked]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1. Paris - 80%\n2. Lyon - 15 %", [("Paris", 0.8), ("Lyon", 0.15)]),
        ("1. Paris – 80%.\n\n2. Lyon - 15%", [("Paris", 0.8)]),
        ("1. Aix-en-Provence - 7.5%", [("Aix-en-Provence", 0.075)]),
        ("1. Paris - 80%\nThat is all.\n2. Lyon - 15%", [("Paris", 0.8)]),
        ("1. Paris - 80%\n3. Lyon - 15%", [("Paris", 0.8)]),
        ("1. a - 1%\n2. b - 2%\n3. c - 3%\n4. d - 4%", [("a", 0.01), ("b", 0.02), ("c", 0.03)]),
        ("Paris - 80%", []),
        ("1. Paris - 180%", []),
        ("1. Paris: 80%", []),
        ("1. Paris - likely", []),
        ("1. - 80%", []),
        ("", []),
    ],
)
def test_only_well_formed_lines_count(text: str, expected: list[tuple[str, float]]) -> None:
    assert [(guess.answer, guess.probability) for guess in parse_guesses(text, 3)] == [
        (answer, pytest.approx(probability)) for answer, probability in expected
    ]


@given(st.text())
def test_any_text_gives_guesses_with_probabilities(text: str) -> None:
    for guess in parse_guesses(text, 5):
        assert 0 <= guess.probability <= 1
        assert guess.answer.strip() == guess.answer != ""


@given(
    st.lists(
        st.tuples(st.from_regex(r"[a-z]+( [a-z]+)?", fullmatch=True), st.integers(0, 100)),
        max_size=6,
    )
)
def test_what_is_asked_for_is_read_back(guesses: list[tuple[str, int]]) -> None:
    text = "\n".join(
        f"{i}. {answer} - {percent}%" for i, (answer, percent) in enumerate(guesses, start=1)
    )
    assert parse_guesses(text, 6) == tuple(
        Guess(answer, percent / 100) for answer, percent in guesses
    )


def test_scores_of_a_list(tiny_lm: LanguageModel, make_asked: MakeAsked) -> None:
    paris = make_asked(tiny_lm)[0]
    guesses = (Guess("Lyon", 0.5), Guess("Paris, France", 0.2), Guess("paris", 0.3))
    assert list_scores(guesses, paris) == (0.3, 0.5)
    assert list_scores(guesses[:1], paris) == (0.0, 0.5)
    assert all(math.isnan(score) for score in list_scores((), paris))


def test_lists_are_the_host_librarys_greedy_replies(
    tiny_lm: LanguageModel, make_asked: MakeAsked
) -> None:
    asked = make_asked(tiny_lm)
    table = listed_batch(tiny_lm, asked, np.arange(4), BaselineSettings(list_tokens=9))
    for row, one in enumerate(asked):
        prompt = list_prompt(tiny_lm.tokenizer, one.question.text, 4)
        ids = torch.tensor([prompt])
        out = tiny_lm.base().generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=9,
            pad_token_id=0,
        )
        new = out[0, len(prompt) :]
        assert table["text"][row] == "1." + tiny_lm.tokenizer.decode(new, skip_special_tokens=True)
        assert table["tokens"][row] == len(prompt) + len(new) - 1
        assert table["guesses"][row] == 0
        assert np.isnan(table["listed"][row])
