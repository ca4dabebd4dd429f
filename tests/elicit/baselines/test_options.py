from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.forced import OPTIONS, forced_batch
from workbench.elicit.baselines.options import OptionProbabilities, read_options
from workbench.elicit.baselines.queries import option_spellings
from workbench.elicit.formats import format_named
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel

PERCENT = format_named("percent")
MakeAsked = Callable[[LanguageModel], list[Asked]]


@pytest.mark.parametrize(
    ("family", "tokenizer"), [("llama", "digits"), ("mistral", "merged_space")]
)
def test_an_option_is_as_likely_as_its_likeliest_spelling(
    make_tiny: Callable[..., LanguageModel],
    make_choices: MakeAsked,
    brute: Any,
    family: str,
    tokenizer: str,
) -> None:
    lm = make_tiny(family, tokenizer)
    asked = make_choices(lm)
    found = read_options(
        lm, PERCENT.answer_prefix, [one.prompt for one in asked], [one.options for one in asked]
    )
    assert found.letters == ("A", "B", "C")
    assert np.isnan(found.probability).tolist() == [[False, False, True], [False] * 3]
    for row, one in enumerate(asked):
        strings = [string for spellings in option_spellings(found.letters) for string in spellings]
        plain = dict(
            zip(strings, brute(lm).spelled(one.turns[:-1], "Answer:", strings), strict=True)
        )
        best = [
            max(plain[string] for string in option_spellings((letter,))[0])
            for letter in one.options
        ]
        np.testing.assert_allclose(found.probability[row][: len(best)], best, rtol=1e-4)
        assert found.chosen[row] == one.options[int(np.argmax(best))]
        assert found.p_ic[row] == pytest.approx(max(best) / sum(best), rel=1e-4)
        assert found.mass[row] == pytest.approx(sum(best), rel=1e-4)


def test_it_is_the_p_ic_of_the_baselines(tiny_lm: LanguageModel, make_choices: MakeAsked) -> None:
    asked = make_choices(tiny_lm)
    found = read_options(
        tiny_lm,
        PERCENT.answer_prefix,
        [one.prompt for one in asked],
        [one.options for one in asked],
    )
    table = forced_batch(tiny_lm, PERCENT, asked, np.arange(2), [OPTIONS])
    np.testing.assert_allclose(found.p_ic, table["p_ic"], rtol=1e-5)
    np.testing.assert_allclose(found.largest, table["max_softmax"], rtol=1e-5)


def test_a_lower_case_spelling_may_be_the_likeliest(
    tiny_lm: LanguageModel, make_choices: MakeAsked
) -> None:
    ids = tiny_lm.tokenizer.convert_tokens_to_ids(["b"])
    prompt = make_choices(tiny_lm)[0].prompt
    before = read_options(tiny_lm, PERCENT.answer_prefix, [prompt], [("A", "B")])
    with torch.no_grad():
        # The state behind the prompt decides which way a row of the head must point to be likely
        # there.
        head = tiny_lm.head().weight
        state = (
            tiny_lm.base().model(input_ids=torch.tensor([list(prompt)])).last_hidden_state[0, -1]
        )
        head[ids] = 5 * state / state.norm() ** 2
        logits = tiny_lm.base()(input_ids=torch.tensor([list(prompt)])).logits[0, -1]
    after = read_options(tiny_lm, PERCENT.answer_prefix, [prompt], [("A", "B")])
    assert after.probability[0, 1] == pytest.approx(float(logits.softmax(-1)[ids[0]]), rel=1e-4)
    assert after.probability[0, 1] > before.probability[0, 1]


def test_shares_by_hand() -> None:
    found = OptionProbabilities(
        ("A", "B", "C"), np.array([[0.1, 0.3, np.nan], [0.2, 0.2, 0.1], [0.0, 0.0, 0.0]])
    )
    assert found.chosen == ("B", "A", "A")
    np.testing.assert_allclose(found.p_ic, [0.75, 0.4, np.nan])
    np.testing.assert_allclose(found.mass, [0.4, 0.5, 0.0])
    np.testing.assert_allclose(found.largest, [0.3, 0.2, 0.0])


def test_a_question_without_options_is_refused(tiny_lm: LanguageModel) -> None:
    with pytest.raises(WorkbenchError, match="choice questions"):
        read_options(tiny_lm, "Answer:", [(5, 6)], [()])
