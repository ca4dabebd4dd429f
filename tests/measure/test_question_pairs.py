from __future__ import annotations

import numpy as np
import pytest

from workbench.measure.bootstrap import bootstrap_counts, resampled_rows
from workbench.measure.percentile import bounds
from workbench.measure.question_pairs import mean_of_pairs

RNG = np.random.default_rng(0)
QUESTIONS, PAIRS = 12, 30


def test_a_resample_is_every_pair_of_the_drawn_questions() -> None:
    """By brute force: for every two places of a resample whose questions were paired, that
    pair's value once more.
    """
    pairs = np.array([RNG.choice(QUESTIONS, 2, replace=False) for _ in range(PAIRS)])
    values = np.where(RNG.random(PAIRS) < 0.2, np.nan, RNG.random(PAIRS))
    domain = np.arange(QUESTIONS) % 2
    found = bootstrap_counts(
        {"mean": mean_of_pairs(values, pairs[:, 0], pairs[:, 1])},
        QUESTIONS,
        seed=5,
        resamples=80,
        strata=domain,
    )["mean"]
    assert found.value == pytest.approx(np.nanmean(values))
    means = []
    for rows in np.concatenate([*resampled_rows(QUESTIONS, resamples=80, seed=5, strata=domain)]):
        again = [
            value
            for (first, second), value in zip(pairs, values, strict=True)
            for one in rows
            for other in rows
            if one == first and other == second and not np.isnan(value)
        ]
        means.append(np.mean(again) if again else np.nan)
    low, high = bounds(found.value, np.array(means), 0.95, QUESTIONS, fitted=2)
    assert (found.low, found.high) == pytest.approx((float(low), float(high)))


def test_the_interval_is_that_of_the_questions_where_pairs_share_them() -> None:
    """A pair's value is the mean of its questions' levels; resampling pairs would miss what the
    questions have in common.
    """
    widths, means = [], []
    for trial in range(150):
        rng = np.random.default_rng(trial)
        level, order = rng.standard_normal(30), [rng.permutation(30) for _ in range(6)]
        first, second = np.concatenate(order), np.concatenate([np.roll(each, 1) for each in order])
        values = (level[first] + level[second]) / 2
        found = bootstrap_counts(
            {"m": mean_of_pairs(values, first, second)}, 30, seed=trial, resamples=300
        )["m"]
        widths.append((found.high - found.low) / (2 * 1.96))
        means.append(found.value)
    assert np.sqrt(np.mean(np.square(widths))) == pytest.approx(np.std(means), rel=0.2)


def test_nothing_counted_is_undefined() -> None:
    mean = mean_of_pairs(np.array([1.0, np.nan]), np.array([0, 1]), np.array([1, 2]))
    assert np.isnan(mean(np.array([[0.0, 1.0, 2.0]]))).all()
    assert mean(np.array([[1.0, 1.0, 0.0]])).tolist() == [1.0]
