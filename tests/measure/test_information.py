from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from workbench.errors import WorkbenchError
from workbench.measure import Bootstrap
from workbench.measure.information import (
    base_rate_odds,
    information_gains,
    mean_gain,
    mutual_information,
)

DRAW = Bootstrap(400, 0)


def test_mutual_information_is_the_plug_in_less_its_bias() -> None:
    score = np.repeat([0.1, 0.5, 0.9], [30, 30, 40])
    correct = np.r_[np.arange(30) < 5, np.arange(30) < 15, np.arange(40) < 36]
    plug_in = mutual_info_score(score.astype(str), correct) / np.log(2)
    found = mutual_information(score, correct)
    assert found.value == pytest.approx(plug_in - 2 / (2 * 100 * np.log(2)))
    assert found.low < plug_in < found.high
    assert found.n == 100


def test_a_perfect_score_holds_the_grades_entropy() -> None:
    correct = np.arange(1000) < 250
    entropy = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    found = mutual_information(correct * 1.0, correct)
    assert found.value == pytest.approx(entropy - 1 / (2000 * np.log(2)))


def test_a_missing_score_may_tell_something() -> None:
    correct = np.arange(200) % 2 == 0
    assert mutual_information(np.where(correct, 0.5, np.nan), correct).value > 0.98


def test_bits_of_continuous_scores_that_tell_nothing_are_around_zero_and_covered() -> None:
    """The interval covers 0 in about 95 % of tables, and the corrected value has mean 0."""
    rng = np.random.default_rng(0)
    found = [mutual_information(rng.random(150), rng.random(150) < 0.4) for _ in range(300)]
    values = np.array([each.value for each in found])
    assert abs(values.mean()) < 3 * values.std() / 300**0.5
    assert np.mean([each.low <= 0 <= each.high for each in found]) > 0.91


def test_the_interval_covers_the_truth_of_a_known_law() -> None:
    """Four values with known shares of right answers; the truth is summed by hand."""
    rng, share = np.random.default_rng(1), np.array([0.2, 0.4, 0.6, 0.9])
    p = share.mean()
    truth = float(
        np.mean(share * np.log2(share / p) + (1 - share) * np.log2((1 - share) / (1 - p)))
    )
    covered = 0
    for _ in range(300):
        value = rng.integers(0, 4, 200)
        found = mutual_information(value / 3, rng.random(200) < share[value])
        covered += found.low <= truth <= found.high
    assert 0.91 < covered / 300 < 0.99


def test_base_rates_are_those_of_training_drawn_together() -> None:
    right = np.array([True, True, False, False, False, False])
    odds = base_rate_odds(np.array(list("aabbbb")), right, np.array(list("abz")))
    rates = np.array([(2 + 2 / 3) / 4, (2 / 3) / 6, 1 / 3])
    assert odds == pytest.approx(np.log(rates / (1 - rates)))


def test_knowing_the_domain_earns_nothing_and_knowing_the_answer_does() -> None:
    rng = np.random.default_rng(0)
    domain = rng.integers(0, 2, 2000)
    correct = rng.random(2000) < np.where(domain == 0, 0.2, 0.8)
    knows = correct + rng.normal(0, 0.5, 2000)
    train, test = slice(0, 1000), slice(1000, None)

    def gain(score: np.ndarray) -> float:
        gains = information_gains(
            score[train], correct[train], domain[train], score[test], correct[test], domain[test]
        )
        return mean_gain(gains, DRAW).value

    assert abs(gain(domain.astype(float))) < 0.005
    assert abs(gain(rng.random(2000))) < 0.005
    assert gain(knows) > 0.3
    assert gain(np.where(knows > 0.5, np.nan, knows)) > 0.2


def test_gains_are_paired_and_have_an_interval() -> None:
    gains = np.random.default_rng(0).normal(0.2, 1, 400)
    found = mean_gain(gains, DRAW)
    assert found.value == pytest.approx(gains.mean())
    assert found.low < gains.mean() < found.high
    assert found.high - found.low == pytest.approx(2 * 1.96 * gains.std() / 20, rel=0.15)


def test_one_class_is_refused() -> None:
    ones, domain = np.ones(10, dtype=bool), np.array(["a"] * 10)
    with pytest.raises(WorkbenchError, match="all right or all wrong"):
        information_gains(np.arange(10), ones, domain, np.arange(10), ones, domain)
