"""The tasks, one row each: how pairs are drawn, where they differ, and what the literature found.

A task's pairs are those of :mod:`workbench.api.examples`. ``changed`` is the place at which prompt
and donor differ; ``heads`` are the places whose single heads are looked at, none where that is not
the question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from workbench.api.examples import (
    LAST,
    CircuitPairs,
    capital_pairs,
    greater_than_pairs,
    indirect_object_pairs,
    keep_single_tokens,
)

TaskName = Literal["indirect_objects", "capitals", "years"]
TASK_NAMES: tuple[TaskName, ...] = get_args(TaskName)
DRAWN_FOR_EACH = 64
"""Pairs drawn for each that is kept: some repeat, others have answers of more than one token."""


@dataclass(frozen=True)
class Task:
    """One known result.

    Attributes:
        draw: (tokenizer, pairs, seed) -> so many pairs, no two alike.
        found: where the literature saw the answer move.
    """

    name: TaskName
    title: str
    draw: Callable[[Any, int, int], CircuitPairs]
    changed: str
    heads: tuple[str, ...]
    found: str


def _indirect_objects(tokenizer: Any, count: int, seed: int) -> CircuitPairs:
    drawn = indirect_object_pairs(count * DRAWN_FOR_EACH, seed)
    return keep_single_tokens(drawn, tokenizer, count)


def _capitals(tokenizer: Any, count: int, seed: int) -> CircuitPairs:
    return keep_single_tokens(capital_pairs(count * DRAWN_FOR_EACH, seed), tokenizer, count)


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in (
        Task(
            "indirect_objects",
            "Indirect objects",
            _indirect_objects,
            "giver",
            ("giver", LAST),
            "Wang et al. 2022: at the giver's token early, at the last token late, by few heads.",
        ),
        Task(
            "capitals",
            "Capital facts",
            _capitals,
            "subject",
            (),
            "Meng et al. 2022: at the subject's last token early, at the last token late.",
        ),
        Task(
            "years",
            "Greater-than years",
            greater_than_pairs,
            "tens digit",
            (),
            "Hanna et al. 2023: at the first year early, at the last token late.",
        ),
    )
}
