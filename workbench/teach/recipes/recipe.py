"""What a recipe is: named arms, each of which says what confidence to teach and how.

A recipe is data. An arm names where its targets come from (``sources``, measured before by the loop), the function that turns
them into one probability of being right per training question (``targets``), the changes it makes to the training settings,
and its ``teacher``, which trains an adapter on a :class:`Lesson` and saves it. Everything else is common to all recipes:
asking, grading, the shuffled twin (the same arm on permuted targets), reading what the taught model states, the table.

Most teachers are :func:`by_examples` of a plan: a plain function from a lesson to training examples and a loss. A teacher
that trains otherwise (reinforcement, a head) is any function of the same signature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.config import TeachSettings
from workbench.elicit.conversation import Conversation, NumberPrefix
from workbench.elicit.formats import Format
from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.precision import Precision
from workbench.teach.examples import Example
from workbench.teach.losses import Loss
from workbench.teach.material import Material
from workbench.teach.training import Reply, train_adapter


@dataclass(frozen=True, eq=False)
class Lesson:
    """Everything a teacher gets.

    Attributes:
        lm: the base model, without an adapter.
        conversations: [n] up to the confidence position, with the base model's answers.
        targets: [n] probability to be stated; permuted for the shuffled twin.
        base: [n, values] the base model's distribution over the scale at the confidence position.
        settings: the run's training settings with the arm's changes.
        reply: where an adapter on the reply acts; None: on the whole conversation.
        folder: the adapter goes to ``folder / "adapter"``; what is kept for resuming goes to ``folder / "checkpoints"``.
    """

    lm: LanguageModel
    fmt: Format
    numbers: NumberPrefix
    conversations: list[Conversation]
    targets: NDArray[np.float64]
    base: NDArray[np.float64]
    settings: TeachSettings
    precision: Precision
    seed: int
    reply: Reply | None
    folder: Path
    description: str


@dataclass(frozen=True)
class Taught:
    """The model with its new adapter on, one row of numbers a step (``step``, ``loss``, ...), and the tokens training computed."""

    lm: LanguageModel
    log: list[dict[str, float]]
    tokens: int


@dataclass(frozen=True)
class Plan:
    """Examples, one per conversation, and the loss of a batch of them."""

    examples: list[Example]
    loss: Loss


Teacher = Callable[[Lesson], Taught]


@dataclass(frozen=True)
class Arm:
    """One way of teaching. ``teach`` holds changes to :class:`workbench.config.TeachSettings`; what a user sets goes before them."""

    name: str
    about: str
    targets: Callable[[Material], NDArray[np.float64]]
    teacher: Teacher
    sources: tuple[str, ...] = ()
    teach: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """Arms that share a method. ``default`` arms are taught unless others are named; ``settings``: dotted keys of RunConfig
    outside ``teach`` that differ from the run's defaults."""

    name: str
    about: str
    source: str
    arms: tuple[Arm, ...]
    default: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names) or not self.default or not set(self.default) <= set(names):
            raise WorkbenchError(
                f"The arms of the recipe {self.name!r} need distinct names, its default ones among them."
            )

    def arm(self, name: str) -> Arm:
        """The arm of this name, or an error listing the names there are."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        names = ", ".join(arm.name for arm in self.arms)
        raise WorkbenchError(f"The recipe {self.name!r} has no arm {name!r}; choose among {names}.")


def by_examples(plan: Callable[[Lesson], Plan]) -> Teacher:
    """A teacher that trains a LoRA adapter with the Trainer on what ``plan`` makes of the lesson."""

    def teacher(lesson: Lesson) -> Taught:
        made = plan(lesson)
        tuned, log = train_adapter(
            lesson.lm, made.examples, lesson.settings, lesson.folder,
            precision=lesson.precision, seed=lesson.seed, description=lesson.description, reply=lesson.reply,
            loss=made.loss,
        )  # fmt: skip
        each = sum(_computed(example, lesson.reply) for example in made.examples)
        return Taught(tuned, log, each * lesson.settings.epochs)

    return teacher


def _computed(example: Example, reply: Reply | None) -> int:
    """Tokens one pass over the example computes, its share of prefixes that are kept left out."""
    return example.continuation.size + (len(example.prompt) if reply is None else len(reply.tokens))
