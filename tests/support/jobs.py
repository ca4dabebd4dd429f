"""Trainings of a tiny model on sums."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench.config import TeachSettings
from workbench.elicit.conversation import confidence_conversation, scale_tokens
from workbench.elicit.formats import FORMATS
from workbench.models import LanguageModel
from workbench.teach.training_job import TrainingJob

COUNT = 50

TARGETS = np.resize([1.0, 0.0, 0.73], COUNT)


def training_job(lm: LanguageModel, targets: np.ndarray = TARGETS, **teach: Any) -> TrainingJob:
    fmt = FORMATS["percent"]
    numbers = scale_tokens(lm.tokenizer, fmt)
    questions, answers = (
        [f"What is {i} + 1?" for i in range(COUNT)],
        [str(i + 1) for i in range(COUNT)],
    )
    conversations = [
        confidence_conversation(lm.tokenizer, fmt, numbers, q, a)
        for q, a in zip(questions, answers, strict=True)
    ]
    return TrainingJob(
        lm=lm, fmt=fmt, numbers=numbers, questions=questions, answers=answers, conversations=conversations,
        states=lambda name: np.zeros((COUNT, 1, 1), np.float32), targets=targets,
        base=np.random.default_rng(0).dirichlet(np.ones(102), COUNT)[:, :-1], settings=TeachSettings(**teach),
        seed=0, reply=None, folder=Path(), description="",
    )  # fmt: skip


FMT = FORMATS["percent-one-turn"]


def one_turn(lm: LanguageModel, **changes: Any) -> TrainingJob:
    def grade(row: int, answer: str) -> bool:
        return answer == str(row + 1)

    return replace(training_job(lm), **{"fmt": FMT, "grade": grade, "answer_limit": 6, **changes})
