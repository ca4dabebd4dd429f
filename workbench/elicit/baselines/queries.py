"""Define the closed questions that baselines put to the model, each a row of data.

P(True) after Kadavath et al. 2022 (arXiv 2207.05221); the (i)/(ii) form after Kapoor et al. 2024
(arXiv 2406.08391). Spellings are what a reply may begin with; where several spell one alternative,
the most probable one counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from workbench.elicit.baselines.alternatives import Alternatives, alternatives
from workbench.models import Turn

YES, NO = (" Yes", " yes"), (" No", " no")


@dataclass(frozen=True)
class Query:
    """A closed question: a user turn and the opening of the reply to it.

    Attributes:
        text: the user's turn; may have fields in braces.
        opening: what the reply begins with.
        spellings: for each alternative, the strings that spell it.
        chosen: the alternative whose share is the score.
    """

    name: str
    text: str
    opening: str
    spellings: tuple[tuple[str, ...], ...]
    chosen: int

    def alternatives(self, tokenizer: Any) -> Alternatives:
        """Return the token paths by which the spellings continue the opening."""
        return _alternatives(tokenizer, self.opening, self.spellings)


AFTER_ANSWER: dict[str, Query] = {
    row.name: row
    for row in (
        Query("p_true", "Is this answer correct? Reply with Yes or No.", "Reply:", (YES, NO), 0),
        Query(
            "p_true_ii",
            "Is the proposed answer correct?\nChoices:\n(i) no\n(ii) yes",
            "Choice: (",
            (("i)",), ("ii)",)),
            1,
        ),
    )
}
"""Queries that are put after the model's answer."""

EQUIVALENCE = Query(
    "equivalence",
    "Question: {question}\nFirst answer: {first}\nSecond answer: {second}\n"
    "Does the first answer say the same as the second? Reply with Yes or No.",
    "Reply:",
    (YES, NO),
    0,
)
"""The query whether two answers mean the same, put without any conversation before it."""


def option_spellings(letters: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Return the ways to write each option's letter: case and leading space."""
    return tuple((letter, f" {letter}", letter.lower(), f" {letter.lower()}") for letter in letters)


@lru_cache(maxsize=64)
def _alternatives(
    tokenizer: Any, opening: str, spellings: tuple[tuple[str, ...], ...]
) -> Alternatives:
    return alternatives(tokenizer, (Turn("user", "?"),), opening, spellings)


def option_alternatives(tokenizer: Any, prefix: str, letters: tuple[str, ...]) -> Alternatives:
    """Return the token paths by which the letters of a choice question continue the opening
    ``prefix`` of its answer.
    """
    return _alternatives(tokenizer, prefix, option_spellings(letters))
