from __future__ import annotations

import pytest

from tests.support.steering import planted_pushes
from workbench.experiments.steering.page import steering_figure
from workbench.experiments.steering.read import PROBE
from workbench.experiments.steering.results import effects_table, steering_effects


def test_the_figure_holds_what_the_table_says() -> None:
    table, correct, domain = planted_pushes(0.5)
    effects = steering_effects(table, correct, domain, resamples=50, seed=0)
    lines = effects_table(effects).set_index(["direction", "length"])
    drawn = steering_figure(effects, "t", "c")
    assert drawn.lengths.tolist() == [0, 1, 2]
    assert {line.direction for line in drawn.lines} == {"along the probe", "random direction"}
    assert drawn.floors == pytest.approx((0.01, 0, 0))
    along = next(line for line in drawn.lines if line.direction == "along the probe")
    assert along.level.value[2] == pytest.approx(lines.loc[(PROBE, 2.0), "level"])
