"""Decide which questions train, validate and test, and draw a smaller set, all fixed by hashes.

Split: each question's side is decided by a hash of its normalised text alone. So a question keeps
its side in every run, on every machine, in every data set that holds it and whatever else is in the
set (a smaller sample, another order, other ids, its options shown or not), and nothing that was
fitted in one run meets its training questions as test questions in another. From 0 up come
training, then validation, and test from 1 down, so that a larger share of training or validation
never takes a question from training. Each domain gets the wanted shares in expectation, off by
sampling alone (standard deviation sqrt(f (1 - f) / n)). :func:`check_disjoint` refuses sets that
were split elsewhere and share a question. Sample: questions are taken within each domain in the
order of a second hash, which depends on the seed; equally many from each domain while they last.

Two different wordings of one fact are two questions and may be on different sides.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal

from workbench.errors import WorkbenchError
from workbench.questions.hashing import hash_fraction
from workbench.questions.normalise import question_key
from workbench.questions.schema import Question

Side = Literal["train", "validation", "test"]
SALT = "split:0"


def side_of(text: str, train_fraction: float, validation_fraction: float = 0.0) -> Side:
    """Return the side of the question ``text``, which is the same in every set."""
    place = hash_fraction(f"{SALT}:{question_key(text)}")
    if place < train_fraction:
        return "train"
    return "validation" if place < train_fraction + validation_fraction else "test"


def split_questions(
    questions: Sequence[Question], train_fraction: float, validation_fraction: float = 0.0
) -> dict[str, Side]:
    """Return the side of each question by id.

    Raises:
        WorkbenchError: for repeated ids, shares that leave nothing for a test, and a wanted side
            that got none.
    """
    if not 0 < train_fraction < 1:
        raise WorkbenchError(
            f"train_fraction is {train_fraction}; give a share between 0 and 1, such as 0.7."
        )
    if not 0 <= validation_fraction < 1 - train_fraction:
        raise WorkbenchError(
            f"validation_fraction is {validation_fraction}; with {train_fraction} for training "
            "give a share from 0 to "
            f"below {1 - train_fraction:g}."
        )
    if len({question.id for question in questions}) < len(questions):
        raise WorkbenchError("Two questions have the same id; give each question an id of its own.")
    sides = {
        question.id: side_of(question.text, train_fraction, validation_fraction)
        for question in questions
    }
    for side in ("train", "validation", "test"):
        if side not in sides.values() and (side != "validation" or validation_fraction):
            raise WorkbenchError(
                f"None of the {len(questions)} questions fell on the {side} side; use more "
                "questions or other shares."
            )
    return sides


def check_disjoint(parts: Mapping[str, Sequence[Question]]) -> None:
    """Refuse ``parts`` (name of a split or data set -> its questions) two of which hold the same
    question.

    Raises:
        WorkbenchError: naming the question and both parts; case, accents and sentence marks do not
            make two questions different.
    """
    first: dict[str, tuple[str, Question]] = {}
    for name, questions in parts.items():
        for question in questions:
            other, same = first.setdefault(question_key(question.text), (name, question))
            if other != name:
                raise WorkbenchError(
                    f"The question {question.text!r} is in {other} (id {same.id!r}) and in {name} "
                    f"(id {question.id!r}); "
                    "leave it out of one, or let split_questions divide the sets together."
                )


def sample_questions(
    questions: Sequence[Question], limit: int | None, seed: int, skip: int = 0
) -> list[Question]:
    """Draw at most ``limit`` questions in their given order, as evenly over domains as possible;
    None keeps all.

    The first ``skip`` questions of the draw are passed over: those that a limit of ``skip`` draws
    with the same seed.

    Raises:
        WorkbenchError: for a limit below 1, and where no question is left.
    """
    if skip and skip >= len(questions):
        raise WorkbenchError(
            f"questions.skip is {skip:,} and there are {len(questions):,} questions, so none would "
            "be left; pass over fewer."
        )
    if not skip and (limit is None or limit >= len(questions)):
        return list(questions)
    if limit is not None and limit < 1:
        raise WorkbenchError(
            f"limit is {limit}; give a positive number of questions, or leave it out for all."
        )
    rank: dict[int, tuple[int, float]] = {}
    seen: dict[str, int] = defaultdict(int)
    drawn = sorted(
        range(len(questions)),
        key=lambda i: (
            hash_fraction(f"sample:{seed}:{question_key(questions[i].text)}"),
            questions[i].id,
        ),
    )
    for index in drawn:
        domain = questions[index].domain
        rank[index] = (seen[domain], hash_fraction(f"domain:{seed}:{domain}"))
        seen[domain] += 1
    end = None if limit is None else skip + limit
    kept = set(sorted(drawn, key=lambda index: rank[index])[skip:end])
    return [question for index, question in enumerate(questions) if index in kept]
