"""Write the turns that offer a choice: to answer, or to pass or hand the question over.

A choice is what a model does with its confidence. It is a format like any other, with a scale of
two texts: the one that commits to the answer is worth 1, the other 0, so ``expected`` is the exact
probability of committing, over whole strings and normalised to the two, ``mass`` what the model
puts on either, and ``stated`` the choice that it writes. Before the answer the choice is offered
with the question alone; after it the model has answered and is asked whether to give that answer.
Every row has one with the two options in the other order, the control for a preference for the
option named first or last.

The stakes are told and make it worth answering from a probability of one half on: of a pass by
points, of an expert by how often the expert is right. What a choice does not show: words carry
preferences of their own, which no order takes out, so the level of P(commit) means less than what
moves it.

The paradigm is that of Kumaran 2026 (arXiv 2606.29490); the words were written for this project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from workbench.elicit.format import Format
from workbench.elicit.scales import ANSWER_OR_EXPERT, ANSWER_OR_PASS, Scale

When = Literal["before", "after"]


@dataclass(frozen=True)
class Offer:
    """What is offered in place of the answer.

    Attributes:
        stakes: what each option earns.
        commit, decline: the clauses of the two options, which continue "Will you"; that of
            committing before and after the answer.
        scale: the two texts, declining first.
    """

    stakes: str
    commit: Mapping[When, str]
    decline: str
    scale: Scale


OFFERS: dict[str, Offer] = {
    "pass": Offer(
        "A right answer earns a point, a wrong answer loses a point, and a pass earns nothing.",
        {"before": "answer this question", "after": "give this answer"},
        "pass",
        ANSWER_OR_PASS,
    ),
    "delegate": Offer(
        "A right answer earns a point. An expert, who is right half of the time, can answer in "
        "your place.",
        {"before": "answer this question yourself", "after": "give this answer yourself"},
        "hand the question over to the expert",
        ANSWER_OR_EXPERT,
    ),
}


def offer_name(offer: str, when: When, swapped: bool) -> str:
    """Return the name of the format of one of the ``OFFERS``."""
    return f"{offer}-{when}{'-swapped' if swapped else ''}"


def offer_format(offer: str, when: When, *, swapped: bool = False) -> Format:
    """Return the format that offers one of the ``OFFERS``, with the option to commit named first,
    or last if ``swapped``.
    """
    row = OFFERS[offer]
    decline, commit = row.scale.texts
    options = [(row.commit[when], commit), (row.decline, decline)]
    (clause, text), (other_clause, other_text) = reversed(options) if swapped else options
    asked = f"{row.stakes} Will you {clause}, or {other_clause}? Choose {text} or {other_text}."
    return Format(
        name=offer_name(offer, when, swapped),
        system="Answer with only the answer.",
        answer_prefix="Answer:",
        confidence_question=f"Question: {{question}}\n\n{asked}" if when == "before" else asked,
        confidence_prefix="Choice:",
        separator=" ",
        ending="",
        scale=row.scale,
        layout="question-alone" if when == "before" else "two-turn",
        offer=offer,
    )
