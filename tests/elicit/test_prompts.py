from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from workbench.elicit.format import Layout
from workbench.elicit.prompts import RATINGS, TERMS, Voice, compose
from workbench.errors import WorkbenchError

SINGLE: tuple[Layout, ...] = (
    "two-turn",
    "one-turn",
    "confidence-first",
    "question-alone",
    "review",
)


@pytest.mark.parametrize(("layout", "name"), product(SINGLE, RATINGS))
def test_every_scale_goes_with_every_layout(layout: Layout, name: str) -> None:
    """The scale's own words stand in the question or, where the answer's reply states the
    confidence, in the system turn.
    """
    rating = RATINGS[name]
    fmt = compose("made", layout, rating)
    asked = fmt.confidence_question or fmt.system
    assert rating.how.replace("?", "?" if fmt.confidence_question else ".", 1) in asked
    assert (rating.sure in asked) if rating.sure else ("correct" in asked)
    assert "{sure}" not in asked
    assert (fmt.scale, fmt.confidence_prefix, fmt.ending) == (
        rating.scale,
        rating.opening,
        rating.ending,
    )
    if not fmt.confidence_question:
        assert f'"{rating.opening}"' in fmt.system
        assert '"Answer:"' in fmt.system


def test_the_scale_is_named_as_it_is_read() -> None:
    """Each text of a worded scale is spelled in its question; the ends of each numeric one are,
    without decimals.
    """
    for rating in RATINGS.values():
        ends = [
            f"{float(text):.0f}"
            for text in rating.scale.texts[:: len(rating.scale.texts) - 1]
            if rating.scale.reader != "words"
        ]
        texts = ends or rating.scale.texts
        assert all(text in rating.how for text in texts)


def test_letters_stand_for_the_terms_in_their_order() -> None:
    listed = RATINGS["letters"].how.splitlines()[1:]
    assert listed == [f"{letter}. {term}" for letter, term in zip("ABCDEF", TERMS, strict=True)]
    scale, words = RATINGS["letters"].scale, RATINGS["words"].scale
    for line in listed:
        letter, term = line.split(". ")
        assert scale.shares[scale.texts.index(letter)] == words.shares[words.texts.index(term)]


def test_the_eight_combinations_differ_in_what_they_should() -> None:
    rows = {
        (name, voice, options): compose("x", "review", RATINGS[name], voice=voice, options=options)
        for name, voice, options in product(("hundred", "words"), get_args(Voice), (True, False))
    }
    choice = "Which?\nA. Red\nB. Blue"
    texts = {key: row.confidence_turns(choice, "A")[0].content for key, row in rows.items()}
    assert len(set(texts.values())) == 8
    for (name, voice, options), text in texts.items():
        assert ("A language model was asked" in text) == (voice == "third")
        assert ("your answer" in text.lower()) == (voice == "own")
        assert ("B. Blue" in text) == options
        assert ("answer was: Red" in text) == (not options)
        assert ("Very uncertain" in text) == (name == "words")
        assert ("from 1 to 100" in text) == (name == "hundred")


@pytest.mark.parametrize("layout", ["two-turn", "one-turn", "confidence-first"])
def test_the_third_person_needs_a_conversation_of_its_own(layout: Layout) -> None:
    with pytest.raises(
        WorkbenchError, match="for the third person use the layout 'review' or 'question-alone'"
    ):
        compose("x", layout, RATINGS["percent"], voice="third")
    assert (
        "a language model can"
        in compose("x", "question-alone", RATINGS["percent"], voice="third").confidence_question
    )


def test_reasoning_comes_before_the_answer() -> None:
    for layout in ("two-turn", "one-turn"):
        fmt = compose("x", layout, RATINGS["digit"], reasoning=True)  # type: ignore[arg-type]
        assert fmt.system.index('"Reasoning:"') < fmt.system.index('"Answer:"')
        assert fmt.answer_opening("So.") == "Reasoning: So.\nAnswer:"
