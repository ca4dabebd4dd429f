from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from workbench.errors import WorkbenchError
from workbench.measure import auroc2, seed_split

CORRECT = np.array([True, True, False, False])


def test_seeds_that_rank_alike_may_state_other_numbers() -> None:
    """The second seed states everything 0.2 lower: the same discrimination, a shape 0.2 away."""
    first = np.array([0.9, 0.7, 0.6, 0.3])
    split = seed_split({0: first, 1: first - 0.2}, CORRECT)
    assert (split.seeds, split.auroc2, split.auroc2_sd, split.auroc2_range) == (2, 1.0, 0.0, 0.0)
    assert split.wasserstein == pytest.approx(0.2)
    assert split.agreement == pytest.approx(1)


def test_the_split_of_three_seeds_is_over_pairs() -> None:
    rng = np.random.default_rng(0)
    seeds = {seed: rng.random(40) for seed in range(3)}
    correct = rng.random(40) < 0.5
    split = seed_split(seeds, correct)
    scores = [auroc2(values, correct) for values in seeds.values()]
    assert split.auroc2_sd == pytest.approx(np.std(scores, ddof=1))
    assert split.auroc2_range == pytest.approx(max(scores) - min(scores))
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert split.agreement == pytest.approx(
        np.mean([spearmanr(seeds[a], seeds[b]).statistic for a, b in pairs])
    )
    assert split.wasserstein == pytest.approx(
        np.mean([np.abs(np.sort(seeds[a]) - np.sort(seeds[b])).mean() for a, b in pairs])
    )


def test_unparsed_answers_are_left_out_pair_by_pair() -> None:
    split = seed_split({0: [0.5, np.nan, 0.2, 0.1], 1: [0.5, 0.9, 0.2, np.nan]}, CORRECT)
    assert split.wasserstein == 0
    assert split.agreement == pytest.approx(1)
    assert np.isnan(seed_split({0: [np.nan] * 4, 1: [0.5] * 4}, CORRECT).wasserstein)


def test_one_seed_has_no_spread() -> None:
    with pytest.raises(WorkbenchError, match="at least two seeds, there is 1"):
        seed_split({0: [0.5] * 4}, CORRECT)
