from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from workbench.elicit.baselines.answered_question import Asked
from workbench.elicit.baselines.forced import OPTIONS, chain_tokens, forced_batch
from workbench.elicit.baselines.queries import AFTER_ANSWER, option_spellings
from workbench.elicit.formats import format_named
from workbench.elicit.greedy import stop_at_newline
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, Turn, encode

PERCENT = format_named("percent")
MakeAsked = Callable[[LanguageModel], list[Asked]]


@pytest.mark.parametrize(
    ("family", "tokenizer"), [("llama", "digits"), ("mistral", "merged_space"), ("gpt2", "digits")]
)
def test_every_number_is_that_of_plain_forwards(
    make_tiny: Callable[..., LanguageModel],
    make_asked: MakeAsked,
    brute: Any,
    family: str,
    tokenizer: str,
) -> None:
    lm = make_tiny(family, tokenizer)
    asked = make_asked(lm)
    table = forced_batch(lm, PERCENT, asked, np.arange(len(asked)), ["p_true", "p_true_ii"])
    plain, stop = brute(lm), stop_at_newline(lm)
    for row, one in enumerate(asked):
        log, start = plain.log_probabilities(one.answered), len(one.prompt)
        forced = sum(float(log[at - 1, one.answered[at]]) for at in range(start, len(one.answered)))
        expected = forced + float(log[-1, stop].logsumexp(dim=-1))
        assert table["log_likelihood"][row] == pytest.approx(expected, abs=1e-4)
        assert table["scored"][row] == one.answer_size + 1
        entropy = float(torch.distributions.Categorical(logits=log[start - 1]).entropy())
        assert table["entropy"][row] == pytest.approx(entropy, abs=1e-5)
        assert table["tokens"][row] == len(one.answered)
        for name, query in AFTER_ANSWER.items():
            turns = (*one.turns, Turn("user", query.text))
            strings = [string for spellings in query.spellings for string in spellings]
            found = dict(zip(strings, plain.spelled(turns, query.opening, strings), strict=True))
            best = [max(found[string] for string in spellings) for spellings in query.spellings]
            assert table[name][row] == pytest.approx(best[query.chosen] / sum(best), rel=1e-4)


def test_costs_count_the_tokens_of_each_question_alone(
    tiny_lm: LanguageModel, make_asked: MakeAsked
) -> None:
    asked = make_asked(tiny_lm)
    table = forced_batch(tiny_lm, PERCENT, asked, np.arange(len(asked)), ["p_true"])
    query = AFTER_ANSWER["p_true"]
    found = query.alternatives(tiny_lm.tokenizer)
    for row, one in enumerate(asked):
        whole = encode(tiny_lm.tokenizer, (*one.turns, Turn("user", query.text)), query.opening)
        assert table["p_true.tokens"][row] == len(whole) + len(found.shared) + found.nodes
    added = chain_tokens(tiny_lm.tokenizer, PERCENT, asked[:1], ["p_true"])
    assert len(asked[0].answered) + added == table["p_true.tokens"][0]


def test_rows_do_not_depend_on_their_batch(tiny_lm: LanguageModel, make_asked: MakeAsked) -> None:
    asked = make_asked(tiny_lm)
    together = forced_batch(tiny_lm, PERCENT, asked, np.arange(4), ["p_true"])
    for row, one in enumerate(asked):
        alone = forced_batch(tiny_lm, PERCENT, [one], np.asarray([row]), ["p_true"])
        np.testing.assert_allclose(alone.to_numpy()[0], together.to_numpy()[row], rtol=1e-4)


@pytest.mark.parametrize("tokenizer", ["digits", "merged_space"])
def test_options_are_weighed_at_the_answer_position(
    make_tiny: Callable[..., LanguageModel], make_choices: MakeAsked, brute: Any, tokenizer: str
) -> None:
    lm = make_tiny(tokenizer=tokenizer)
    asked = make_choices(lm)
    table = forced_batch(lm, PERCENT, asked, np.arange(2), [OPTIONS])
    letters = ("A", "B", "C")
    for row, one in enumerate(asked):
        strings = [string for spellings in option_spellings(letters) for string in spellings]
        found = dict(
            zip(strings, brute(lm).spelled(one.turns[:-1], "Answer:", strings), strict=True)
        )
        best = [
            max(found[string] for string in option_spellings((letter,))[0])
            for letter in one.options
        ]
        assert len(best) == row + 2
        assert table["max_softmax"][row] == pytest.approx(max(best), rel=1e-4)
        assert table["p_ic"][row] == pytest.approx(max(best) / sum(best), rel=1e-4)


def test_open_questions_have_no_options(tiny_lm: LanguageModel, make_asked: MakeAsked) -> None:
    with pytest.raises(WorkbenchError, match="choice questions"):
        forced_batch(tiny_lm, PERCENT, make_asked(tiny_lm), np.arange(4), [OPTIONS])
