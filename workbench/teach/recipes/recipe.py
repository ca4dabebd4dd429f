"""What a recipe is: named arms, each of which says what confidence to teach and how.

A recipe is data. An arm names where its targets come from (``sources``, measured before by the
loop), the function that turns them into one probability of being right per training question
(``targets``), the changes it makes to the training settings, and its ``teacher``, which trains an
adapter on a :class:`TrainingJob` and saves it. Everything else is common to all recipes: asking,
grading, the shuffled twin (the same arm on permuted targets), reading what the taught model states,
the table.

Most teachers are :func:`train_on_examples` of a plan: a plain function from a job to training
examples and a loss. A teacher that trains otherwise (reinforcement, a head) is any function of the
same signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.teach.target_inputs import TargetInputs
from workbench.teach.training import train_adapter
from workbench.teach.training_job import HeadReader, Objective, TrainFn, TrainingJob, TrainingResult

SIZE: Mapping[str, Any] = MappingProxyType({"questions.limit": 260})


@dataclass(frozen=True)
class Arm:
    """One way of teaching.

    Attributes:
        teach: changes to :class:`workbench.config.TeachSettings`; what a user sets goes before
            them.
        reader: gives the probability [n] of a head beside the model; None: the taught model states
            its confidence.
        drawn: numbers of the questions to be taught, where not all are.
        levels: [n] what questions of one bin share, for an arm that compares questions.
        sampled: replies are sampled while it trains, so its length is ``teach.on_policy_steps``
            updates, not epochs.
        needs: raises WorkbenchError where something that the arm needs is not installed.
        answers: answers are taught as well, so questions need accepted ones, and confidence is also
            read behind the taught model's.
    """

    name: str
    about: str
    targets: Callable[[TargetInputs], NDArray[np.float64]]
    train: TrainFn
    sources: tuple[str, ...] = ()
    teach: Mapping[str, Any] = field(default_factory=dict)
    head_reader: HeadReader | None = None
    subset: Callable[[TargetInputs], NDArray[np.int64]] | None = None
    on_policy: bool = False
    requires: Callable[[], object] | None = None
    trains_answers: bool = False
    bin_accuracy: Callable[[TargetInputs], NDArray[np.float64]] | None = None


@dataclass(frozen=True)
class Recipe:
    """Arms that share a method. ``default`` arms are taught unless others are named; ``settings``:
    dotted keys of RunConfig outside ``teach`` that differ from the run's defaults; ``size``: what
    the command sets unless told otherwise, so that the default arms are taught and measured within
    ten minutes on two cores; ``pairs``: comparisons of two questions are measured as well.
    """

    name: str
    about: str
    source: str
    arms: tuple[Arm, ...]
    default: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    size: Mapping[str, Any] = field(default_factory=lambda: SIZE)
    pairs: bool = False

    def __post_init__(self) -> None:
        names = [arm.name for arm in self.arms]
        if len(set(names)) != len(names) or not self.default or not set(self.default) <= set(names):
            raise WorkbenchError(
                f"The arms of the recipe {self.name!r} need distinct names, its default ones among "
                "them."
            )

    def arm(self, name: str) -> Arm:
        """The arm of this name, or an error listing the names there are."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        names = ", ".join(arm.name for arm in self.arms)
        raise WorkbenchError(f"The recipe {self.name!r} has no arm {name!r}; choose among {names}.")


def check_needs(arms: Iterable[Arm]) -> None:
    """Raise WorkbenchError where something that one of the ``arms`` needs is not installed."""
    for arm in arms:
        if arm.requires is not None:
            arm.requires()


def train_on_examples(
    plan: Callable[[TrainingJob], Objective], start: Path | None = None
) -> TrainFn:
    """A teacher that trains a LoRA adapter with the Trainer on what ``plan`` makes of the job,
    from the adapter in ``start``.
    """

    def teacher(job: TrainingJob) -> TrainingResult:
        made = plan(job)
        tuned, log = train_adapter(
            job.lm, made.examples, job.settings, job.folder,
            seed=job.seed, description=job.description, reply=job.reply,
            loss=made.loss, logged=made.logged, init_from=start, extra_tokens=made.extra_tokens,
        )  # fmt: skip
        return TrainingResult(tuned, log, int(log[-1]["tokens"]), len(made.examples))

    return teacher
