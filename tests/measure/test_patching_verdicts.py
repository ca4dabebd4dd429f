from __future__ import annotations

import numpy as np
import pytest

from workbench.measure import IntervalCurve
from workbench.measure.patching_verdicts import (
    PatchingEvidence,
    cause_verdict,
    passing_layers,
    where_verdict,
)
from workbench.measure.simultaneous import DonorSweep

LAYERS = np.arange(6)
SLOPES = np.array([0.0, 0.05, 0.1, 0.9, 0.95, 1.0])
ITEMS = 80


def evidence(*, follows: bool, knows: bool) -> PatchingEvidence:
    """Donors whose readouts are followed from layer 3 on, or not, and know their grade, or not."""
    rng = np.random.default_rng(7)
    domain, correct = np.resize([0, 1], ITEMS), rng.random(ITEMS) < 0.5
    donor = 0.3 + 0.1 * rng.standard_normal(ITEMS) + 0.2 * correct * knows
    base = 0.8 + 0.05 * rng.standard_normal(ITEMS)
    noise = 0.02 * rng.standard_normal((2, ITEMS, len(LAYERS)))
    patched = base[:, None] * (1 - SLOPES) + donor[:, None] * SLOPES
    still = base[:, None] + noise[1]
    return PatchingEvidence(
        DonorSweep(LAYERS, base, donor, patched + noise[0] if follows else still + noise[0]),
        DonorSweep(LAYERS, base, rng.permutation(donor), still),
        correct,
        domain,
        0.05,
        5,
    )


@pytest.mark.parametrize("follows", [True, False])
@pytest.mark.parametrize("knows", [True, False])
def test_a_cause_follows_the_donor_and_carries_its_knowledge(follows: bool, knows: bool) -> None:
    found = evidence(follows=follows, knows=knows)
    cause = cause_verdict(found, resamples=200, seed=0)
    assert cause.holds == (follows and knows)
    slope, over, told = cause.checks
    assert (slope.passed, over.passed) == (follows, follows)
    assert told.passed == (follows and knows)
    where = where_verdict(found, cause, resamples=200, seed=0)
    assert where.holds == (follows and knows)
    if where.holds:
        assert "between layers 2 and 3" in where.sentence


def test_a_slope_after_the_last_layer_is_no_finding() -> None:
    found = evidence(follows=True, knows=True)
    last = DonorSweep(
        LAYERS,
        found.sweep.base,
        found.sweep.donor,
        np.where(LAYERS < 5, found.control.patched, found.sweep.patched),
    )
    late = PatchingEvidence(
        last, found.control, found.donor_correct, found.donor_domain, found.spread, found.last
    )
    assert not cause_verdict(late, resamples=200, seed=0).holds


@pytest.mark.parametrize(
    ("low", "high", "place"),
    [
        ([0.0, 0.1, 0.6, 0.8], [0.2, 0.4, 0.9, 1.1], (1, 2)),
        ([0.0, 0.1, 0.3, 0.8], [0.2, 0.6, 0.9, 1.1], None),
        ([0.6, 0.6, 0.7, 0.8], [0.9, 0.9, 0.9, 1.1], None),
        ([0.0, 0.6, 0.3, 0.8], [0.2, 0.9, 0.9, 1.1], None),
    ],
)
def test_layers_are_named_where_the_band_is_clear(
    low: list[float], high: list[float], place: tuple[int, int] | None
) -> None:
    value = (np.array(low) + np.array(high)) / 2
    band = IntervalCurve(value, np.array(low), np.array(high))
    assert passing_layers(np.arange(4), band, 3) == place
