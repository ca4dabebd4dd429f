from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.mechanisms.works.confidence_pairs import (
    ConfidencePairs,
    PairLaw,
    ratio_of_means,
    simulate_pairs,
)

PAIRS = ConfidencePairs(
    base=np.array([0.2, 0.9, 0.6, 0.5]),
    partner=np.array([1, 0, 3, 2]),
    cut={"half": np.array([0.5, 0.85, 0.4, 0.35])},
    swapped={"all": np.array([0.9, 0.2, 0.5, 0.6]), "level": np.array([0.3, 1.0, 0.7, 0.6])},
)


def test_shares_by_hand() -> None:
    assert PAIRS.lower.tolist() == [0, 3]
    assert PAIRS.between(PAIRS.base) == pytest.approx([0.7, 0.1])
    assert PAIRS.lost("half") == pytest.approx([0.35, 0.05])
    assert PAIRS.share(PAIRS.lost("half")).value == pytest.approx(0.5)
    assert PAIRS.carried("all") == pytest.approx([0.7, 0.1])
    assert PAIRS.carried("level") == pytest.approx([0.0, 0.0])
    assert np.isnan(PAIRS.share(PAIRS.lost("half")).low)  # two pairs are too few


def test_a_partner_pairs_back() -> None:
    with pytest.raises(WorkbenchError, match="partner is itself"):
        ConfidencePairs(np.zeros(3), np.array([1, 2, 0]), {})


def test_intervals_of_few_pairs_hold_the_truth_about_as_often_as_they_say() -> None:
    rng, missed, trials = np.random.default_rng(0), 0, 800
    for _ in range(trials):
        whole = 0.5 + rng.random(16)
        found = ratio_of_means(0.4 * whole + 0.3 * rng.standard_normal(16), whole)
        missed += not found.low <= 0.4 <= found.high
    assert 0.03 < missed / trials < 0.075


def test_a_simulated_world_has_what_is_planted() -> None:
    law = PairLaw({"cut": 0.4}, {"swap": 0.7})
    pairs = simulate_pairs(np.random.default_rng(0), 40_000, law, ("cut", "other"), ("swap",))
    assert pairs.share(pairs.lost("cut")).value == pytest.approx(0.4, abs=0.01)
    assert pairs.share(pairs.lost("other")).value == pytest.approx(0.0, abs=0.01)
    assert pairs.share(pairs.carried("swap")).value == pytest.approx(0.7, abs=0.01)
