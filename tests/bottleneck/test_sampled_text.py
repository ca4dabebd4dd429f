from __future__ import annotations

import numpy as np
import pytest

from workbench.bottleneck.sampled_text import (
    SampledAuroc2,
    sampled_auroc2,
    sum_distribution,
    tempered,
)
from workbench.errors import WorkbenchError
from workbench.measure import Bootstrap, auroc2, auroc2_within
from workbench.measure.discrimination import Grouped, auroc2_of_groups

DRAW = Bootstrap(200, 0)
RNG = np.random.default_rng(0)
P = RNG.dirichlet(np.ones(5), 60)
CORRECT = RNG.random(60) < 0.5
DOMAIN = RNG.integers(0, 3, 60)
VALUES = (0.0, 0.25, 0.5, 0.75, 1.0)


def test_temperatures_by_hand() -> None:
    p = np.array([[0.1, 0.4, 0.0]])
    assert tempered(p, 1.0) == pytest.approx(np.array([[0.2, 0.8, 0.0]]))
    assert tempered(p, 0.5) == pytest.approx(np.array([[1 / 17, 16 / 17, 0.0]]))
    assert tempered(np.array([[0.4, 0.2, 0.4]]), 0.0) == pytest.approx(np.array([[0.5, 0, 0.5]]))
    with pytest.raises(WorkbenchError, match="0 or above"):
        tempered(p, -1.0)


def test_sums_by_hand() -> None:
    p = np.array([[0.5, 0.25, 0.25]])
    twice = sum_distribution(p, (0, 10, 30), 2)
    by_hand = np.zeros(7)
    for a, pa in zip((0, 1, 3), p[0], strict=True):
        for b, pb in zip((0, 1, 3), p[0], strict=True):
            by_hand[a + b] += pa * pb
    assert twice[0] == pytest.approx(by_hand)
    with pytest.raises(WorkbenchError, match="at least one draw"):
        sum_distribution(p, (0, 1, 2), 0)
    with pytest.raises(WorkbenchError, match="no common step"):
        sum_distribution(np.ones((1, 4)), (0, 1 / 9973, 1 / 9967, 1), 2)


@pytest.mark.parametrize(("draws", "temperature"), [(1, 1.0), (3, 1.0), (2, 0.5), (1, 0.0)])
@pytest.mark.parametrize("within", [False, True])
def test_the_closed_form_is_the_mean_of_many_samples(
    draws: int, temperature: float, within: bool
) -> None:
    found = sampled_auroc2(
        P,
        VALUES,
        CORRECT,
        DRAW,
        draws=draws,
        temperature=temperature,
        domain=DOMAIN if within else None,
    )
    rng, p = np.random.default_rng(1), tempered(P, temperature)
    sampled = []
    for _ in range(800):
        chosen = (p.cumsum(axis=1)[:, None] < rng.random((60, draws, 1)) * (1 - 1e-12)).sum(axis=2)
        mean = np.asarray(VALUES)[chosen].sum(axis=1).round(6)
        sampled.append(auroc2_within(mean, CORRECT, DOMAIN) if within else auroc2(mean, CORRECT))
    error = 4 * np.std(sampled) / 800**0.5 + 1e-12
    assert abs(found.value - np.mean(sampled)) < error
    assert found.low < found.value < found.high


def test_many_draws_tell_what_the_mean_tells() -> None:
    expected = auroc2(P @ np.asarray(VALUES), CORRECT)
    many = sampled_auroc2(P, VALUES, CORRECT, DRAW, draws=400).value
    one = sampled_auroc2(P, VALUES, CORRECT, DRAW, draws=1).value
    assert abs(many - expected) < 0.02
    assert abs(one - 0.5) < abs(many - 0.5)


def test_at_temperature_zero_the_most_probable_value_is_said() -> None:
    mode = np.asarray(VALUES)[P.argmax(axis=1)]
    found = sampled_auroc2(P, VALUES, CORRECT, DRAW, draws=1, temperature=0.0)
    assert found.value == pytest.approx(auroc2(mode, CORRECT))


@pytest.mark.parametrize(("n", "draws"), [(12, 3), (60, 1)], ids=["pairs", "sums"])
def test_pairs_and_sums_give_one_number(n: int, draws: int) -> None:
    sums, correct = sum_distribution(P[:n], VALUES, draws), np.arange(n) % 3 == 0
    counts = RNG.multinomial(n, np.full(n, 1 / n), 40).astype(float)
    right, wrong = (counts @ (sums * side[:, None]) for side in (correct, ~correct))
    np.testing.assert_allclose(
        SampledAuroc2(sums, correct)(counts), auroc2_of_groups(Grouped(right, wrong)), rtol=1e-9
    )
