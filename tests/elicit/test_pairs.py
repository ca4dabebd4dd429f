from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import workbench.elicit.confidence_table
from workbench.elicit.formats import FORMATS, PAIRWISE
from workbench.elicit.pairs import ask_pairs, neighbours
from workbench.elicit.readout import read_confidence
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, render
from workbench.pipeline.store import StageStore, run_parts

QUESTIONS = ["Who?", "What is 48 + 37?", "In which country is the city of Lyon, and since when?"]
PAIRS = [(0, 1), (1, 2), (2, 0)]


def chosen_first(lm: LanguageModel, first: str, second: str) -> tuple[float, float]:
    """Probability of Q1 among Q1 and Q2, and of both, from two strings scored by the model's own
    forward.
    """
    tokenizer = lm.tokenizer
    text = render(tokenizer, PAIRWISE.pair_turns(first, second), PAIRWISE.confidence_prefix)
    before = tokenizer(text, add_special_tokens=False)["input_ids"]
    found = []
    for said in (" Q1", " Q2"):
        ids = tokenizer(text + said, add_special_tokens=False)["input_ids"]
        assert ids[: len(before)] == before
        with torch.no_grad():
            steps = lm.base()(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
        shared = len(before) + (2 if len(ids) - len(before) == 3 else 0)
        found.append(np.exp(sum(float(steps[at - 1, ids[at]]) for at in range(shared, len(ids)))))
    return found[0] / sum(found), sum(found)


@pytest.mark.parametrize("kind", ["digits", "whole_numbers"])
def test_both_orders_equal_scoring_both_texts(
    make_tiny: Callable[..., LanguageModel], kind: str
) -> None:
    lm = make_tiny("llama", tokenizer=kind)
    table = ask_pairs(lm, QUESTIONS, PAIRS, tokens_per_forward=500)
    assert list(zip(table["q1"], table["q2"], strict=True)) == PAIRS
    for row, (first, second) in enumerate(PAIRS):
        shown, mass = chosen_first(lm, QUESTIONS[first], QUESTIONS[second])
        swapped, mass_swapped = chosen_first(lm, QUESTIONS[second], QUESTIONS[first])
        assert table["p_first"][row] == pytest.approx(shown, abs=1e-5)
        assert table["p_first_swapped"][row] == pytest.approx(1 - swapped, abs=1e-5)
        assert table["combined"][row] == pytest.approx((shown + 1 - swapped) / 2, abs=1e-5)
        assert table["consistent"][row] == ((shown > 0.5) == (swapped < 0.5))
        assert table["mass"][row] == pytest.approx(mass, rel=1e-4)
        assert table["mass_swapped"][row] == pytest.approx(mass_swapped, rel=1e-4)


def test_a_taste_for_one_place_cancels(tiny_lm: LanguageModel) -> None:
    """A model without memory writes Q1 whatever is asked: consistent nowhere, combined one half
    everywhere.
    """
    token = {c: tiny_lm.tokenizer(c)["input_ids"][0] for c in " Q1"}
    with torch.no_grad():
        for layer in tiny_lm.base().model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        tiny_lm.embedding().weight.zero_()
        tiny_lm.head().weight.zero_()
        for place, (now, then) in enumerate([(" ", "Q"), ("Q", "1")]):
            tiny_lm.embedding().weight[token[now], place] = 1.0
            tiny_lm.head().weight[token[then], place] = 10.0
        tiny_lm.embedding().weight[token["1"], 2] = 1.0
        tiny_lm.head().weight[tiny_lm.tokenizer.eos_token_id, 2] = 10.0
    table = ask_pairs(tiny_lm, QUESTIONS, PAIRS)
    assert table["p_first"].to_numpy() == pytest.approx(1, abs=1e-6)
    assert table["p_first_swapped"].to_numpy() == pytest.approx(0, abs=1e-6)
    assert table["combined"].to_numpy() == pytest.approx(0.5, abs=1e-6)
    assert not table["consistent"].any()
    assert list(table["stated_text"]) == ["Q1"] * 3
    assert list(table["chose_first"]) == [1.0] * 3
    assert list(table["chose_first_swapped"]) == [0.0] * 3


@given(st.integers(3, 60), st.integers(0, 1000))
def test_neighbours_name_every_question_twice(count: int, seed: int) -> None:
    pairs = neighbours(count, seed)
    assert len(pairs) == len({frozenset(pair) for pair in pairs}) == count
    assert pd.Series([row for pair in pairs for row in pair]).value_counts().eq(2).all()
    assert pairs == neighbours(count, seed)


@pytest.mark.parametrize("pairs", [[(0, 0)], [(0, 3)], [(-1, 0)]])
def test_pairs_name_two_questions_there_are(
    tiny_lm: LanguageModel, pairs: list[tuple[int, int]]
) -> None:
    with pytest.raises(WorkbenchError, match="must name two of the 3 questions"):
        ask_pairs(tiny_lm, QUESTIONS, pairs)


def test_what_is_no_pair_is_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="one question at a time; use ask"):
        ask_pairs(tiny_lm, QUESTIONS, PAIRS, FORMATS["percent"])
    with pytest.raises(WorkbenchError, match="no pairs to ask"):
        ask_pairs(tiny_lm, QUESTIONS, [])
    with pytest.raises(WorkbenchError, match="at least three questions"):
        neighbours(2, 0)


def test_a_killed_process_goes_on_behind_its_last_batch(
    tiny_lm: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stage, calls = (
        ask_pairs(tiny_lm, QUESTIONS, PAIRS, tokens_per_forward=1),
        StageStore(tmp_path, "key"),
        [],
    )

    def counted(*args: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return read_confidence(*args, **more)

    monkeypatch.setattr(workbench.elicit.confidence_table, "read_confidence", counted)
    with pytest.raises(KeyboardInterrupt):
        ask_pairs(tiny_lm, QUESTIONS, PAIRS, tokens_per_forward=1, run=partial(run_parts, stage))
    resumed = ask_pairs(
        tiny_lm, QUESTIONS, PAIRS, tokens_per_forward=1, run=partial(run_parts, stage)
    )
    pd.testing.assert_frame_equal(resumed, whole)
    assert len(calls) == 5 + 2 * len(PAIRS) - 4
