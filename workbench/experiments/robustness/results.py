"""Measure every training, and how much each measure differs between seeds and between precisions.

A training's numbers carry intervals over questions. ``between_seeds`` is the standard deviation
(n - 1) over the seeds of one precision, pooled over precisions; ``between_precisions`` is the mean
in bfloat16 less that in float32, each over the seeds. Neither holds what other questions would
change, nor another model. A largest shift is the largest of a curve, so noise alone raises it. A
precision's trainings share answers and targets, so its difference is one draw of those.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.config import RunConfig
from workbench.experiments.robustness.trainings import Training
from workbench.experiments.robustness.variants import Criterion
from workbench.experiments.robustness.windows import window_curves
from workbench.loop.answers import right_answers
from workbench.loop.patching_results import sweeps
from workbench.loop.questions import load_questions
from workbench.loop.results import column_of, probabilities_of
from workbench.loop.run import Run
from workbench.measure import (
    Bootstrap,
    Estimate,
    auroc2_difference,
    auroc2_estimate,
    auroc2_within_estimate,
)
from workbench.measure.interval import IntervalCurve
from workbench.patch.effects import following, half_layer, layer_gradient, mean_shift

MEASURES: Mapping[str, str] = {
    "stated": "AUROC2 stated",
    "stated.within": "AUROC2 stated, within",
    "expected": "AUROC2 expected",
    "expected.within": "AUROC2 expected, within",
    "gain": "gain, stated",
    "gain.expected.within": "gain, expected, within",
    "probe.within": "AUROC2 probe, within",
    "gradient": "layer gradient rho",
    "overshoot": "largest shift",
    "half_layer": "donor slope passes 1/2 at layer",
    "last_slope": "donor slope, last layer",
    "mean": "mean expected confidence",
    "sd": "its spread over questions",
    "tokens": "tokens taught",
}
"""Column heads of the measures of a training."""

Value = Estimate | float


@dataclass(frozen=True)
class Cell:
    """A training's measures and its curves over layers [layers].

    Attributes:
        windows: kind, layer, shift and slope with the adapter on in some layers only; None where
            they were not read.
    """

    variant: str
    seed: int
    precision: str
    measures: Mapping[str, Value]
    layers: NDArray[np.int64]
    shift: IntervalCurve
    donor_slope: IntervalCurve
    windows: pd.DataFrame | None = None

    def value(self, name: str) -> float:
        """Return a measure without its interval."""
        found = self.measures[name]
        return found.value if isinstance(found, Estimate) else found

    def failures(self, criterion: Criterion) -> tuple[str, ...]:
        """Return the measures in which the training fails the criterion."""
        held = {
            "gain": self.value("gain") >= criterion.gain,
            "expected.within": self.value("expected.within")
            >= self.value("probe.within") - criterion.below_probe,
            "gradient": self.value("gradient") >= criterion.gradient,
            "overshoot": self.value("overshoot") <= criterion.overshoot,
        }
        return tuple(name for name, holds in held.items() if not holds)


@dataclass(frozen=True)
class Spread:
    """A measure of a variant over its trainings."""

    mean: float
    lowest: float
    highest: float
    between_seeds: float
    between_precisions: float
    trainings: int


@dataclass(frozen=True)
class RobustnessResults:
    """All trainings, and what they were made with."""

    config: RunConfig
    parameters: Mapping[str, Any]
    cells: Sequence[Cell]

    def of(self, variant: str) -> list[Cell]:
        """Return the trainings of a variant."""
        return [cell for cell in self.cells if cell.variant == variant]

    @property
    def variants(self) -> list[str]:
        """The variants trained, in order."""
        return list(dict.fromkeys(cell.variant for cell in self.cells))


def measure_cell(
    run: Run, training: Training, precision: str, windows: Sequence[str], draw: Bootstrap
) -> Cell:
    """Measure one training on the held-out questions, and its sweep on those patched."""
    questions, _ = load_questions(run)
    test = questions[questions["split"] == "test"]
    rows, domain = test["row"].to_numpy(), test["domain"].to_numpy(dtype=str)
    correct = right_answers(run, rows)
    elicit = training.stage("elicit")
    stated, expected = (column_of(run, elicit, column, rows) for column in ("stated", "expected"))
    before, expected_before = (
        column_of(run, "elicit", column, rows) for column in ("stated", "expected")
    )
    by_name = sweeps(run.stage(training.stage("patch")).table("sweep"))
    own, other = by_name["own_tuned"], by_name["other_tuned"]
    shift, options = mean_shift(own, **draw.draws), draw.options
    slope, _ = following(other, **draw.draws)
    half = half_layer(own.layers, slope.value)
    measures: dict[str, Value] = {
        "stated": auroc2_estimate(stated, correct, **options),
        "stated.within": auroc2_within_estimate(stated, correct, domain, **options),
        "expected": auroc2_estimate(expected, correct, **options),
        "expected.within": auroc2_within_estimate(expected, correct, domain, **options),
        "gain": auroc2_difference(stated, before, correct, None, **options),
        "gain.expected.within": auroc2_difference(
            expected, expected_before, correct, domain, **options
        ),
        "probe.within": auroc2_within_estimate(
            probabilities_of(run, "probe", rows), correct, domain, **options
        ),
        "gradient": layer_gradient(own),
        "overshoot": float(shift.value.max()),
        "half_layer": float("nan") if half is None else float(half),
        "last_slope": slope.at(-1, len(own.base)),
        "mean": float(np.mean(expected)),
        "sd": float(np.std(expected)),
        "tokens": float(run.stage(training.stage("teach")).facts()["tokens"]),
    }
    read = (
        window_curves(run.stage(training.stage("windows")).table("windows"))
        if training.windows(windows)
        else None
    )
    return Cell(
        training.variant, training.seed, precision, measures, own.layers, shift, slope, read
    )


def spread_of(cells: Sequence[Cell], measure: str) -> Spread:
    """Return the spread of a measure over the trainings of one variant."""
    by_precision: dict[str, list[float]] = {}
    for cell in cells:
        by_precision.setdefault(cell.precision, []).append(cell.value(measure))
    values = {name: np.array(found) for name, found in by_precision.items()}
    every = np.concatenate(list(values.values()))
    return Spread(
        mean=float(every.mean()),
        lowest=float(every.min()),
        highest=float(every.max()),
        between_seeds=_pooled_deviation(list(values.values())),
        between_precisions=(
            float(values["bfloat16"].mean() - values["float32"].mean())
            if {*values} == {"float32", "bfloat16"}
            else float("nan")
        ),
        trainings=len(every),
    )


def _pooled_deviation(groups: Sequence[Floats]) -> float:
    """Return the standard deviation within groups; NaN where none has two values."""
    freedom = sum(len(group) - 1 for group in groups)
    if not freedom:
        return float("nan")
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in groups)
    return float(np.sqrt(squares / freedom))
