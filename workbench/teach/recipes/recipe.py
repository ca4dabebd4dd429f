"""Define what a recipe is: named arms, each of which says what confidence to train and how.

A recipe is data. An arm names where its targets come from (``sources``, measured before by the
loop), the function that turns them into one probability of being right per training question
(``targets``), the changes it makes to the training settings, and its function ``train``, which
trains an adapter on a :class:`TrainingJob` and saves it. Everything else is common to all recipes:
asking, grading, the shuffled control (the same arm on permuted targets), reading what the trained
model states, the table.

Most arms train with :func:`train_on_examples` of a plan: a plain function from a job to training
examples and a loss. A method that trains otherwise (reinforcement, a head) is any function of the
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
    """A way of training: targets, a training function and settings.

    Attributes:
        teach: changes to :class:`workbench.config.TeachSettings`; what a user sets goes before
            them.
        head_reader: gives the probability [n] of a head on the model; None: the trained model
            states its confidence.
        subset: numbers of the questions to train on, where not all are.
        on_policy: replies are sampled while it trains, so its length is ``teach.on_policy_steps``
            updates, not epochs.
        requires: raises WorkbenchError where something that the arm needs is not installed.
        trains_answers: answers are trained as well, so questions need accepted ones, and confidence
            is also read after the trained model's answers.
        bin_accuracy: [n] what questions of one bin share, for an arm that compares questions.
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
    """Arms that share a method.

    Attributes:
        default: the arms that are trained unless others are named.
        settings: dotted keys of RunConfig outside ``teach`` that differ from the run's defaults.
        size: what the command sets unless told otherwise, so that the default arms are trained and
            measured within ten minutes on two cores.
        pairs: comparisons of two questions are measured as well.
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
        """Return the arm of this name.

        Raises:
            WorkbenchError: for an unknown name; it lists the known ones.
        """
        for arm in self.arms:
            if arm.name == name:
                return arm
        names = ", ".join(arm.name for arm in self.arms)
        raise WorkbenchError(f"The recipe {self.name!r} has no arm {name!r}; choose among {names}.")


def check_needs(arms: Iterable[Arm]) -> None:
    """Refuse ``arms`` that need something that is not installed.

    Raises:
        WorkbenchError: if one does.
    """
    for arm in arms:
        if arm.requires is not None:
            arm.requires()


def train_on_examples(
    plan: Callable[[TrainingJob], Objective], start: Path | None = None
) -> TrainFn:
    """Return a function that trains a LoRA adapter with the Trainer on what ``plan`` makes of the
    job, starting from the adapter in ``start``.
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
