"""Compose the words of a format from ingredients: any scale with any layout.

A :class:`Rating` is a scale with the words that ask for it; a layout gives the clause that is asked
or told; a voice presents the answer as the model's or as another model's. :func:`compose` puts them
together, so a new scale is one more row and combines with every layout and voice. Yes/no scales ask
whether the answer is correct, the others how sure the model is that it is.

Where the ingredients come from: percent in a second turn, and a digit in the answer's reply, from
teaching a model to state what a probe reads ("Making LLMs Say What They Know"); six terms of
certainty, 1 to 100, options and the third person from Kumar et al. 2024, arXiv 2405.16282; (i) no,
(ii) yes from Kapoor et al. 2024, arXiv 2406.08391; yes/no after the answer and with the question
alone from Kadavath et al. 2022, arXiv 2207.05221; 0 to 10 from arXiv 2503.02623; a probability in
the answer's reply and the choice between two questions from Steyvers et al. 2025, arXiv 2510.05126.
The words were written for this project.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from workbench.elicit import scales
from workbench.elicit.format import Format, Layout
from workbench.elicit.scales import Scale
from workbench.errors import WorkbenchError

Voice = Literal["own", "third"]


@dataclass(frozen=True)
class Rating:
    """A scale and the words that ask for it.

    Attributes:
        sure: what the model is asked to be, "confident" or "certain"; "" where it is asked whether
            the answer is correct.
        how: closes the question, its question mark included.
        opening: opens the reply.
        ending: written after the confidence in training targets.
    """

    scale: Scale
    how: str
    sure: str = "confident"
    opening: str = "Confidence:"
    ending: str = ""


TERMS = tuple(reversed(scales.CERTAINTY.texts))
_LETTERED = "".join(f"\n{letter}. {term}" for letter, term in zip("ABCDEF", TERMS, strict=True))

RATINGS: dict[str, Rating] = {
    "percent": Rating(scales.PERCENT, ", from 0% to 100%?", ending="%"),
    "hundred": Rating(scales.HUNDRED, ", on a scale from 1 to 100?"),
    "digit": Rating(scales.DIGIT, ", on a scale from 0 to 9?"),
    "ten": Rating(scales.TEN, ", on a scale from 0 to 10?"),
    "tenths": Rating(scales.TENTHS, ", as a probability between 0 and 1 with one decimal?"),
    "probability": Rating(
        scales.HUNDREDTHS, ", as a probability between 0 and 1 with two decimals?"
    ),
    "words": Rating(
        scales.CERTAINTY, f"? Choose one of: {', '.join(TERMS)}.", "certain", "Certainty:"
    ),
    "letters": Rating(
        scales.CERTAINTY_LETTERS, f"? Reply with one letter.{_LETTERED}", "certain", "Letter:"
    ),
    "yes-no": Rating(scales.YES_NO, "? Choose Yes or No.", "", "Correct:"),
    "i-ii": Rating(scales.ROMAN, "?\n(i) no\n(ii) yes", "", "Answer:"),
}

_ASKED: dict[tuple[Layout, Voice], tuple[str, str]] = {
    ("two-turn", "own"): (
        "How {sure} are you that this answer is correct",
        "Is the proposed answer correct",
    ),
    ("question-alone", "own"): (
        "How {sure} are you that you can answer this question correctly",
        "Can you answer this question correctly",
    ),
    ("question-alone", "third"): (
        "How {sure} are you that a language model can answer this question correctly",
        "Can a language model answer this question correctly",
    ),
    ("review", "own"): ("How {sure} are you that your answer is correct", "Is your answer correct"),
    ("review", "third"): (
        "How {sure} is the language model that its answer is correct",
        "Is the language model's answer correct",
    ),
}
_TOLD: dict[Layout, tuple[str, str]] = {
    "one-turn": (
        "how {sure} you are that this answer is correct",
        "whether this answer is correct",
    ),
    "confidence-first": (
        "how {sure} you are that you can answer correctly",
        "whether you can answer correctly",
    ),
}
_QUOTED: dict[tuple[Layout, Voice], str] = {
    ("question-alone", "own"): "Question: {question}\n\n",
    ("question-alone", "third"): "Question: {question}\n\n",
    ("review", "own"): "You were asked this question: {question}\n\nYour answer was: {answer}\n\n",
    (
        "review",
        "third",
    ): "A language model was asked this question: {question}\n\nIts answer was: {answer}\n\n",
}
_ANSWER, _REASONING = "Answer:", "Reasoning:"
_ANSWERED = "Answer with only the answer."
_REASONED = (
    f'First think step by step in a few sentences, after "{_REASONING}". '
    f'Then, on a new line after "{_ANSWER}", write only the answer.'
)


def compose(
    name: str,
    layout: Layout,
    rating: Rating,
    *,
    voice: Voice = "own",
    options: bool = True,
    reasoning: bool = False,
    second_thought: bool = False,
) -> Format:
    """Compose the format ``name`` from these ingredients.

    Raises:
        WorkbenchError: where the layout has no such voice.
    """
    if voice == "third" and (layout, voice) not in _ASKED:
        raise WorkbenchError(
            f"Format {name!r}: the layout {layout!r} speaks to the model of its own answer; for "
            "the third person use the "
            "layout 'review' or 'question-alone'."
        )
    return Format(
        name=name,
        system=_system(layout, rating, reasoning),
        answer_prefix=_ANSWER,
        confidence_question=_question(layout, rating, voice),
        confidence_prefix=rating.opening,
        separator=" ",
        ending=rating.ending,
        scale=rating.scale,
        layout=layout,
        reasoning_prefix=_REASONING if reasoning else "",
        options=options,
        second_thought=second_thought,
    )


def _clause(pair: tuple[str, str], rating: Rating) -> str:
    degree, truth = pair
    return (degree.replace("{sure}", rating.sure) if rating.sure else truth) + rating.how


def _question(layout: Layout, rating: Rating, voice: Voice) -> str:
    if layout in _TOLD:
        return ""
    return _QUOTED.get((layout, voice), "") + _clause(_ASKED[layout, voice], rating)


def _system(layout: Layout, rating: Rating, reasoning: bool) -> str:
    answered = _REASONED if reasoning else _ANSWERED
    if layout not in _TOLD:
        return answered
    told = _clause(_TOLD[layout], rating).replace("?", ".", 1)
    if layout == "confidence-first":
        first = f'First, after "{rating.opening}", write {told}'
        return f'{first}\nThen, on the next line after "{_ANSWER}", write only the answer.'
    opened = answered if reasoning else f'Write only the answer, after "{_ANSWER}".'
    return f'{opened} Then, on the next line after "{rating.opening}", write {told}'
