from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from workbench.elicit.formats import FORMATS, described, other_order
from workbench.elicit.offers import OFFERS, offer_format
from workbench.elicit.scales import PERCENT
from workbench.errors import WorkbenchError
from workbench.models import render

OFFERED = [name for name, row in FORMATS.items() if row.offer]


def test_every_offer_stands_before_and_after_the_answer_in_both_orders() -> None:
    assert len(OFFERED) == 4 * len(OFFERS) == 8
    assert {FORMATS[name].layout for name in OFFERED} == {"question-alone", "two-turn"}
    assert all("-before" in n or "-after" in n for n in OFFERED)
    assert described(FORMATS["pass-after"]) == "two-turn; Pass, Answer; offers to pass"


def test_the_words_of_a_pass_and_its_twin() -> None:
    asked = FORMATS["pass-after"].confidence_question
    assert asked.endswith("Will you give this answer, or pass? Choose Answer or Pass.")
    swapped = FORMATS["pass-after-swapped"].confidence_question
    assert swapped.endswith("Will you pass, or give this answer? Choose Pass or Answer.")
    before = FORMATS["delegate-before"].confidence_question
    assert before.startswith("Question: {question}\n\n")
    assert before.endswith("Choose Myself or Expert.")


@pytest.mark.parametrize("name", OFFERED)
def test_the_twin_differs_in_the_order_of_options_alone(name: str) -> None:
    fmt = replace(FORMATS[name], thinking=True)
    twin = other_order(fmt)
    asked, other = (
        sorted(re.findall(r"\w+", row.confidence_question.lower())) for row in (fmt, twin)
    )
    assert asked == other
    assert twin.confidence_question != fmt.confidence_question
    assert replace(twin, name=fmt.name, confidence_question=fmt.confidence_question) == fmt
    assert other_order(twin) == fmt


def test_a_worked_example_commits_where_it_is_sure(make_tokenizer: Callable[[str], Any]) -> None:
    from workbench.elicit.examples import EXAMPLES

    fmt = replace(FORMATS["pass-before"], examples=EXAMPLES[:2])
    text = render(make_tokenizer("digits"), fmt.confidence_turns("Who?", ""), "Choice:")
    assert text.index("Choice: Answer") < text.index("Choice: Pass")


def test_what_is_no_choice_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="a choice has two texts, and this scale has 101"):
        replace(offer_format("pass", "after"), scale=PERCENT)
    with pytest.raises(WorkbenchError, match="'percent' has no twin"):
        other_order(FORMATS["percent"])
