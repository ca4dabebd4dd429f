from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest

from workbench.experiments.robustness.results import Cell, Value, spread_of
from workbench.experiments.robustness.variants import Criterion
from workbench.measure import Estimate
from workbench.measure.interval import IntervalCurve

FLAT = IntervalCurve(np.zeros(2), np.zeros(2), np.zeros(2))
GOOD: dict[str, Value] = {
    "gain": Estimate(0.15, 0.1, 0.2, 50),
    "expected.within": 0.7,
    "probe.within": 0.75,
    "gradient": 0.9,
    "overshoot": 1.2,
}


def cell(changed: Mapping[str, float], seed: int = 0, precision: str = "float32") -> Cell:
    return Cell("all-layers", seed, precision, {**GOOD, **changed}, np.arange(2), FLAT, FLAT)


def test_the_criterion_is_met_at_its_bounds() -> None:
    assert cell({}).failures(Criterion()) == ()


@pytest.mark.parametrize(
    ("measure", "value"),
    [("gain", 0.149), ("expected.within", 0.699), ("gradient", 0.899), ("overshoot", 1.201)],
)
def test_each_bound_is_named_where_it_fails(measure: str, value: float) -> None:
    assert cell({measure: value}).failures(Criterion()) == (measure,)


def test_spread_by_hand() -> None:
    """Within float32 the deviations are -1, 0, 1; within bfloat16 -2, 2: (2 + 8) / (2 + 1)."""
    cells = [cell({"gradient": v}, i) for i, v in enumerate((1.0, 2.0, 3.0))]
    cells += [cell({"gradient": v}, i, "bfloat16") for i, v in enumerate((4.0, 8.0))]
    found = spread_of(cells, "gradient")
    assert (found.mean, found.lowest, found.highest, found.trainings) == (3.6, 1.0, 8.0, 5)
    assert found.between_seeds == pytest.approx(math.sqrt(10 / 3))
    assert found.between_precisions == pytest.approx(4.0)


def test_without_a_second_seed_or_precision_a_spread_is_unknown() -> None:
    found = spread_of([cell({})], "gain")
    assert found.mean == 0.15
    assert math.isnan(found.between_seeds)
    assert math.isnan(found.between_precisions)
