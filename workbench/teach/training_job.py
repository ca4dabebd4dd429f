"""Define what the training function of a recipe gets and returns.

The function trains an adapter (or a head on the model) on a :class:`TrainingJob` and saves it in
the job's folder. Most are made from a plan: a function from a job to training examples and a loss,
see :func:`workbench.teach.recipes.recipe.train_on_examples`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workbench.config import TeachSettings
from workbench.elicit.conversation import Conversation, ScaleTokens
from workbench.elicit.formats import Format
from workbench.models import LanguageModel
from workbench.probe.states import States
from workbench.teach.examples import Example
from workbench.teach.losses import Loss
from workbench.teach.training_forward import Reply

StatesAt = Callable[[str], States]
Grade = Callable[[int, str], bool | None]


@dataclass(frozen=True, eq=False)
class TrainingJob:
    """The arguments of a training function.

    Attributes:
        lm: the base model, without an adapter.
        questions, answers: [n] texts; answers are the base model's.
        conversations: [n] up to the confidence position, with those answers.
        states: by name of a position, [n, layers, width] residual stream of the base model there.
        targets: [n] probability to be stated; permuted for the shuffled control.
        base: [n, values] the base model's distribution over the scale at the confidence position.
        settings: the run's training settings with the arm's changes.
        reply: where an adapter on the reply acts; None: on the whole conversation.
        levels: [n] what the targets of one bin were made from, the same for all of the bin; None
            where the arm has no bins.
        folder: the adapter is saved in ``folder / "adapter"``; what is kept for resuming in
            ``folder / "checkpoints"``.
        grade: returns, for a question's number and another answer to it, whether that is right, or
            None where it cannot be graded; None where nothing says which answers are right. For the
            shuffled control it is the permuted target, whatever the answer.
        answer_limit: most tokens of an answer.
    """

    lm: LanguageModel
    fmt: Format
    numbers: ScaleTokens
    questions: list[str]
    answers: list[str]
    conversations: list[Conversation]
    states: StatesAt
    targets: NDArray[np.float64]
    base: NDArray[np.float64]
    settings: TeachSettings
    seed: int
    reply: Reply | None
    folder: Path
    description: str
    levels: NDArray[np.float64] | None = None
    grade: Grade | None = None
    answer_limit: int = 0

    def at(self, rows: NDArray[np.int64]) -> TrainingJob:
        """Return the same job with these of its examples, in this order; some may come more than
        once.
        """

        def states(position: str) -> States:
            return self.states(position)[rows]

        reply = self.reply
        return replace(
            self,
            questions=[self.questions[row] for row in rows],
            answers=[self.answers[row] for row in rows],
            conversations=[self.conversations[row] for row in rows],
            states=states,
            targets=self.targets[rows],
            base=self.base[rows],
            levels=None if self.levels is None else self.levels[rows],
            reply=None if reply is None else replace(reply, rows=[reply.rows[row] for row in rows]),
            grade=None if self.grade is None else _graded_at(rows, self.grade),
        )


def _graded_at(rows: NDArray[np.int64], grade: Grade) -> Grade:
    """Return ``grade`` with questions numbered by their place in ``rows``."""
    return lambda number, answer: grade(int(rows[number]), answer)


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training function: the trained model and its log.

    Attributes:
        log: one row of numbers a step (``step``, ``loss``, ...).
        tokens: tokens that training computed, over all epochs.
        examples: number of different training examples, each seen once per epoch.
    """

    lm: LanguageModel
    log: list[dict[str, float]]
    tokens: int
    examples: int


@dataclass(frozen=True)
class Objective:
    """An objective: examples, and the loss of a batch of them.

    Attributes:
        logged: by name, other numbers computed of each batch.
        extra_tokens: [n] tokens of forward passes that the loss itself makes for each example;
            empty where it makes none.
    """

    examples: list[Example]
    loss: Loss
    logged: Mapping[str, Loss] = field(default_factory=dict)
    extra_tokens: Sequence[int] = ()


@dataclass(frozen=True, eq=False)
class HeadInputs:
    """The inputs of reading a head.

    Attributes:
        questions, answers, conversations, states: as in :class:`TrainingJob`, of the questions to
            be judged.
        folder: where its training function saved it.
        with_adapter: gives the model with the adapter that was saved with the head, inside a with
            block.
        tokens_per_forward: memory bound of a pass.
    """

    questions: list[str]
    answers: list[str]
    conversations: list[Conversation]
    states: StatesAt
    folder: Path
    with_adapter: Callable[[], AbstractContextManager[LanguageModel]]
    tokens_per_forward: int


TrainFn = Callable[[TrainingJob], TrainingResult]
HeadReader = Callable[[HeadInputs], NDArray[np.float64]]
