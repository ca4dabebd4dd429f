"""The spread between trainings, worked out by hand on eight questions and three layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from workbench.loop.conditions import AFTER, BEFORE, CONTROL, Condition, Key, Readouts
from workbench.loop.seed_measures import (
    HEADLINES,
    SeedResults,
    compare_seeds,
    shape_of,
    spread_key,
)
from workbench.loop.seed_patching import (
    GRADIENT,
    HALF,
    LARGEST,
    LAST,
    TrainingCurves,
    shift_under,
    training_curves,
)
from workbench.measure import Bootstrap, Estimate, auroc2, auroc2_within, ece
from workbench.patch.effects import Sweep, layer_gradient, mean_shift

SECOND, THIRD = Condition(arm="", seed=5), Condition(arm="", seed=6)
SEEDS = {AFTER: 4, SECOND: 5, THIRD: 6}
DRAW = Bootstrap(200, 0)
CORRECT = np.array([1, 1, 1, 1, 0, 0, 0, 0], dtype=bool)
EXPECTED = {
    BEFORE: np.array([0.5, 0.6, 0.5, 0.6, 0.5, 0.6, 0.5, 0.6]),
    AFTER: np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]),
    CONTROL: np.array([0.2, 0.4, 0.6, 0.8, 0.2, 0.4, 0.6, 0.8]),
    # One right answer below one wrong one; the level is lower throughout.
    SECOND: np.array([0.5, 0.4, 0.3, 0.19, 0.2, 0.1, 0.05, 0.0]),
    THIRD: np.array([0.1, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]),
}
SHIFTS = {AFTER: (0.2, 0.6, 1.0), SECOND: (0.4, 1.5, 1.1), THIRD: (0.1, 0.3, 0.9)}
SLOPES = {AFTER: (0.0, 0.6, 1.0), SECOND: (0.0, 0.2, 1.0), THIRD: (0.7, 0.8, 1.0)}


def readouts() -> Readouts:
    table = pd.DataFrame(
        {"row": range(8), "id": list("abcdefgh"), "question": "?", "domain": list("xyxyxyxy")}
    )
    stated = {one: np.round(values, 1) for one, values in EXPECTED.items()}
    return Readouts(table, CORRECT, stated, EXPECTED, {})


def curves(shift: tuple[float, ...], slope: tuple[float, ...]) -> TrainingCurves:
    """A training whose states move every question by ``shift`` of the way, and whose patched
    readout follows another question's by ``slope``.
    """
    layers = np.array([3, 7, 9])
    base = np.array([0.1, 0.2, 0.3, 0.2])
    donor = np.array([0.5, 0.9, 0.6, 0.8])
    own = Sweep(layers, base, donor, base[:, None] + np.outer(donor - base, shift))
    other = Sweep(layers, base, donor, np.outer(donor, slope) + base[:, None])
    return training_curves({"own_tuned": own, "other_tuned": other, "reverse": own}, DRAW)


@pytest.fixture(scope="module")
def results() -> SeedResults:
    found = {one: curves(SHIFTS[one], SLOPES[one]) for one in SEEDS}
    uniform = np.full((8, 4), 0.25)
    shapes = {one: shape_of(values, uniform) for one, values in EXPECTED.items()}
    return compare_seeds(SEEDS, readouts(), found, shapes, DRAW)


def number(results: SeedResults, key: Key) -> float:
    value = results.measures[key]
    assert isinstance(value, Estimate | float | int)
    return value.value if isinstance(value, Estimate) else value


def test_every_headline_has_a_value_of_each_training_and_its_spread(results: SeedResults) -> None:
    for key in HEADLINES.values():
        values = [number(results, key.of(condition)) for condition in SEEDS]
        assert number(results, spread_key(key, "mean")) == pytest.approx(np.mean(values))
        assert number(results, spread_key(key, "min")) == min(values)
        assert number(results, spread_key(key, "max")) == max(values)
        deviation = np.sqrt(sum((value - np.mean(values)) ** 2 for value in values) / 2)
        assert number(results, spread_key(key, "sd")) == pytest.approx(deviation)


def test_discrimination_by_hand(results: SeedResults) -> None:
    """16 pairs: all won at first, one lost in the second training, four in the third."""
    key = HEADLINES["AUROC2 expected"]
    values = [number(results, key.of(condition)) for condition in SEEDS]
    assert values == pytest.approx([1, 15 / 16, 12 / 16])
    assert number(results, spread_key(key, "mean")) == pytest.approx(43 / 48)
    assert number(results, spread_key(key, "min")) == pytest.approx(0.75)
    within = HEADLINES["AUROC2 expected within"].of(SECOND)
    assert number(results, within) == pytest.approx(
        auroc2_within(EXPECTED[SECOND], CORRECT, list("xyxyxyxy"))
    )
    gain = HEADLINES["gain AUROC2 expected"].of(THIRD)
    assert number(results, gain) == pytest.approx(12 / 16 - auroc2(EXPECTED[BEFORE], CORRECT))
    stated = readouts().stated[SECOND]
    assert number(results, Key("ece", "stated", SECOND)) == pytest.approx(ece(stated, CORRECT))


def test_patching_by_hand(results: SeedResults) -> None:
    for condition, shift in SHIFTS.items():
        assert number(results, LARGEST.of(condition)) == pytest.approx(max(shift))
        assert number(results, LAST.of(condition)) == pytest.approx(shift[-1])
    gradients = [number(results, GRADIENT.of(condition)) for condition in SEEDS]
    assert gradients == pytest.approx([1, 0.5, 1])
    assert [results.measures[HALF.of(one)] for one in SEEDS] == [7, 9, 3]
    assert number(results, spread_key(HALF, "mean")) == pytest.approx(19 / 3)
    assert number(results, spread_key(LARGEST, "max")) == pytest.approx(1.5)


def test_a_layer_that_is_never_reached_leaves_the_spread_undefined() -> None:
    found = {one: curves(SHIFTS[one], SLOPES[one]) for one in SEEDS}
    found[THIRD] = curves(SHIFTS[THIRD], (0.0, 0.1, 0.4))
    results = compare_seeds(SEEDS, readouts(), found, {}, DRAW)
    assert results.measures[HALF.of(THIRD)] is None
    for statistic in ("mean", "sd", "min", "max"):
        assert np.isnan(number(results, spread_key(HALF, statistic)))


def test_means_have_an_interval_where_one_can_be_resampled(results: SeedResults) -> None:
    for heading, key in HEADLINES.items():
        mean = results.measures[spread_key(key, "mean")]
        resampled = key.measure == "auroc2" or key == LAST
        assert isinstance(mean, Estimate) == resampled, heading
        if isinstance(mean, Estimate):
            assert mean.low <= mean.value <= mean.high


def test_trainings_that_are_the_same_have_no_spread_and_the_interval_of_one() -> None:
    """Then the interval is over questions alone, from the resamples that counts describe."""
    first = curves(SHIFTS[SECOND], SLOPES[SECOND])
    same = replace(
        readouts(),
        expected={**EXPECTED, SECOND: EXPECTED[AFTER], THIRD: EXPECTED[AFTER]},
    )
    results = compare_seeds(SEEDS, same, dict.fromkeys(SEEDS, first), {}, DRAW)
    for key in (GRADIENT, LARGEST, LAST, HALF, HEADLINES["AUROC2 expected"]):
        assert number(results, spread_key(key, "sd")) == pytest.approx(0, abs=1e-12)
    assert results.measures[Key("wasserstein", part="seeds.expected")] == 0
    assert results.measures[Key("agreement", part="seeds.expected")] == pytest.approx(1)
    rho = number(results, spread_key(GRADIENT, "mean"))
    assert rho == pytest.approx(layer_gradient(first.own).value)


def test_counted_items_give_the_shift_of_the_items_repeated() -> None:
    own = curves(SHIFTS[AFTER], SLOPES[AFTER]).own
    noise = np.random.default_rng(0).normal(0, 0.1, own.patched.shape)
    own = replace(own, patched=own.patched + noise)
    rows = [0, 0, 3, 1]
    repeated = Sweep(own.layers, own.base[rows], own.donor[rows], own.patched[rows])
    counts = np.array([[1.0, 1, 1, 1], [2, 1, 0, 1]])
    expected = [mean_shift(sweep, resamples=2, seed=0).value for sweep in (own, repeated)]
    assert shift_under(own, counts) == pytest.approx(np.array(expected))


def test_the_shape_of_a_distribution_by_hand() -> None:
    expected = np.array([0.2, 0.4, 0.6])
    distribution = np.array([[0.25, 0.25, 0, 0], [0.1, 0.1, 0.1, 0.1], [0.7, 0, 0, 0]])
    shape = shape_of(expected, distribution)
    assert shape.mean == pytest.approx(0.4)
    assert shape.sd == pytest.approx(0.2)
    assert shape.entropy == pytest.approx((1 + 2 + 0) / 3)


def test_shapes_are_of_every_condition(results: SeedResults) -> None:
    for condition, values in EXPECTED.items():
        mean = results.measures[Key("mean", part="shape", condition=condition)]
        assert mean == pytest.approx(values.mean())
        assert results.measures[Key("entropy", part="shape", condition=condition)] == 2


def test_keys_read_as_they_are_documented(results: SeedResults) -> None:
    written = {str(key) for key in results.measures}
    assert {
        "auroc2.stated.after",
        "auroc2.expected.within.seed5",
        "gain.auroc2.stated.seed6",
        "patching.layer_gradient.after",
        "patching.shift.largest.seed5",
        "seeds.trainings",
        "seeds.mean.gain.auroc2.stated",
        "seeds.sd.auroc2.expected.within",
        "seeds.min.patching.layer_gradient",
        "seeds.max.patching.donor_slope.half_layer",
        "seeds.expected.wasserstein",
        "shape.entropy.before",
        "shape.sd.seed6",
    } <= written


def test_the_table_has_every_curve_of_every_seed(results: SeedResults) -> None:
    table = results.table()
    assert len(table) == 3 * 3 * 3
    part = table[(table["seed"] == 5) & (table["curve"] == "shift")]
    assert part["layer"].tolist() == [3, 7, 9]
    assert part["value"].tolist() == pytest.approx(SHIFTS[SECOND])
