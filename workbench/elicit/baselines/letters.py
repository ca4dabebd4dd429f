"""Choice questions whose options stand in their text, one a line behind a letter; and such questions made from open ones.

Wrong options are first answers of other questions of the same domain that grading would not accept, drawn by seed and question, and
so is the order. What this does not show: that a wrong option is false in the world.
"""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from string import ascii_uppercase

import numpy as np

from workbench.errors import WorkbenchError
from workbench.questions import Question, grade

_LINE = re.compile(r"\(?([A-Z])[.):]\)?\s+\S.*")


def letters_of(question: Question) -> tuple[str, ...]:
    """Letters of the options in a choice question's text, A, B, ... in order; () for other questions."""
    if question.kind != "choice":
        return ()
    found: list[str] = []
    for line in question.text.split("\n"):
        match = _LINE.fullmatch(line.strip())
        if match and match.group(1) == ascii_uppercase[len(found)]:
            found.append(match.group(1))
    return tuple(found)


def lettered(questions: Sequence[Question], options: int, seed: int) -> list[Question]:
    """Every open or numeric question as a choice among ``options`` options; others, and those without enough, are left out.

    Raises:
        WorkbenchError: for fewer than 2 or more than 26 options, or where no question is left.
    """
    if not 2 <= options <= len(ascii_uppercase):
        raise WorkbenchError(f"options is {options}; a choice question has 2 to 26.")
    pools: dict[str, set[str]] = defaultdict(set)
    for question in questions:
        if question.kind != "choice" and question.answers:
            pools[question.domain].add(question.answers[0])
    made = [_lettered(q, sorted(pools[q.domain]), options, seed) for q in questions if q.kind != "choice" and q.answers]
    kept = [question for question in made if question is not None]
    if not kept:
        raise WorkbenchError(f"No question has {options - 1} wrong answers in its domain; ask for fewer options.")
    return kept


def _lettered(question: Question, pool: Sequence[str], options: int, seed: int) -> Question | None:
    digest = hashlib.sha256(f"{seed}:{question.text}".encode("utf-8", "surrogatepass")).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    right = question.answers[0]
    wrong = [pool[place] for place in rng.permutation(len(pool)) if not grade(pool[place], question)][: options - 1]
    if len(wrong) < options - 1:
        return None
    order = [[right, *wrong][place] for place in rng.permutation(options)]
    lines = [f"{letter}. {option}" for letter, option in zip(ascii_uppercase, order, strict=False)]
    text = "\n".join([question.text, *lines, "Answer with the letter of the right option."])
    return replace(question, text=text, kind="choice", answers=(ascii_uppercase[order.index(right)],))
