from __future__ import annotations

import numpy as np
import pytest

from workbench.measure.within_groups import centre_within
from workbench.mechanisms.works.commitment_directions import measure_angle, whiten

RNG = np.random.default_rng(0)


def planted(n: int, width: int, cosine: float, noise: float) -> tuple[np.ndarray, ...]:
    states = RNG.normal(size=(n, width)) * np.linspace(3, 1, width)
    unit = states / np.linspace(3, 1, width)
    along = cosine * unit[:, 0] + np.sqrt(1 - cosine**2) * unit[:, 1]
    first, second = unit[:, 0], along
    return (
        states,
        first + noise * RNG.normal(size=n),
        second + noise * RNG.normal(size=n),
        np.resize(np.arange(4), n),
    )


def test_the_cosine_is_the_correlation_of_two_readouts_and_noise_hides_it() -> None:
    states, first, second, codes = planted(400, 20, 0.9, 3.0)
    found = measure_angle(whiten(states, codes), first, second, codes, 0)
    assert found.cosine.value < found.corrected.value - 0.05
    assert found.corrected.value == pytest.approx(0.9, abs=0.2)
    assert found.corrected.low < 0.9 < found.corrected.high
    assert found.first_signal.low > 0
    assert found.shuffled.low < 0 < found.shuffled.high


def test_the_interval_is_the_jackknife_by_leaving_out() -> None:
    states, first, second, codes = planted(60, 6, 0.5, 0.5)
    whitened = whiten(states, codes)
    y, c = (centre_within(each, codes) for each in (first, second))
    y, c = y / y.std(), c / c.std()

    def by_hand(rows: np.ndarray) -> float:
        z = whitened[rows]
        pairs = z @ z.T * (1 - np.eye(len(rows)))
        slack = 1 - 60 / 56
        own = np.array(
            [(a[rows] * b[rows] * (z**2).sum(axis=1)).sum() for a, b in ((y, c), (y, y), (c, c))]
        )
        product, one, other = (
            a[rows] @ pairs @ b[rows] + slack * each
            for (a, b), each in zip(((y, c), (y, y), (c, c)), own, strict=True)
        )
        return float(product / np.sqrt(one * other))

    found = measure_angle(whitened, first, second, codes, 0).corrected
    everyone = np.arange(60)
    assert found.value == pytest.approx(by_hand(everyone))
    without = np.array([by_hand(np.delete(everyone, row)) for row in range(60)])
    error = np.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    assert found.high - found.value == pytest.approx(1.959964 * error, rel=1e-5)


def test_targets_that_states_do_not_tell_have_no_signal() -> None:
    values = []
    for _ in range(60):
        states, codes = RNG.normal(size=(120, 300)), np.resize(np.arange(6), 120)
        first, second = RNG.normal(size=(2, 120))
        found = measure_angle(whiten(states, codes), first, second, codes, 0)
        values.append(found.first_signal.value)
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(60)


def test_what_differs_between_domains_alone_is_no_direction() -> None:
    states, first, second, codes = planted(200, 8, 0.5, 0.5)
    moved = states + 30.0 * codes[:, None]
    plain = measure_angle(whiten(states, codes), first, second, codes, 0)
    shifted = measure_angle(whiten(moved, codes), first + 9 * codes, second - 9 * codes, codes, 0)
    assert shifted.corrected.value == pytest.approx(plain.corrected.value)


def test_a_target_that_never_varies_has_no_angle() -> None:
    states, first, _, codes = planted(80, 8, 0.5, 0.5)
    found = measure_angle(whiten(states, codes), first, np.ones(80), codes, 0)
    assert np.isnan(found.corrected.value)
    assert np.isnan(found.second_signal.low)
