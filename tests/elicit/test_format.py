from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.elicit.format import Format
from workbench.elicit.scales import PERCENT, WHICH
from workbench.errors import WorkbenchError
from workbench.models import Turn

TWO = Format("two", "Be brief.", "Answer:", "How sure?", "Confidence:", " ", "%", PERCENT)
ONE = replace(TWO, name="one", confidence_question="", layout="one-turn")
FIRST = replace(ONE, name="first", layout="confidence-first")
ALONE = replace(
    TWO, name="alone", confidence_question="Sure of {question}?", layout="question-alone"
)
REVIEW = replace(
    TWO, name="review", confidence_question="Q: {question} A: {answer} Sure?", layout="review"
)
PAIR = replace(
    TWO, name="pair", confidence_question="{first} or {second}?", scale=WHICH, layout="pair"
)
REASONED = replace(ONE, name="reasoned", reasoning_prefix="Reasoning:")
ASKED = (Turn("system", "Be brief."), Turn("user", "Who?"))


def test_two_turns() -> None:
    assert TWO.answer_turns("Who?") == ASKED
    assert TWO.answer_opening() == "Answer:"
    assert TWO.confidence_turns("Who?", "Ada") == (
        *ASKED,
        Turn("assistant", "Answer: Ada"),
        Turn("user", "How sure?"),
    )
    assert TWO.confidence_opening("Ada") == "Confidence:"
    assert TWO.written("80") == " 80"


def test_one_turn() -> None:
    assert ONE.answer_turns("Who?") == ONE.confidence_turns("Who?", "Ada") == ASKED
    assert ONE.confidence_opening("Ada") == "Answer: Ada\nConfidence:"
    assert ONE.confidence_opening("") == "Answer:\nConfidence:"


def test_confidence_before_the_answer() -> None:
    assert FIRST.confidence_turns("Who?", "") == ASKED
    assert FIRST.confidence_opening("") == "Confidence:"
    assert FIRST.answer_opening(stated="80") == "Confidence: 80%\nAnswer:"


def test_reasoning_before_the_answer() -> None:
    assert REASONED.answer_opening("Because.") == "Reasoning: Because.\nAnswer:"
    assert REASONED.answer_opening("") == "Reasoning:\nAnswer:"
    assert REASONED.answer_text("Ada", "Because.") == "Reasoning: Because.\nAnswer: Ada"
    assert (
        REASONED.confidence_opening("Ada", "Because.")
        == "Reasoning: Because.\nAnswer: Ada\nConfidence:"
    )
    two = replace(TWO, reasoning_prefix="Reasoning:")
    assert two.confidence_turns("Who?", "Ada", "Because.")[2] == Turn(
        "assistant", REASONED.answer_text("Ada", "Because.")
    )


def test_a_conversation_apart_from_the_answers() -> None:
    assert ALONE.confidence_turns("Who?", "") == (Turn("user", "Sure of Who??"),)
    assert REVIEW.confidence_turns("Who?", "Ada") == (Turn("user", "Q: Who? A: Ada Sure?"),)
    assert PAIR.pair_turns("Who?", "Why?") == (Turn("user", "Who? or Why??"),)
    for fmt in (ALONE, REVIEW, PAIR):
        assert fmt.answer_turns("Who?") == ASKED
        assert fmt.confidence_opening("Ada") == "Confidence:"


def test_options_are_shown_or_not() -> None:
    """How to answer is not quoted; where the options are not shown, a letter would say nothing."""
    choice = "Which?\nA. Red\nB. Blue\nAnswer with one letter."
    assert (
        REVIEW.confidence_turns(choice, "B")[0].content == "Q: Which?\nA. Red\nB. Blue A: B Sure?"
    )
    hidden = replace(REVIEW, options=False)
    assert hidden.confidence_turns(choice, "B")[0].content == "Q: Which? A: Blue Sure?"
    assert replace(PAIR, options=False).pair_turns(choice, "Who?")[0].content == "Which? or Who??"


def test_which_layouts_show_the_answer() -> None:
    shown = {
        fmt.name for fmt in (TWO, ONE, FIRST, ALONE, REVIEW, PAIR, REASONED) if fmt.shows_answer
    }
    assert shown == {"two", "one", "review", "reasoned"}


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(["{question}", "{answer}", "{first}", "{second}", "{", "}"]),
        st.text(max_size=3),
    )
)


@given(question=TEXTS.map("".join), answer=TEXTS.map("".join))
def test_slots_spelled_in_a_question_or_answer_stay_text(question: str, answer: str) -> None:
    (turn,) = REVIEW.confidence_turns(question, answer)
    assert turn.content == "Q: " + question + " A: " + answer + " Sure?"
    (turn,) = PAIR.pair_turns(question, answer)
    assert turn.content == question + " or " + answer + "?"
    assert TWO.confidence_turns(question, answer)[1] == Turn("user", question)


@pytest.mark.parametrize(
    ("fmt", "change", "message"),
    [
        (TWO, {"layout": "three-turn"}, "unknown layout 'three-turn'; use one of two-turn"),
        (TWO, {"confidence_question": ""}, "'two-turn' needs a confidence_question"),
        (ONE, {"confidence_question": "Sure?"}, "'one-turn' needs no confidence_question"),
        (REVIEW, {"confidence_question": "Sure?"}, "must quote {question} and {answer}"),
        (PAIR, {"confidence_question": "{first}?"}, "must quote {second}"),
        (FIRST, {"reasoning_prefix": "Reasoning:"}, "would come after the confidence"),
    ],
)
def test_rows_that_make_no_sense_are_refused(
    fmt: Format, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(WorkbenchError, match=message):
        replace(fmt, **change)
