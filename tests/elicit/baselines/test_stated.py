from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.stated import stated_batch
from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import format_named
from workbench.elicit.readout import expected_confidence, read_confidence
from workbench.models import LanguageModel

PERCENT = format_named("percent")


@pytest.mark.parametrize("tokenizer", ["digits", "whole_numbers"])
def test_it_is_the_readout_of_the_elicitation_room(
    make_tiny: Callable[..., LanguageModel],
    make_asked: Callable[[LanguageModel], list[Asked]],
    tokenizer: str,
) -> None:
    lm = make_tiny(tokenizer=tokenizer)
    asked, numbers = make_asked(lm), scale_tokens(lm.tokenizer, PERCENT)
    table = stated_batch(lm, PERCENT, numbers, asked, np.arange(4))
    whole = [
        confidence_conversation(lm.tokenizer, PERCENT, numbers, one.question.text, one.answer)
        for one in asked
    ]
    reading = read_confidence(lm, whole, numbers)
    expected = expected_confidence(
        reading.distribution, PERCENT.scale.values, PERCENT.scale.certain
    )
    np.testing.assert_allclose(table["expected"], expected)
    np.testing.assert_array_equal(table["stated"], reading.stated)
    nodes = numbers.trie.tree.size
    assert table["expected.tokens"].tolist() == [len(one.tokens) + nodes for one in whole]
    assert (table["stated.tokens"] >= [len(one.tokens) for one in whole]).all()
