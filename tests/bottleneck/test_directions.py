"""Numbers of planted directions are known, and random ones lie among random ones."""

from __future__ import annotations

import numpy as np
import pytest

from workbench.bottleneck.directions import (
    cosines,
    deviations_of,
    draw_isotropic,
    draw_shuffled_probes,
    draw_with_covariance,
    newton_probes,
    patterns,
    range_of,
    readings,
    shares_within,
    span_of,
)
from workbench.bottleneck.readings import read_best
from workbench.errors import WorkbenchError
from workbench.probe import ProbeSettings

RNG = np.random.default_rng(0)
WIDTH = 24
STATES = RNG.standard_normal((200, WIDTH)) * np.geomspace(10, 0.1, WIDTH) + 5
FILTERS = RNG.standard_normal((3, WIDTH))
ROTATION = np.linalg.qr(RNG.standard_normal((WIDTH, WIDTH)))[0]


def test_cosines_of_readings_are_their_correlations() -> None:
    read = readings(FILTERS, deviations_of(STATES))
    wanted = np.corrcoef((STATES @ FILTERS.T).T)
    np.testing.assert_allclose(cosines(read, read[0]), wanted[0], atol=1e-12)


def test_a_pattern_is_the_covariance_of_states_and_reading() -> None:
    found = patterns(FILTERS, deviations_of(STATES))
    for each, pattern in zip(FILTERS, found, strict=True):
        both = np.cov(np.c_[STATES, STATES @ each].T, ddof=0)
        np.testing.assert_allclose(pattern, both[:-1, -1], atol=1e-9)


def test_a_filter_that_cancels_a_distractor_differs_from_its_pattern() -> None:
    """The signal stands on one axis, a distractor on it and on another: the filter subtracts what
    the pattern does not have.
    """
    signal, distractor = RNG.standard_normal((2, 20000))
    states = np.stack([signal + distractor, distractor], axis=1)
    (pattern,) = patterns(np.array([[1.0, -1.0]]), deviations_of(states))
    assert cosines(pattern[None], np.array([1.0, 0.0]))[0] > 0.999


def test_planted_angles_are_found() -> None:
    first, second = np.linalg.qr(RNG.standard_normal((WIDTH, 2)))[0].T
    at = np.stack(
        [np.cos(angle) * first + np.sin(angle) * second for angle in (0, np.pi / 3, np.pi / 2)]
    )
    np.testing.assert_allclose(cosines(7 * at, 0.1 * first), [1, 0.5, 0], atol=1e-12)
    np.testing.assert_allclose(shares_within(at, span_of(first[None])), [1, 0.25, 0], atol=1e-12)
    both = span_of(np.stack([first, second, first - second]))
    assert both.shape == (2, WIDTH)
    np.testing.assert_allclose(shares_within(at, both), 1)


def test_the_share_within_readings_is_the_share_of_variance_a_regression_explains() -> None:
    deviations = deviations_of(STATES)
    seen = readings(FILTERS, deviations)
    found = shares_within(seen[:1], span_of(seen[1:]))[0]
    design = np.c_[np.ones(len(STATES)), STATES @ FILTERS[1:].T]
    target = STATES @ FILTERS[0]
    left = target - design @ np.linalg.lstsq(design, target, rcond=None)[0]
    assert found == pytest.approx(1 - left.var() / target.var())


def test_a_rotation_of_the_space_changes_nothing() -> None:
    turned = deviations_of(STATES @ ROTATION)
    straight = deviations_of(STATES)
    for see, other in ((lambda v, d: v, lambda v, d: v), (readings, readings)):
        a, b = see(FILTERS, straight), other(FILTERS @ ROTATION, turned)
        np.testing.assert_allclose(cosines(a, a[0]), cosines(b, b[0]), atol=1e-10)
        np.testing.assert_allclose(
            shares_within(a, span_of(a[1:])), shares_within(b, span_of(b[1:])), atol=1e-10
        )
    np.testing.assert_allclose(
        patterns(FILTERS, straight) @ ROTATION, patterns(FILTERS @ ROTATION, turned)
    )


