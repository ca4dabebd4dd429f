from __future__ import annotations

import pytest

from tests.support.steering import planted_pushes
from workbench.experiments.steering.read import BASE, PROBE
from workbench.experiments.steering.results import (
    effects_table,
    steering_effects,
    steering_summary,
)
from workbench.measure import auroc2_within


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "stands"), (0.5, "rejected")])
def test_the_rule_finds_a_planted_gain_and_nothing_else(shift: float, verdict: str) -> None:
    table, correct, domain = planted_pushes(shift)
    summary = steering_summary(table, correct, domain, resamples=400, seed=0)
    assert summary["expected.null"] == summary["written.null"] == verdict
    assert summary["pushes"] == 2
    if shift:
        assert summary["expected.largest_gain.length"] == 2.0


def test_effects_hold_what_the_table_says() -> None:
    table, correct, domain = planted_pushes(0.5)
    effects = steering_effects(table, correct, domain, resamples=50, seed=0)
    lines = effects_table(effects).set_index(["direction", "length"])
    for key in ((BASE, 0.0), (PROBE, 2.0)):
        mine = table[(table["direction"] == key[0]) & (table["length"] == key[1])].sort_values(
            "row"
        )
        assert lines.loc[key, "level"] == pytest.approx(mine["expected"].mean())
        assert lines.loc[key, "expected"] == pytest.approx(
            auroc2_within(mine["expected"], correct, domain)
        )
    assert lines.loc[(BASE, 0.0), "expected_change"] == 0
    change = lines.loc[(PROBE, 2.0), "expected"] - lines.loc[(BASE, 0.0), "expected"]
    assert lines.loc[(PROBE, 2.0), "expected_change"] == pytest.approx(change)
