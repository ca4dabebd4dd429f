"""Define what a section of a page found, in words: a sentence with its numbers filled in, what
rules made of it, and what it does not show.

The words are text for readers; the numbers are those of the summary, rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Judgement:
    """A claim that a written rule judged.

    Attributes:
        sentence: the claim, or its denial.
        outcome: "holds", "does not hold" or "not clear"; of a published claim "confirmed",
            "contradicted" or "cannot tell".
        because: the numbers it rests on, one text a check.
        rule: how the outcome is reached.
    """

    sentence: str
    outcome: str
    because: Sequence[str]
    rule: str


@dataclass(frozen=True)
class Finding:
    """What a section found.

    Attributes:
        text: one or two sentences with the numbers.
        judged: the claims that the section bears out or not.
        limits: what the figure and its numbers do not show.
    """

    text: str
    judged: Sequence[Judgement] = ()
    limits: str = ""


@dataclass(frozen=True)
class CardNumber:
    """A number of the card as text: what it is, its value, its interval, and what it was before;
    the last two are "" without one.
    """

    label: str
    value: str
    interval: str = ""
    before: str = ""


@dataclass(frozen=True)
class Card:
    """What a page says at its head and as a picture to share.

    Attributes:
        sentence: the page's answer in one sentence.
        numbers: at most four.
        source: what it was measured on.
    """

    sentence: str
    numbers: Sequence[CardNumber]
    source: str
