"""Reach the verdict on a model from its steps and its distributions, whatever they were read from.

Of the readings before the confidence position, the one that is known is that with the better log
score on training questions, out of fold. The fixed map that is tried as a remedy is the best one on
training questions that it was not fitted on. So nothing here is chosen on held-out questions; see
:mod:`workbench.bottleneck.verdict` for the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.arrays import Floats
from workbench.bottleneck.fixed_maps import Training, best_map, fit_maps
from workbench.bottleneck.steps import Questions, Step
from workbench.bottleneck.verdict import (
    CARRIED,
    KNOWN,
    NUMBERS,
    SAID,
    BottleneckVerdict,
    Station,
    judge,
)
from workbench.measure.log_score import log_score


@dataclass(frozen=True, eq=False)
class Readings:
    """What the verdict rests on.

    Attributes:
        known: readings before the confidence position, one or more.
        carried: the best reading at the confidence position.
        numbers: the best reading of the distribution over the scale.
        said: what the text states.
        spread: standard deviation of AUROC2 between trainings on shuffled targets, of a model that
            a training made; 0 for one that none made.
    """

    known: Sequence[Step]
    carried: Step
    numbers: Step
    said: Step
    spread: float = 0.0


def conclude(
    readings: Readings, questions: Questions, remedies: Mapping[str, Floats]
) -> BottleneckVerdict:
    """Return the verdict on ``readings`` of ``questions``.

    Args:
        remedies: what is written of held-out questions after each remedy that was tried.

    Raises:
        WorkbenchError: for fewer held-out answers than can be judged, or one kind alone.
    """
    known = min(
        readings.known, key=lambda step: log_score(step.training, questions.training_correct)
    )
    stations = [
        Station(KNOWN, known.held_out),
        Station(CARRIED, readings.carried.held_out),
        Station(NUMBERS, readings.numbers.held_out, readings.spread),
        Station(SAID, readings.said.held_out, readings.spread),
    ]
    return judge(stations, questions.correct, questions.domain, remedies)


def write_by_best_map(training: Training, held_out: Floats) -> Floats:
    """Return what the best fixed map writes [n] of ``held_out`` distributions [n, values]."""
    return fit_maps(training)[best_map(training)](held_out)
