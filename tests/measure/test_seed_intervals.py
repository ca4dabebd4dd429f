from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from tests.support.percentile import sorted_bounds
from workbench.measure.bootstrap import Bootstrap, bootstrap_counts, resampled_rows
from workbench.measure.calibration import BinnedForecasts
from workbench.measure.discrimination import Auroc2Within
from workbench.measure.seed_intervals import (
    counted_questions,
    drawn_seeds,
    over_seeds,
    statistics_over_seeds,
)
from workbench.measure.weighted import PointOnly, once


def test_the_interval_counts_questions_and_seeds_by_hand() -> None:
    """Two seeds of 0 and 1 that no resample of questions moves: resamples take 00, 01, 10 or 11,
    half apart times root 2. Four values are too few for any but the least and the greatest.
    """
    values = np.array([[0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    chosen = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    found = over_seeds(values, chosen, 9)
    away = 0.5 * np.sqrt(2)
    assert (found.value, found.n) == (0.5, 9)
    assert (found.low, found.high) == pytest.approx((0.5 - away, 0.5 + away))
    cut = over_seeds(values, chosen, 9, (0, 1))
    assert (cut.low, cut.high) == (0, 1)


def test_one_seed_speaks_of_questions_alone() -> None:
    values = np.r_[0.3, np.random.default_rng(0).random(500)][None]
    values[0, 7] = np.nan
    for strata in (1, 3):
        found = over_seeds(values, drawn_seeds(1, resamples=500, seed=0), 9, strata=strata)
        expected = sorted_bounds(0.3, values[0, 1:], 9, strata=strata)
        assert (found.low, found.high) == pytest.approx(expected)


def test_one_seed_has_the_interval_that_its_statistic_has_alone() -> None:
    rng = np.random.default_rng(1)
    codes, draws = np.resize([0, 1, 2], 40), Bootstrap(150, 4).draws
    statistic = Auroc2Within(rng.random(40), rng.random(40) < 0.5, codes)
    counts, chosen = counted_questions(codes, **draws), drawn_seeds(1, **draws)
    alone = bootstrap_counts({"": statistic}, 40, **draws, strata=codes)[""]
    found = statistics_over_seeds([statistic], counts, chosen, (0, 1), strata=3)
    assert found.n == alone.n == 40
    assert (found.value, found.low, found.high) == pytest.approx(
        (alone.value, alone.low, alone.high)
    )
    assert np.isnan(statistics_over_seeds([statistic, None], counts, drawn_seeds(2, **draws)).value)


@pytest.mark.parametrize(("apart", "has_interval"), [(4, False), (5, True)])
def test_seeds_with_few_answers_that_tell_anything_have_no_interval(
    apart: int, has_interval: bool
) -> None:
    """One seed has many; of the other all answers but ``apart`` have one confidence."""
    rng = np.random.default_rng(2)
    correct, codes, draws = np.resize([True, False], 30), np.zeros(30), {"resamples": 50, "seed": 0}
    few = np.where(np.arange(30) < apart, 0.1, 0.9)
    both = [Auroc2Within(each, correct, codes) for each in (rng.random(30), few)]
    found = statistics_over_seeds(
        both, counted_questions(codes, **draws), drawn_seeds(2, **draws), (0, 1)
    )
    assert 0 < found.value < 1
    assert bool(np.isfinite([found.low, found.high]).all()) == has_interval
    assert bool(np.isnan([found.low, found.high]).all()) != has_interval


def test_what_is_not_defined_has_no_interval() -> None:
    undefined = over_seeds(np.full((1, 5), np.nan), np.zeros((4, 1), dtype=int), 9)
    assert np.isnan([undefined.value, undefined.low, undefined.high]).all()


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_width_is_that_of_planted_seeds_and_questions(seeds: int) -> None:
    """Value of a seed = its own level + the mean of the questions: the interval's variance is
    s^2 / S + t^2 / n on average, with t of n - 1 degrees in place of 1.96.
    """
    rng, n, resamples, level, spread = np.random.default_rng(seeds), 40, 400, 0.2, 1.0
    found, only_seeds = [], []
    reach = t.isf(0.025, n - 1) * np.sqrt(n / (n - 1))
    for trial in range(300):
        questions, own = spread * rng.standard_normal(n), level * rng.standard_normal(seeds)
        drawn = np.concatenate([*resampled_rows(n, resamples=resamples, seed=trial)])
        means = np.r_[questions.mean(), questions[drawn].mean(axis=1)]
        chosen = drawn_seeds(seeds, resamples=resamples, seed=trial)
        both = over_seeds(own[:, None] + means, chosen, n)
        found.append((both.high - both.low) / (2 * reach))
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


@pytest.mark.parametrize("plain", [True, False])
def test_what_percentiles_do_not_cover_has_its_mean_alone(plain: bool) -> None:
    rng = np.random.default_rng(0)
    confidence, correct = rng.random((2, 50)), rng.random(50) < 0.5
    ece = [BinnedForecasts(each, correct, 10).ece for each in confidence]
    given = [PointOnly(each) for each in ece] if plain else ece
    counts = counted_questions(np.zeros(50), resamples=20, seed=0)
    found = statistics_over_seeds(given, counts, drawn_seeds(2, resamples=20, seed=0))
    assert np.isclose(found.value, np.mean([once(each, correct) for each in ece]))
    assert np.isnan([found.low, found.high]).all()
    assert found.n == 50
