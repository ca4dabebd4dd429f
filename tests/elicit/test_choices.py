from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

import workbench.elicit.confidence_table
from workbench.elicit.answer import Limits
from workbench.elicit.ask import GivenAnswer, ask_texts
from workbench.elicit.choices import ask_choice
from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.format import Format
from workbench.elicit.formats import FORMATS, other_order
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel, render

QUESTIONS = ["Who?", "What is 48 + 37?", "In which country is the city of Lyon, and since when?"]
SAID = [GivenAnswer("Ada"), GivenAnswer("85"), GivenAnswer("France")]


def by_strings(lm: LanguageModel, fmt: Format, row: int) -> tuple[float, float]:
    """P(commit) among both texts, and the mass of both, from each whole string's own forward."""
    tokenizer = lm.tokenizer
    said = SAID[row].answer if fmt.shows_answer else ""
    text = render(tokenizer, *fmt.confidence_request(QUESTIONS[row], said, ""))
    conversation = confidence_conversation(
        tokenizer, fmt, scale_tokens(tokenizer, fmt), QUESTIONS[row], said
    )
    begun, found = len(conversation.tokens), []
    for option in fmt.scale.texts:
        ids = tokenizer(text + fmt.separator + option, add_special_tokens=False)["input_ids"]
        assert tuple(ids[:begun]) == conversation.tokens
        with torch.no_grad():
            steps = lm.base()(input_ids=torch.tensor([ids])).logits[0].double().log_softmax(dim=-1)
        path = range(begun, len(ids))
        found.append(np.exp(sum(float(steps[at - 1, ids[at]]) for at in path)))
    return found[1] / sum(found), sum(found)


@pytest.mark.parametrize("kind", ["digits", "whole_numbers"])
@pytest.mark.parametrize("name", ["pass-before", "pass-after", "delegate-after-swapped"])
def test_both_orders_equal_scoring_whole_strings(
    make_tiny: Callable[..., LanguageModel], kind: str, name: str
) -> None:
    lm, fmt = make_tiny("llama", tokenizer=kind), FORMATS[name]
    said = SAID if fmt.shows_answer else None
    found = ask_choice(lm, QUESTIONS, fmt, said, tokens_per_forward=600, record=("confidence",))
    table = found.table
    for row in range(3):
        shown, mass = by_strings(lm, fmt, row)
        swapped, mass_swapped = by_strings(lm, other_order(fmt), row)
        assert table["p_commit_shown"][row] == pytest.approx(shown, abs=1e-5)
        assert table["p_commit_swapped"][row] == pytest.approx(swapped, abs=1e-5)
        assert table["p_commit"][row] == pytest.approx((shown + swapped) / 2, abs=1e-5)
        assert table["consistent"][row] == ((shown > 0.5) == (swapped > 0.5))
        assert table["mass"][row] == pytest.approx(mass, rel=1e-4)
        assert table["mass_swapped"][row] == pytest.approx(mass_swapped, rel=1e-4)
    assert found.states is not None
    assert found.states.shape[0] == 3
    assert found.states.shape[2] == 1
    assert [len(c.tokens) for c in found.conversations] == [len(c.tokens) for c in found.swapped]


def test_a_choice_is_what_the_format_alone_reads(tiny_lm: LanguageModel) -> None:
    limits, fmt = Limits(answer=4), FORMATS["pass-after"]
    alone = ask_texts(tiny_lm, QUESTIONS, fmt, limits=limits)
    said = [GivenAnswer(answer) for answer in alone.table["answer"]]
    found = ask_choice(tiny_lm, QUESTIONS, fmt, said).table
    assert found["p_commit_shown"].to_numpy() == pytest.approx(alone.table["expected"].to_numpy())
    assert found["stated_text"].tolist() == alone.table["stated_text"].tolist()
    assert found["passed"].to_numpy() == pytest.approx(
        1 - alone.table["stated"].to_numpy(), nan_ok=True
    )


def test_what_cannot_be_offered_is_refused_before_any_forward(
    tiny_lm: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*args: object, **options: object) -> None:
        raise AssertionError("a forward was run")

    monkeypatch.setattr(workbench.elicit.confidence_table, "read_confidence", forbidden)
    with pytest.raises(WorkbenchError, match=r"'percent' asks for a confidence and offers no turn"):
        ask_choice(tiny_lm, QUESTIONS, FORMATS["percent"], SAID)
    with pytest.raises(WorkbenchError, match="after the answer; give the answer to each of the 3"):
        ask_choice(tiny_lm, QUESTIONS, FORMATS["pass-after"])
    with pytest.raises(WorkbenchError, match="after the answer; give the answer to each of the 3"):
        ask_choice(tiny_lm, QUESTIONS, FORMATS["pass-after"], SAID[:2])
    with pytest.raises(WorkbenchError, match="before the answer; give no answers"):
        ask_choice(tiny_lm, QUESTIONS, FORMATS["pass-before"], SAID)
    with pytest.raises(WorkbenchError, match="no questions to offer a choice on"):
        ask_choice(tiny_lm, [], FORMATS["pass-before"])
