"""Grade replies as right, wrong or ungraded, from text alone, by the rule of the question's kind.

open       The alias occurs in the reply as whole words (:mod:`workbench.questions.aliases`). An
           alias that is a number is graded by the numeric rule.
numeric    The number the reply states (:mod:`workbench.questions.stated_number`) equals the answer
           as a number.
choice     The reply chooses an option whose letter is accepted (:mod:`workbench.questions.chosen`).
math       The reply's expression equals the answer's (:mod:`workbench.questions.exact`, which needs
           the package math-verify).
Always     A reply that equals an alias is right. Empty replies and refusals are wrong (after "but"
           a reply counts again), except that a choice is a choice whatever words it is made in. An
           alias inside words copied from the question (the alias and at least two words around it)
           does not count.
No answer  A question that has none (``answerable`` false) is answered right by a refusal, in the
           first person or by saying that the answer is unknown, cannot be known or does not exist.
           Anything else is wrong: an answer, a refusal followed by "but" and an answer, and an
           empty reply, which is a format failure and no judgement.
Ungraded   A reply of several readings (``1,234`` with a decimal comma), or that names several
           numbers or options and none finally, is right or wrong if it is so in every reading, and
           otherwise ungraded: it is counted and left out, never guessed. So the share of right
           replies is between that with the ungraded ones wrong and that with them right.

What this does not show: a denial far from the name it denies ("Paris is what it is not" is right
for Paris), a list of guesses one of which is right, truth beyond the listed aliases, refusals in
words that are not on the list of phrases.
"""

from __future__ import annotations

from workbench.questions.aliases import Grade, alias_grade, best, contains_alias, is_same
from workbench.questions.chosen import choice_read, chosen_letter, chosen_option
from workbench.questions.exact import math_grade
from workbench.questions.normalise import choice_letter, numeral_of
from workbench.questions.numeral import Numeral
from workbench.questions.refusals import after_refusal, declines, is_refusal
from workbench.questions.schema import Question
from workbench.questions.stated_number import chosen_number, stated_numbers

__all__ = [
    "Grade",
    "chosen_letter",
    "chosen_number",
    "chosen_option",
    "contains_alias",
    "declines",
    "grade",
    "grade_of",
    "is_refusal",
]


def grade(reply: str, question: Question) -> bool:
    """Return whether ``reply`` certainly gives an accepted answer of ``question``. It never raises,
    whatever the text.
    """
    return grade_of(reply, question) is Grade.RIGHT


def grade_of(reply: str, question: Question) -> Grade:
    """Grade ``reply`` to ``question``, ungraded where the rules cannot be sure. It never raises,
    whatever the text.
    """
    if not question.answerable:
        return Grade.RIGHT if declines(reply) else Grade.WRONG
    if question.kind == "choice":
        return _choice(reply, question)
    if any(is_same(reply, alias) for alias in question.answers):
        return Grade.RIGHT
    answer = after_refusal(reply)
    if answer is None:
        return Grade.WRONG
    if question.kind == "math":
        return math_grade(answer, question.answers)
    numerals = {alias: numeral_of(alias) for alias in question.answers}
    exact = [numeral for numeral in numerals.values() if numeral is not None]
    found = [_number(stated_numbers(answer, question.text), exact)] if exact else []
    if question.kind == "open":
        found += [
            alias_grade(answer, alias, question.text)
            for alias, numeral in numerals.items()
            if numeral is None
        ]
    return best(found)


def _choice(reply: str, question: Question) -> Grade:
    if any(reply.strip() == alias.strip() for alias in question.answers):
        return Grade.RIGHT
    accepted = {choice_letter(alias) for alias in question.answers}
    read = choice_read(reply, question.options)
    if not read.letters or (not (read.certain and len(read.letters) == 1) and is_refusal(reply)):
        return Grade.WRONG
    if read.certain and read.letters <= accepted:
        return Grade.RIGHT
    return Grade.UNGRADED if read.letters & accepted else Grade.WRONG


def _number(stated: list[Numeral], answers: list[Numeral]) -> Grade:
    """Return right if every number that may be stated is right, wrong if none may be right."""
    grades = [best([_same(number, answer) for answer in answers]) for number in stated]
    if not grades or all(each is Grade.WRONG for each in grades):
        return Grade.WRONG
    return Grade.RIGHT if all(each is Grade.RIGHT for each in grades) else Grade.UNGRADED


def _same(number: Numeral, answer: Numeral) -> Grade:
    if number.value is not None and number.value == answer.value:
        return Grade.RIGHT
    return Grade.UNGRADED if number.readings & answer.readings else Grade.WRONG
