from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t

from workbench.bench.coverage import (
    LAYERS_SHOWN,
    MEASURES,
    Study,
    answer_truths,
    count,
    coverage,
    sweep_truths,
)
from workbench.bench.coverage_laws import ANSWER_LAWS, SWEEP_LAWS, ceiling_law
from workbench.errors import WorkbenchError
from workbench.measure import Estimate, auroc2, auroc2_within, brier, ece
from workbench.patch.effects import following, mean_shift

ALL = Study(measures=("accuracy", "auroc2", "auroc2_within", "ece", "brier", "share_ge_90"))


def test_the_truth_of_a_law_of_two_values_by_hand() -> None:
    """0.9 or 0.5: wrong answers say 0.9 in half of the cases, right ones in four fifths; three
    fifths are right.
    """
    law = ceiling_law("by hand", {0.9: (0.5, 0.8), 0.5: (0.5, 0.2)})
    found = answer_truths(law, ALL)
    assert found["accuracy"] == pytest.approx(0.6, abs=1e-5)
    # A right answer is above a wrong one in 0.8 x 0.5, equal in 0.8 x 0.5 + 0.2 x 0.5.
    assert found["auroc2"] == pytest.approx(0.8 * 0.5 + (0.8 * 0.5 + 0.2 * 0.5) / 2, abs=1e-5)
    assert found["auroc2_within"] == pytest.approx(found["auroc2"], abs=1e-5)
    high, right_high = 0.4 * 0.5 + 0.6 * 0.8, 0.6 * 0.8
    low, right_low = 1 - high, 0.6 * 0.2
    by_hand = abs(0.9 * high - right_high) + abs(0.5 * low - right_low)
    assert found["ece"] == pytest.approx(by_hand, abs=1e-5)
    squared = 0.6 * (0.8 * 0.01 + 0.2 * 0.25) + 0.4 * (0.5 * 0.81 + 0.5 * 0.25)
    assert found["brier"] == pytest.approx(squared, abs=1e-5)
    assert found["share_ge_90"] == pytest.approx(high, abs=1e-5)


@pytest.mark.parametrize("name", ["weak", "unparsed", "fine", "calibrated"])
def test_a_large_drawn_table_has_the_measures_of_its_law(name: str) -> None:
    law = ANSWER_LAWS[name]
    drawn = law.draw(60_000, np.random.default_rng(0))
    found = answer_truths(law, Study())
    for readout, sign in ((drawn.first, 0), (drawn.second, 1)):
        shared = np.where(np.isnan(drawn.first), np.nan, readout)
        moved = {k: found[k] - sign * found[f"difference.{k}"] for k in ("auroc2", "ece", "brier")}
        assert auroc2(shared, drawn.correct) == pytest.approx(moved["auroc2"], abs=0.01)
        assert ece(shared, drawn.correct) == pytest.approx(moved["ece"], abs=0.01)
        assert brier(shared, drawn.correct) == pytest.approx(moved["brier"], abs=0.005)
    within = auroc2_within(drawn.first, drawn.correct, drawn.domain)
    assert within == pytest.approx(found["auroc2_within"], abs=0.01)
    assert drawn.correct.mean() == pytest.approx(found["accuracy"], abs=0.008)


def test_a_calibrated_law_has_no_calibration_error() -> None:
    assert answer_truths(ANSWER_LAWS["calibrated"], ALL)["ece"] < 1e-5


@pytest.mark.parametrize("name", SWEEP_LAWS)
def test_a_large_drawn_sweep_has_the_curves_of_its_law(name: str) -> None:
    law = SWEEP_LAWS[name]
    sweep = law.draw(8_000, np.random.default_rng(0))
    donor, base = following(sweep, resamples=2, seed=0)
    shift = mean_shift(sweep, resamples=2, seed=0)
    found = sweep_truths(law, Study())
    for layer in LAYERS_SHOWN:
        assert donor.value[layer] == pytest.approx(found[f"donor_slope.layer_{layer}"], abs=0.06)
        assert base.value[layer] == pytest.approx(found[f"base_slope.layer_{layer}"], abs=0.12)
        assert shift.value[layer] == pytest.approx(found[f"shift.layer_{layer}"], abs=0.04)


def means(tables: int, width: float) -> list[dict[str, Estimate]]:
    """The textbook interval of a mean of 30 normal numbers, or one of another ``width``."""
    rng, found = np.random.default_rng(0), []
    for _ in range(tables):
        values = rng.normal(1, 2, 30)
        half = width * t.isf(0.025, 29) * values.std(ddof=1) / np.sqrt(30)
        found.append(
            {"mean": Estimate(values.mean(), values.mean() - half, values.mean() + half, 30)}
        )
    return found


def test_a_textbook_interval_misses_in_five_of_a_hundred() -> None:
    (cell,) = count("normal", 30, {"mean": 1.0}, means(400, 1))
    assert cell.bounds[0] < 0.05 < cell.bounds[1]
    assert cell.missed == (cell.low + cell.high) / 400
    assert abs(cell.error) < 0.06


def test_a_planted_interval_of_half_the_width_is_caught() -> None:
    (cell,) = count("normal", 30, {"mean": 1.0}, means(200, 0.5))
    assert cell.bounds[0] > 0.2


def test_sides_and_missing_intervals_are_counted_apart() -> None:
    found = [
        {"a": Estimate(0.5, 0.2, 0.4, 9)},
        {"a": Estimate(0.5, 0.6, 0.7, 9)},
        {"a": Estimate(0.5, np.nan, np.nan, 9)},
        {"a": Estimate(0.5, 0.4, 0.8, 9)},
    ]
    (cell,) = count("by_hand", 9, {"a": 0.5}, found)
    assert (cell.tables, cell.intervals, cell.low, cell.high) == (4, 3, 1, 1)
    assert cell.width == pytest.approx((0.2 + 0.1 + 0.4) / 3)


def test_a_small_study_has_a_cell_for_each_measure_and_the_same_twice() -> None:
    study = Study(
        tables=3,
        sizes=(60,),
        items=(16,),
        laws=("weak", "ceiling", "slow_rise"),
        resamples=20,
    )
    cells = coverage(study)
    answers = [name for name in MEASURES if name in answer_truths(ANSWER_LAWS["weak"], study)]
    assert [c.measure for c in cells if c.law == "weak"] == answers
    assert {c.measure for c in cells if c.law == "slow_rise"} == {
        "layer_gradient",
        *(f"{c}.layer_{x}" for c in ("shift", "donor_slope", "base_slope") for x in LAYERS_SHOWN),
    }
    alone = coverage(Study(**{**vars(study), "laws": ("ceiling",), "measures": ("auroc2",)}))
    (same,) = [c for c in cells if (c.law, c.measure) == ("ceiling", "auroc2")]
    assert alone == [same]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="no law 'none'"):
        Study(laws=("none",))
    with pytest.raises(WorkbenchError, match="'parse' has no interval"):
        Study(measures=("parse",))