def test_a_zero_direction_has_no_cosine_and_no_share() -> None:
    nothing = np.zeros((1, WIDTH))
    assert np.isnan(cosines(nothing, FILTERS[0])).all()
    assert np.isnan(shares_within(nothing, span_of(FILTERS))).all()
    assert span_of(nothing).shape == (0, WIDTH)
    found = range_of(float("nan"), np.zeros(5))
    assert np.isnan([found.low, found.high, found.p]).all()


def test_where_a_number_lies_is_counted_with_itself() -> None:
    drawn = np.arange(99.0)
    assert range_of(1000.0, drawn).p == pytest.approx(2 / 100)
    assert range_of(-1.0, drawn).p == pytest.approx(2 / 100)
    assert range_of(49.0, drawn).p == 1
    found = range_of(10.0, drawn)
    assert found.p == pytest.approx(2 * 12 / 100)
    assert (found.low, found.high) == pytest.approx((2.45, 95.55))


def test_a_random_direction_lies_in_its_range_as_often_as_it_should() -> None:
    deviations, target = deviations_of(STATES), FILTERS[0]
    kinds = {
        "isotropic": lambda seed: draw_isotropic(150, WIDTH, seed),
        "covariance": lambda seed: draw_with_covariance(150, deviations, seed),
    }
    for draw in kinds.values():
        inside, small = [], []
        for seed in range(200):
            random = draw(seed)
            numbers = cosines(readings(random, deviations), readings(target[None], deviations)[0])
            found = range_of(numbers[0], numbers[1:])
            inside.append(found.low <= numbers[0] <= found.high)
            small.append(found.p <= 0.05)
        assert 0.89 <= np.mean(inside) <= 0.99
        assert np.mean(small) <= 0.09


def test_directions_drawn_with_a_covariance_have_it() -> None:
    deviations = deviations_of(STATES)
    drawn = draw_with_covariance(40000, deviations, 3)
    found = np.diag(drawn.T @ drawn / len(drawn))
    np.testing.assert_allclose(found, STATES.var(axis=0), rtol=0.05)
    assert np.allclose(draw_isotropic(5, WIDTH, 3), draw_isotropic(5, WIDTH, 3))
    assert not np.allclose(draw_isotropic(5, WIDTH, 3), draw_isotropic(5, WIDTH, 4))


def test_the_first_newton_step_points_where_the_probe_does() -> None:
    right = STATES[:, 3] + STATES[:, 9] + RNG.normal(0, 2, 200) > 10
    settings = ProbeSettings(folds=4, inner_folds=3, inverse_penalties=(1e-3,), seed=0)
    reading = read_best("states", STATES[:, None], right, STATES[:5, None], settings)
    (step,) = newton_probes(STATES, right[None].astype(float), reading.inverse_penalties[0])
    assert cosines(step[None], reading.weights[0])[0] > 0.99
    shuffled = draw_shuffled_probes(50, STATES, right, np.zeros(200), 1e-3, 0)
    seen = readings(np.r_[step[None], shuffled], deviations_of(STATES))
    assert np.abs(cosines(seen[1:], seen[0])).mean() < 0.5


def test_grades_shuffled_within_domain_keep_what_the_domains_tell() -> None:
    domain = STATES[:, 0] > 5
    easy = domain ^ (RNG.random(200) < 0.1)
    target = readings(np.eye(WIDTH)[:1], deviations_of(STATES))[0]
    for groups, least, most in ((domain, 0.6, 1), (np.zeros(200), -0.2, 0.2)):
        drawn = draw_shuffled_probes(50, STATES, easy, groups, 1e-3, 0)
        agreed = cosines(readings(drawn, deviations_of(STATES)), target).mean()
        assert least <= agreed <= most


def test_probes_of_one_kind_of_grades_and_states_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="all grades are the same"):
        draw_shuffled_probes(5, STATES, np.ones(200, dtype=bool), np.zeros(200), 1e-3, 0)
    with pytest.raises(WorkbenchError, match="at least three"):
        deviations_of(STATES[:2])
    broken = STATES.copy()
    broken[3, 4] = np.nan
    with pytest.raises(WorkbenchError, match="not finite"):
        deviations_of(broken)
