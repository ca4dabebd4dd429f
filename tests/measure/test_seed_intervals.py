from __future__ import annotations

import numpy as np
import pytest

from workbench.measure.bootstrap import resampled_rows
from workbench.measure.seed_intervals import drawn_seeds, over_seeds


def test_the_interval_counts_questions_and_seeds_by_hand() -> None:
    """Two seeds of 0 and 1 that no resample of questions moves: resamples take 00, 01, 10 or 11,
    half apart times root 2.
    """
    values = np.array([[0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    chosen = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    found = over_seeds(values, chosen, 9)
    away = 0.5 * np.sqrt(2)
    expected = np.quantile([0.5 - away, 0.5, 0.5, 0.5 + away], [0.025, 0.975])
    assert (found.value, found.n) == (0.5, 9)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    cut = over_seeds(values, chosen, 9, (0, 1))
    assert (cut.low, cut.high) == (0, 1)


def test_one_seed_speaks_of_questions_alone() -> None:
    values = np.r_[0.3, np.random.default_rng(0).random(500)][None]
    found = over_seeds(values, drawn_seeds(1, resamples=500, seed=0), 9)
    assert (found.low, found.high) == tuple(np.quantile(values[0, 1:], [0.025, 0.975]))


def test_what_is_not_defined_has_no_interval() -> None:
    undefined = over_seeds(np.full((1, 5), np.nan), np.zeros((4, 1), dtype=int), 9)
    assert np.isnan([undefined.value, undefined.low, undefined.high]).all()


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_width_is_that_of_planted_seeds_and_questions(seeds: int) -> None:
    """Value of a seed = its own level + the mean of the questions: the interval's variance is
    s^2 / S + t^2 / n on average.
    """
    rng, n, resamples, level, spread = np.random.default_rng(seeds), 40, 400, 0.2, 1.0
    found, only_seeds = [], []
    for trial in range(300):
        questions, own = spread * rng.standard_normal(n), level * rng.standard_normal(seeds)
        drawn = np.concatenate([*resampled_rows(n, resamples=resamples, seed=trial)])
        means = np.r_[questions.mean(), questions[drawn].mean(axis=1)]
        chosen = drawn_seeds(seeds, resamples=resamples, seed=trial)
        both = over_seeds(own[:, None] + means, chosen, n)
        found.append((both.high - both.low) / (2 * 1.96))
        still = own[:, None] + np.zeros(resamples + 1)
        drawn_means = still[:, 1:].T[np.arange(resamples)[:, None], chosen].mean(axis=1)
        only_seeds.append(drawn_means.var() * seeds / (seeds - 1))
    assert np.mean(only_seeds) == pytest.approx(level**2 / seeds, rel=0.25)
    assert np.mean(np.square(found)) == pytest.approx(
        level**2 / seeds + spread**2 * (1 - 1 / n) / n, rel=0.15
    )


def test_seeds_are_drawn_apart_from_the_questions() -> None:
    """From one stream, the first draws of questions and seeds would rise and fall together."""
    rows = next(resampled_rows(2, resamples=2000, seed=0)).ravel()[:2000]
    chosen = drawn_seeds(2, resamples=2000, seed=0).ravel()[:2000]
    assert abs(np.corrcoef(rows, chosen)[0, 1]) < 0.1
