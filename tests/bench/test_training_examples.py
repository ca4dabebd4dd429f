from __future__ import annotations

from collections.abc import Callable

import pytest

from workbench.bench.training_examples import make_examples
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

MakeTiny = Callable[..., LanguageModel]


def test_examples_end_in_two_digit_numbers_behind_right_and_wrong_answers(
    tiny_lm: LanguageModel,
) -> None:
    examples = make_examples(tiny_lm, 24)
    assert len(examples) == 24
    assert len({len(example.places) for example in examples}) == 1
    decode = tiny_lm.tokenizer.decode
    texts = [
        decode([place.tokens[0] for place in example.places], skip_special_tokens=True)
        for example in examples
    ]
    stated = [int(text.strip().removesuffix("%")) for text in texts]
    assert all(60 <= value < 100 or 10 <= value < 40 for value in stated)
    assert 6 < sum(value >= 60 for value in stated) < 18
    assert [example.prompt for example in make_examples(tiny_lm, 24)] == [
        example.prompt for example in examples
    ]


def test_more_rows_than_questions_are_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="ask for at most as many rows"):
        make_examples(tiny_lm, 100_000)
