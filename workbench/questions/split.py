"""Which questions train and which test, and how a smaller set is drawn, both fixed by hashes.

Split: each question's side is decided by a hash of its normalised text and the seed alone, compared with the wanted share.
So a question keeps its side whatever else is in the set (a smaller sample, another order, other ids), and two copies
of one text never straddle. Each domain gets the wanted share in expectation, off by sampling alone (standard deviation
sqrt(f (1 - f) / n)). Sample: within each domain in the order of a second hash, equally many a domain while they last.

What this does not show: two different wordings of one fact are two questions and may fall on different sides.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal

from workbench.errors import WorkbenchError
from workbench.questions.normalise import question_key
from workbench.questions.schema import Question

Side = Literal["train", "test"]


def split_questions(questions: Sequence[Question], train_fraction: float, seed: int) -> dict[str, Side]:
    """Side of each question by id. Raises :class:`WorkbenchError` for repeated ids, a share outside (0, 1) or an empty side."""
    if not 0 < train_fraction < 1:
        raise WorkbenchError(f"train_fraction is {train_fraction}; give a share between 0 and 1, such as 0.7.")
    if len({question.id for question in questions}) < len(questions):
        raise WorkbenchError("Two questions have the same id; give each question an id of its own.")
    sides: dict[str, Side] = {
        question.id: "train" if _unit(f"split:{seed}:{question_key(question.text)}") < train_fraction else "test"
        for question in questions
    }
    for side in ("train", "test"):
        if side not in sides.values():
            raise WorkbenchError(
                f"None of the {len(questions)} questions fell on the {side} side; use more questions, another "
                "train_fraction or another seed."
            )
    return sides


def sample_questions(questions: Sequence[Question], limit: int | None, seed: int) -> list[Question]:
    """At most ``limit`` questions in their given order, as evenly over domains as supply allows; None keeps all."""
    if limit is None or limit >= len(questions):
        return list(questions)
    if limit < 1:
        raise WorkbenchError(f"limit is {limit}; give a positive number of questions, or leave it out for all.")
    rank: dict[int, tuple[int, float]] = {}
    seen: dict[str, int] = defaultdict(int)
    drawn = sorted(
        range(len(questions)),
        key=lambda i: (_unit(f"sample:{seed}:{question_key(questions[i].text)}"), questions[i].id),
    )
    for index in drawn:
        domain = questions[index].domain
        rank[index] = (seen[domain], _unit(f"domain:{seed}:{domain}"))
        seen[domain] += 1
    kept = set(sorted(drawn, key=lambda index: rank[index])[:limit])
    return [question for index, question in enumerate(questions) if index in kept]


def _unit(text: str) -> float:
    """A number in [0, 1) fixed by ``text``."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48
