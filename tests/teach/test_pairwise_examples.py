from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.elicit.conversation import scale_tokens
from workbench.elicit.formats import PAIRWISE
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.teach.pairwise_examples import drawn_pairs, pair_examples, size_of, within_budget

LEVELS = np.repeat([0.1, 0.4, 0.45, 0.9], 3)


@given(st.integers(1, 60), st.integers(0, 1000))
def test_pairs_come_from_different_bins_and_the_better_one_is_first_in_turn(
    count: int, seed: int
) -> None:
    pairs = drawn_pairs(LEVELS, count, seed)
    assert len(pairs) == count
    difference = LEVELS[pairs[:, 0]] - LEVELS[pairs[:, 1]]
    assert (pairs // 3 != pairs[:, ::-1] // 3).all()
    assert ((difference > 0) == (np.arange(count) % 2 == 0)).all()
    assert (drawn_pairs(LEVELS, count, seed) == pairs).all()


def test_bins_that_are_alike_make_no_pairs() -> None:
    with pytest.raises(WorkbenchError, match="no pairs to compare"):
        drawn_pairs(np.full(12, 0.5), 3, 0)


def test_an_example_asks_about_both_and_ends_in_the_better_ones_name(
    tiny_lm: LanguageModel,
) -> None:
    questions = [f"What is {i} plus {i}?" for i in range(12)]
    examples = pair_examples(tiny_lm, questions, LEVELS, 6, 0)
    trie = scale_tokens(tiny_lm.tokenizer, PAIRWISE).trie
    names = dict(zip(PAIRWISE.scale.texts, trie.ends, strict=True))
    for number, (first, second) in enumerate(drawn_pairs(LEVELS, 6, 0)):
        text = tiny_lm.tokenizer.decode(examples[number].prompt)
        assert f"Q1: {questions[first]}" in text
        assert f"Q2: {questions[second]}" in text
        better = "Q1" if number % 2 == 0 else "Q2"
        place = examples[number].places[0]
        assert (
            dict(zip(place.tokens, place.probabilities, strict=True))[names[better][0][0][1]] == 1.0
        )


def test_a_budget_takes_the_first_examples_that_fit(tiny_lm: LanguageModel) -> None:
    examples = pair_examples(tiny_lm, [f"Is {i} odd?" for i in range(12)], LEVELS, 4, 0)
    sizes = [size_of(example) for example in examples]
    assert within_budget(examples, sum(sizes[:2])) == examples[:2]
    assert within_budget(examples, sum(sizes[:2]) - 1) == examples[:1]
    assert within_budget(examples, 0) == examples[:1]
