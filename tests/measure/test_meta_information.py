from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import mutual_info_score

from workbench.measure import meta_information
from workbench.measure.meta_information import entropy, normal_information

# 100 answers: wrong and right ones of each of three confidences.
TABLE = {0.2: (24, 6), 0.5: (15, 15), 0.9: (4, 36)}
CONFIDENCE = np.repeat(list(TABLE), [sum(cell) for cell in TABLE.values()])
CORRECT = np.concatenate([np.repeat([False, True], cell) for cell in TABLE.values()])


def test_bits_of_a_table_by_hand() -> None:
    by_hand = sum(
        count / 100 * np.log2(count / 100 / (sum(cell) / 100 * total / 100))
        for cell in TABLE.values()
        for count, total in zip(cell, (43, 57), strict=True)
    )
    found = meta_information(CONFIDENCE, CORRECT)
    assert by_hand == pytest.approx(mutual_info_score(CONFIDENCE.astype(str), CORRECT) / np.log(2))
    assert found.bits.value == pytest.approx(by_hand - 2 / (2 * 100 * np.log(2)))
    grades = -(0.43 * np.log2(0.43) + 0.57 * np.log2(0.57))
    assert found.of_entropy.value == pytest.approx(found.bits.value / grades)
    assert found.of_normal.value == pytest.approx(
        found.bits.value / normal_information(np.array([0.57]))[0]
    )


def test_the_normal_observers_bits_by_integration() -> None:
    """Evidence x of either sign about d / 2; the confidence is |x|, its share of right answers
    1 / (1 + exp(-d |x|))."""
    for accuracy in (0.6, 0.75, 0.9, 0.99):
        d = 2 * norm.ppf(accuracy)

        def left(x: float, d: float = d) -> float:
            density = norm.pdf(x - d / 2) + norm.pdf(x + d / 2)
            return density * entropy(np.array([1 / (1 + np.exp(-d * x))]))[0]

        bits = entropy(np.array([accuracy]))[0] - quad(left, 0, 20)[0]
        assert normal_information(np.array([accuracy]))[0] == pytest.approx(bits, abs=1e-6)


def test_a_drawn_normal_observer_has_meta_i1r_near_one() -> None:
    """Many groups and answers, for the confidence must be told apart finely to hold all it has."""
    rng = np.random.default_rng(0)
    x = rng.normal(0.7, 1, 200_000)
    found = meta_information(np.abs(x), x > 0, groups=60)
    assert found.of_normal.value == pytest.approx(1, abs=0.02)


def test_a_confidence_that_settles_the_grades_has_their_entropy() -> None:
    correct = np.arange(2000) < 300
    found = meta_information(correct * 1.0, correct)
    assert found.of_entropy.value == pytest.approx(1, abs=0.002)
    assert np.isnan(found.of_normal.value)


def test_the_ratios_interval_covers() -> None:
    rng, share = np.random.default_rng(1), np.array([0.6, 0.7, 0.9, 0.98])
    p = share.mean()
    bits = float(np.mean(share * np.log2(share / p) + (1 - share) * np.log2((1 - share) / (1 - p))))
    truths = bits / np.array([entropy(np.array([p]))[0], normal_information(np.array([p]))[0]])
    hits = np.zeros(2)
    for _ in range(300):
        value = rng.integers(0, 4, 200)
        found = meta_information(value / 3, rng.random(200) < share[value])
        both = (found.of_entropy, found.of_normal)
        hits += [each.low <= truth <= each.high for each, truth in zip(both, truths, strict=True)]
    assert ((hits / 300 > 0.91) & (hits / 300 < 0.99)).all()


def test_near_an_accuracy_of_one_half_nothing_is_known_of_the_normal_observers_share() -> None:
    rng = np.random.default_rng(2)
    found = meta_information(rng.random(200), rng.random(200) < 0.55)
    assert np.isnan(found.of_normal.low)
    assert not np.isnan(found.of_entropy.low)


def test_unparsed_replies_are_left_out_and_a_few_odd_answers_bound_nothing() -> None:
    with_gap = meta_information(np.r_[CONFIDENCE, np.nan], np.r_[CORRECT, True])
    assert with_gap.bits == meta_information(CONFIDENCE, CORRECT).bits
    odd = np.r_[np.full(96, 0.9), np.full(4, 0.1)]
    assert np.isnan(meta_information(odd, CORRECT).bits.low)
    assert np.isnan(meta_information(np.array([]), np.array([], dtype=bool)).bits.value)
