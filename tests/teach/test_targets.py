from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workbench.elicit.scales import PERCENT, Scale
from workbench.errors import WorkbenchError
from workbench.teach.targets import FEWEST_EXAMPLES, scale_targets, shuffled_targets, spread_targets

COARSE = Scale((0, 2, 5, 9), 9)


def enough(*values: float) -> np.ndarray:
    return np.resize(np.asarray(values), FEWEST_EXAMPLES)


def test_targets_by_hand() -> None:
    probability = enough(0.0, 0.004, 0.006, 0.734, 0.999, 1.0)
    assert scale_targets(probability, PERCENT)[:6].tolist() == [0, 0, 1, 73, 100, 100]
    # On 0 2 5 9 of 9 the values mean 0, .222, .556 and 1.
    assert scale_targets(enough(0.1, 0.12, 0.38, 0.4, 0.77, 0.79), COARSE)[:6].tolist() == [
        0,
        2,
        2,
        5,
        5,
        9,
    ]


@given(arrays(np.float64, FEWEST_EXAMPLES, elements=st.floats(0, 1)))
def test_no_other_value_is_nearer(probability: np.ndarray) -> None:
    for scale in (PERCENT, COARSE):
        targets = scale_targets(probability, scale)
        for p, target in zip(probability, targets, strict=True):
            assert target in scale.values
            nearest = min(abs(value / scale.certain - p) for value in scale.values)
            assert abs(target / scale.certain - p) == pytest.approx(nearest, abs=1e-12)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -0.01, 1.01])
def test_only_probabilities_become_targets(bad: float) -> None:
    with pytest.raises(WorkbenchError, match="between 0 and 1; check the probe"):
        scale_targets(enough(0.5, 0.2, bad), PERCENT)


@pytest.mark.parametrize("count", [0, 1, FEWEST_EXAMPLES - 1])
def test_too_few_examples_are_refused(count: int) -> None:
    with pytest.raises(
        WorkbenchError,
        match=rf"at least {FEWEST_EXAMPLES} examples, there are {count}; raise quest",
    ):
        scale_targets(np.full(count, 0.5), PERCENT)


@given(arrays(np.int64, st.integers(50, 80), elements=st.integers(0, 100)), st.integers(0, 1000))
def test_the_shuffled_twin_is_a_permutation_decided_by_the_seed(
    targets: np.ndarray, seed: int
) -> None:
    before = targets.copy()
    twin = shuffled_targets(targets, seed)
    assert sorted(twin.tolist()) == sorted(before.tolist())
    assert (targets == before).all()
    assert (shuffled_targets(targets, seed) == twin).all()


def test_the_shuffle_breaks_the_link_to_the_question() -> None:
    targets = np.arange(2000)
    twins = [shuffled_targets(targets, seed) for seed in range(3)]
    for twin in twins:
        # Of a random permutation one element is expected in place, and a correlation has a
        # deviation of 1/sqrt(n), of which the least of many is a small part.
        assert (twin == targets).sum() < 10
        assert abs(np.corrcoef(twin, targets)[0, 1]) < 0.2 / np.sqrt(2000)
    assert (twins[0] != twins[1]).any()


def test_a_bell_by_hand() -> None:
    """On 0 2 5 9 of 9 around 5/9 with a deviation of 1/9, distances are 5, 3, 0 and 4
    deviations.
    """
    bell = np.exp(-0.5 * np.array([5.0, 3.0, 0.0, 4.0]) ** 2)
    assert spread_targets(enough(5 / 9), COARSE, 1 / 9)[0] == pytest.approx(bell / bell.sum())
    # Cut off at an edge, half a bell: the first neighbour has exp(-1/2) of the edge's share.
    edge = spread_targets(enough(1.0), PERCENT, 0.01)[0]
    assert edge[99] / edge[100] == pytest.approx(np.exp(-0.5))


@given(arrays(np.float64, FEWEST_EXAMPLES, elements=st.floats(0, 1)), st.floats(0.02, 0.3))
def test_bells_are_distributions_around_their_probability(
    probability: np.ndarray, spread: float
) -> None:
    for scale in (PERCENT, COARSE):
        bells = spread_targets(probability, scale, spread)
        assert bells.shape == (FEWEST_EXAMPLES, len(scale.values))
        assert (bells >= 0).all()
        assert bells.sum(axis=1) == pytest.approx(1)
        values = np.array(scale.values) / scale.certain
        distance = np.abs(values - probability[:, None])
        assert distance[np.arange(FEWEST_EXAMPLES), bells.argmax(axis=1)] == pytest.approx(
            distance.min(axis=1)
        )
    inside = (probability > 5 * spread) & (probability < 1 - 5 * spread)
    mean = spread_targets(probability, PERCENT, spread) @ (np.arange(101) / 100)
    assert mean[inside] == pytest.approx(probability[inside], abs=1e-4)


def test_a_narrow_bell_is_the_nearest_value() -> None:
    """Also where every other value, and the exponential of the nearest one's distance, would
    underflow.
    """
    bells = spread_targets(enough(0.004, 0.734, 1.0), PERCENT, 1e-5)
    assert bells[:3].argmax(axis=1).tolist() == [0, 73, 100]
    assert bells.max(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("spread", [0.0, -0.1, float("nan")])
def test_a_bell_needs_a_positive_spread(spread: float) -> None:
    with pytest.raises(WorkbenchError, match="positive share of the scale"):
        spread_targets(enough(0.5), PERCENT, spread)


@pytest.mark.parametrize("bad", [float("nan"), -0.01, 1.01])
def test_only_probabilities_become_bells(bad: float) -> None:
    with pytest.raises(WorkbenchError, match="between 0 and 1; check the probe"):
        spread_targets(enough(0.5, 0.2, bad), PERCENT, 0.06)
