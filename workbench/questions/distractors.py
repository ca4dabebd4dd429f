"""Make choice questions from open ones: wrong options are the answers of other questions of the
same domain.

For each question candidates are drawn by a hash of seed and question from the first accepted
answers of its domain (numbers for a number, words for words) and skipped unless grading calls them
wrong, for this question or for another wording-equal one, or when they equal an option already
chosen. So options are plausible, none but the first accepted answer is right by the set's own
aliases, and the same seed gives the same options whatever the order of the set. The place of the
right option comes from the same hash family (:func:`workbench.questions.choice.shuffled`).

What this does not show: that a distractor is false in the world. A domain in which several answers
fit a question that lists only one (a nationality held twice) gives options that are wrong by the
list alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from workbench.errors import WorkbenchError
from workbench.questions.choice import shuffled, with_options
from workbench.questions.grading import Grade, grade_of
from workbench.questions.hashing import hash_permutation
from workbench.questions.normalise import keys, number_of, question_key
from workbench.questions.schema import Question

Pool = tuple[str, bool]


def choice_questions(questions: Sequence[Question], options: int, seed: int) -> list[Question]:
    """Return every question as a choice among ``options`` options; those that are choices already
    are kept, shuffled by ``seed``.

    Raises:
        WorkbenchError: for questions without an answer and for domains with too few other answers.
    """
    if not 2 <= options <= 26:
        raise WorkbenchError(f"options is {options}; a choice question has 2 to 26.")
    accepted = _accepted(questions)
    pools = _pools(questions)
    return [
        shuffled(question, seed)
        if question.kind == "choice"
        else _choice(question, accepted, pools, options, seed)
        for question in questions
    ]


def _choice(
    question: Question,
    accepted: dict[str, tuple[str, ...]],
    pools: dict[Pool, list[str]],
    options: int,
    seed: int,
) -> Question:
    if not question.answers:
        raise WorkbenchError(
            f"Question {question.id!r} has no answer, so it cannot be a choice question; leave "
            "unanswerable questions out."
        )
    key, right = question_key(question.text), question.answers[0]
    strict = replace(question, answers=accepted[key], kind="open")
    chosen, pool = [right], pools[_pool_of(question)]
    for place in hash_permutation(len(pool), f"distractors:{seed}:{key}"):
        if len(chosen) == options:
            break
        candidate = pool[place]
        if grade_of(candidate, strict) is Grade.WRONG and all(
            _differ(candidate, other) for other in chosen
        ):
            chosen.append(candidate)
    if len(chosen) < options:
        raise WorkbenchError(
            f"The domain {question.domain!r} has too few other answers for {options} options "
            f"(question {question.id!r} "
            f"found {len(chosen) - 1}); ask for fewer options or add questions."
        )
    return shuffled(with_options(question, chosen, [right]), seed)


def _accepted(questions: Sequence[Question]) -> dict[str, tuple[str, ...]]:
    """Return the answers accepted for a question's normalised text anywhere in the set."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for question in questions:
        found[question_key(question.text)].update(dict.fromkeys(question.answers))
    return {key: tuple(answers) for key, answers in found.items()}


def _pools(questions: Sequence[Question]) -> dict[Pool, list[str]]:
    """Return the first answers by domain and whether they are numbers, each once, sorted so that
    the set's order does not matter.
    """
    found: dict[Pool, set[str]] = defaultdict(set)
    for question in questions:
        if question.kind != "choice" and question.answers:
            found[_pool_of(question)].add(question.answers[0])
    return {pool: sorted(answers) for pool, answers in found.items()}


def _pool_of(question: Question) -> Pool:
    return question.domain, number_of(question.answers[0]) is not None


def _differ(one: str, other: str) -> bool:
    return keys(one) != keys(other) and question_key(one) != question_key(other)
