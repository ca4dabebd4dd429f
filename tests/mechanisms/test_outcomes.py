from __future__ import annotations

import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.mechanisms.outcomes import (
    CANNOT_TELL,
    CONFIRMED,
    CONTRADICTED,
    conclude,
    surely_above,
    surely_below,
    surely_within,
)

NAN = float("nan")


def test_the_whole_interval_decides() -> None:
    known = Estimate(0.6, 0.52, 0.68, 100)
    assert surely_above(known, 0.5)
    assert not surely_above(known, 0.55)
    assert surely_below(known, 0.7)
    assert not surely_below(known, 0.65)
    assert surely_within(known, 0.5, 0.7)
    assert not surely_within(known, 0.55, 0.7)
    unknown = Estimate(0.9, NAN, NAN, 100)
    assert not surely_above(unknown, 0.1)
    assert not surely_below(unknown, 1.1)


def test_a_rule_has_one_outcome() -> None:
    assert conclude(confirmed=True, contradicted=False) == CONFIRMED
    assert conclude(confirmed=False, contradicted=True) == CONTRADICTED
    assert conclude(confirmed=False, contradicted=False) == CANNOT_TELL
    with pytest.raises(WorkbenchError, match="both confirms and contradicts"):
        conclude(confirmed=True, contradicted=True)
