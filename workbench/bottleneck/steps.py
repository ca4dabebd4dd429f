"""Measure how much of what a model knows is left at each step from its hidden states to its text.

A step is a score for every question, higher for surer: a probe before the answer, after it and at
the confidence position, the best reading of the distribution over the scale, its mean, a sampled
number, the text. All steps are measured on the same held-out questions: AUROC2 pooled and within
domain, and bits about the grade (:mod:`workbench.measure.information`).

What is lost between a step and the next is paired over questions: this one's number minus the next
one's, so positive is lost. The largest of k losses is looked for, so losses have intervals that
hold for all k together (level 1 - (1 - level) / k).

A step that is read by something fitted comes with scores of training questions that are out of
fold. A loss does not show that a better reading of the later step would not find it: losses are of
readings, and the interventions of this room ask whether a reading is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.measure import (
    Bootstrap,
    Estimate,
    auroc2_difference,
    auroc2_estimate,
    auroc2_within_estimate,
)
from workbench.measure.information import information_gains, mean_gain, mutual_information


@dataclass(frozen=True, eq=False)
class Questions:
    """The grades and domains of training questions [m] and of held-out ones [n]."""

    training_correct: Bools
    training_domain: np.ndarray
    correct: Bools
    domain: np.ndarray

    def __post_init__(self) -> None:
        if len(self.training_correct) != len(self.training_domain) or len(self.correct) != len(
            self.domain
        ):
            raise WorkbenchError("every question needs a grade and a domain")


@dataclass(frozen=True, eq=False)
class Step:
    """A step's ``name`` and its scores, NaN where a reply states nothing: of ``training`` questions
    [m], and of the ``held_out`` ones [n].
    """

    name: str
    training: Floats
    held_out: Floats


@dataclass(frozen=True)
class Measured:
    """A step's numbers.

    Attributes:
        information: mutual information of score and grade, in bits.
        gain: bits saved over the domain's base rate, per answer.
    """

    name: str
    auroc2: Estimate
    within: Estimate
    information: Estimate
    gain: Estimate


@dataclass(frozen=True)
class Loss:
    """What is lost between two steps: the first's number minus the second's."""

    first: str
    second: str
    within: Estimate
    gain: Estimate


@dataclass(frozen=True)
class Waterfall:
    """The steps in order, the loss after each but the last, and the largest of them: the one with
    the largest loss of AUROC2 within domain.
    """

    steps: tuple[Measured, ...]
    losses: tuple[Loss, ...]

    @property
    def largest(self) -> Loss:
        return max(self.losses, key=lambda loss: np.nan_to_num(loss.within.value, nan=-np.inf))


def measure_steps(steps: Sequence[Step], questions: Questions, draw: Bootstrap) -> Waterfall:
    """Measure every step, and what is lost between neighbours.

    Raises:
        WorkbenchError: for fewer than two steps, or scores that do not fit the questions.
    """
    if len(steps) < 2:
        raise WorkbenchError("a waterfall needs at least two steps")
    m, n = len(questions.training_correct), len(questions.correct)
    for step in steps:
        if len(step.training) != m or len(step.held_out) != n:
            raise WorkbenchError(
                f"the step {step.name!r} has scores of {len(step.training)} training and "
                f"{len(step.held_out)} held-out questions, and there are {m} and {n}"
            )
    gains = [_gains(step, questions) for step in steps]
    measured = tuple(
        _measured(step, gain, questions, draw) for step, gain in zip(steps, gains, strict=True)
    )
    joint = replace(draw, level=1 - (1 - draw.level) / (len(steps) - 1))
    losses = tuple(
        Loss(
            steps[i].name,
            steps[i + 1].name,
            auroc2_difference(
                steps[i].held_out,
                steps[i + 1].held_out,
                questions.correct,
                questions.domain,
                **joint.options,
            ),
            mean_gain(gains[i] - gains[i + 1], joint),
        )
        for i in range(len(steps) - 1)
    )
    return Waterfall(measured, losses)


def _gains(step: Step, questions: Questions) -> Floats:
    return information_gains(
        step.training,
        questions.training_correct,
        questions.training_domain,
        step.held_out,
        questions.correct,
        questions.domain,
    )


def _measured(step: Step, gains: Floats, questions: Questions, draw: Bootstrap) -> Measured:
    scores, correct, domain = step.held_out, questions.correct, questions.domain
    return Measured(
        step.name,
        auroc2_estimate(scores, correct, **draw.options),
        auroc2_within_estimate(scores, correct, domain, **draw.options),
        mutual_information(scores, correct, level=draw.level),
        mean_gain(gains, draw),
    )
