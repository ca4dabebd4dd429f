"""Trainings of a tiny model on sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.config import TeachSettings
from workbench.elicit.conversation import confidence_conversation, number_prefix
from workbench.elicit.formats import FORMATS
from workbench.models import LanguageModel
from workbench.teach.training_job import Lesson

COUNT = 50

TARGETS = np.resize([1.0, 0.0, 0.73], COUNT)


def lesson_of(lm: LanguageModel, targets: np.ndarray = TARGETS, **teach: Any) -> Lesson:
    fmt = FORMATS["percent"]
    numbers = number_prefix(lm.tokenizer, fmt)
    questions, answers = [f"What is {i} + 1?" for i in range(COUNT)], [str(i + 1) for i in range(COUNT)]
    conversations = [
        confidence_conversation(lm.tokenizer, fmt, numbers, q, a) for q, a in zip(questions, answers, strict=True)
    ]
    return Lesson(
        lm=lm, fmt=fmt, numbers=numbers, questions=questions, answers=answers, conversations=conversations,
        states=lambda name: np.zeros((COUNT, 1, 1), np.float32), targets=targets,
        base=np.random.default_rng(0).dirichlet(np.ones(102), COUNT)[:, :-1], settings=TeachSettings(**teach),
        seed=0, reply=None, folder=Path(), description="",
    )  # fmt: skip


FMT = FORMATS["percent-one-turn"]


def one_turn(lm: LanguageModel, **changes: Any) -> Lesson:
    def grade(row: int, answer: str) -> bool:
        return answer == str(row + 1)

    return replace(lesson_of(lm), **{"fmt": FMT, "grade": grade, "answer_limit": 6, **changes})
