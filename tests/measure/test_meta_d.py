import numpy as np
import pytest
from scipy.stats import norm

from workbench.errors import WorkbenchError
from workbench.measure import meta_d, meta_d_of_choices, meta_d_of_correctness
from workbench.measure.meta_d import rating_steps

EXAMPLE = [52, 32, 35, 37, 26, 12, 4, 2], [2, 5, 15, 22, 33, 38, 40, 45]


def simulated(
    n: int, d: float, criterion: float, noise: float, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Stimulus, choice and rating of an observer who rates the evidence's distance from the
    criterion, with added noise.
    """
    rng = np.random.default_rng(seed)
    stimulus = rng.random(n) < 0.5
    evidence = rng.normal(np.where(stimulus, d / 2, -d / 2))
    choice = evidence > criterion
    seen = evidence + noise * rng.normal(size=n)
    return stimulus, choice, np.where(choice, seen - criterion, criterion - seen)


def test_equals_another_implementation() -> None:
    """metadpy 0.1.2 (its maximum likelihood fit, not padded) on two tables of counts."""
    found = meta_d(*EXAMPLE)
    assert np.isclose(found.d_prime, 1.5443864283773696)
    assert np.isclose(found.meta_d.value, 1.653849373982896, atol=1e-5)
    assert np.isclose(found.m_ratio.value, 1.07087795100643, atol=1e-5)
    assert np.isclose(found.log_likelihood, -523.1704013573219)
    skewed = meta_d([100, 50, 20, 10, 5, 1], [3, 7, 8, 12, 27, 89])
    assert np.isclose(skewed.d_prime, 2.524376300338705)
    assert np.isclose(skewed.meta_d.value, 2.3369915997278787, atol=1e-5)
    assert np.isclose(skewed.log_likelihood, -293.4057420598659)


def test_type_1_by_hand() -> None:
    found = meta_d([60, 20, 15, 5], [10, 20, 30, 40])
    hit, false = norm.ppf(0.7), norm.ppf(0.2)
    assert np.isclose(found.d_prime, hit - false)
    assert np.isclose(found.criterion, -(hit + false) / 2)


def test_an_ideal_observer_has_a_ratio_of_one() -> None:
    found = meta_d_of_choices(*simulated(40_000, 1.5, 0.3, 0.0, seed=0))
    assert np.isclose(found.m_ratio.value, 1, atol=0.04)
    assert found.m_ratio.low < 1 < found.m_ratio.high


def test_noise_in_the_rating_lowers_the_ratio() -> None:
    found = meta_d_of_choices(*simulated(40_000, 1.5, 0.3, 1.0, seed=0))
    assert found.m_ratio.high < 0.9


def test_interval_covers_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(24):
        found = meta_d_of_choices(*simulated(400, 1.5, 0.0, 0.0, seed=seed), levels=2).meta_d
        inside += found.low < 1.5 < found.high
    # Of 24 at 95 per cent, fewer than 20 has a probability of one per cent.
    assert inside >= 20


def test_correctness_alone_is_the_unbiased_table() -> None:
    rng = np.random.default_rng(4)
    stimulus, choice, rating = simulated(2000, 1.2, 0.0, 0.0, seed=4)
    step = np.digitize(rating, [0.5, 1.0, 1.5])
    found = meta_d_of_correctness(step, stimulus == choice)
    assert np.isclose(found.d_prime, 2 * norm.ppf((stimulus == choice).mean()))
    assert np.isclose(found.criterion, 0)
    by_choice = meta_d_of_choices(stimulus, choice, step)
    assert np.isclose(found.meta_d.value, by_choice.meta_d.value, atol=0.1)
    shuffled = meta_d_of_correctness(rng.permutation(step), stimulus == choice)
    assert shuffled.meta_d.low < 0.3


def test_a_handful_of_deviating_ratings_bounds_nothing() -> None:
    confidence = np.r_[np.full(999, 95.0), 1.0]
    correct = np.r_[np.arange(999) < 627, False]
    found = meta_d_of_correctness(confidence, correct)
    assert found.m_ratio.low < 0
    assert found.m_ratio.high > 3


@pytest.mark.parametrize(
    ("confidence", "correct"),
    [
        ([5, 5, 5, 5], [1, 1, 1, 0]),
        ([1, 2, 3], [1, 1, 1]),
        ([1, 2, 3, 4], [1, 0, 0, 0]),
        ([np.nan], [1]),
    ],
)
def test_undefined_is_nan(confidence: list[float], correct: list[int]) -> None:
    found = meta_d_of_correctness(confidence, correct)
    assert np.isnan([found.meta_d.value, found.m_ratio.value]).all()


def test_steps_hold_ties_together() -> None:
    assert rating_steps(np.array([3.0, 1.0, 3.0]), 4)[0].tolist() == [1, 0, 1]
    step, levels = rating_steps(np.r_[np.zeros(50), np.arange(1, 51)].astype(float), 4)
    assert levels == step.max() + 1 <= 4
    assert (step[:50] == step[0]).all()
    crowded, levels = rating_steps(np.r_[np.full(990, 100.0), np.arange(10)].astype(float), 4)
    assert levels == 2
    assert crowded[:990].min() == 1
    assert crowded[990:].max() == 0
    bottom, levels = rating_steps(np.r_[np.zeros(990), np.arange(1, 11)].astype(float), 4)
    assert (levels, bottom[0], bottom[-1]) == (2, 0, 1)


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="even length"):
        meta_d([1, 2, 3], [1, 2, 3])
    with pytest.raises(WorkbenchError, match="both stimuli"):
        meta_d([0, 0, 0, 0], [1, 2, 3, 4])
    with pytest.raises(WorkbenchError, match="two different"):
        rating_steps(np.ones(3), 4)
    with pytest.raises(WorkbenchError, match="two rating steps"):
        rating_steps(np.arange(3.0), 1)
