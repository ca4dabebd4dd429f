"""Decide when two answers to a question are the same answer, by this package's reading of answers.

:func:`answer_key` is an equivalence: numbers by value, choices by letter, other answers as words
without case, accents, punctuation and articles. :func:`agrees` is wider, as grading is: an open
answer that contains the other as whole words agrees with it. It is symmetric but not transitive, so
it compares with one answer and never forms groups.
"""

from __future__ import annotations

from collections.abc import Hashable

from workbench.questions import Question, chosen_number, chosen_option, contains_alias
from workbench.questions.normalise import keys
from workbench.questions.words import ARTICLES

Key = tuple[Hashable, ...]


def answer_key(answer: str, question: Question) -> Key:
    """Return the key that answers have in common if they are the same; () for an answer without
    words.
    """
    if question.kind == "numeric":
        number = chosen_number(answer, question.text)
        if number is not None:
            return (number,)
    if question.kind == "choice":
        letter = chosen_option(answer, question.options)
        if letter is not None:
            return (letter,)
    found = keys(answer)
    return tuple(key for key in found if key not in ARTICLES) or tuple(found)


def agrees(one: str, other: str, question: Question) -> bool:
    """Return whether two answers are the same, or one open answer contains the other."""
    first, second = answer_key(one, question), answer_key(other, question)
    if first == second:
        return True
    if question.kind != "open" or not first or not second:
        return False
    return contains_alias(one, other, question.text) or contains_alias(other, one, question.text)
