from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.calibration.metrics import (
    AUROC2,
    ECE,
    MEAN,
    POOLED,
    SMOOTH,
    TEMPERED,
    JudgedAnswers,
    Measurement,
    ablations_summary,
    ablations_table,
    difference,
    in_common,
    on_unanswerable,
    quality,
    question_alone,
)
from workbench.measure import Bootstrap, Estimate, auroc2, auroc2_within, ece, smooth_ece

DRAW = Bootstrap(200, 0)
RNG = np.random.default_rng(0)


def said(probability: Any, correct: Any, **more: Any) -> JudgedAnswers:
    n = len(probability)
    return JudgedAnswers(
        id=np.array(more.get("id", [f"q{i}" for i in range(n)])),
        domain=np.array(more.get("domain", ["a"] * n)),
        correct=np.array(correct, dtype=bool),
        answerable=np.array(more.get("answerable", [True] * n)),
        probability=np.array(probability, dtype=float),
        tempered=np.array(more.get("tempered", probability), dtype=float),
    )


@pytest.fixture
def verdict() -> JudgedAnswers:
    correct = RNG.random(60) < 0.5
    return said(RNG.random(60), correct, domain=["a", "b", "c"] * 20, tempered=np.full(60, 0.5))


def test_quality_is_the_packages_measures(verdict: JudgedAnswers) -> None:
    found = quality(verdict, DRAW)
    p, correct = verdict.probability, verdict.correct
    assert list(found) == [AUROC2, POOLED, ECE, SMOOTH, TEMPERED]
    assert found[AUROC2].value == pytest.approx(auroc2_within(p, correct, verdict.domain))
    assert found[POOLED].value == pytest.approx(auroc2(p, correct))
    assert found[ECE].value == pytest.approx(ece(p, correct))
    assert found[SMOOTH].value == pytest.approx(smooth_ece(p, correct))
    assert found[TEMPERED].value == pytest.approx(abs(correct.mean() - 0.5))
    assert all(one.low < one.value < one.high and one.n == 60 for one in list(found.values())[:2])


def test_a_temperature_that_could_not_be_fitted_leaves_no_number(verdict: JudgedAnswers) -> None:
    blank = said(verdict.probability, verdict.correct, tempered=np.full(60, np.nan))
    assert np.isnan(quality(blank, DRAW)[TEMPERED].value)
    assert TEMPERED not in difference(blank, blank, DRAW)


def test_a_difference_is_one_minus_the_other(verdict: JudgedAnswers) -> None:
    other = said(
        1 - verdict.probability,
        verdict.correct,
        domain=verdict.domain,
        tempered=verdict.probability,
    )
    found, own, minus = (
        difference(verdict, other, DRAW),
        quality(verdict, DRAW),
        quality(other, DRAW),
    )
    for measure in (AUROC2, POOLED, ECE, SMOOTH, TEMPERED):
        assert found[measure].value == pytest.approx(own[measure].value - minus[measure].value)
    alike = difference(verdict, verdict, DRAW)
    assert (alike[AUROC2], alike[POOLED]) == (Estimate(0, 0, 0, 60), Estimate(0, 0, 0, 60))


def test_a_difference_of_calibration_errors_has_no_interval(verdict: JudgedAnswers) -> None:
    """Both errors are lengthened by their own noise: not even of a judge and itself is it known."""
    found = difference(verdict, verdict, DRAW)
    for measure in (ECE, SMOOTH, TEMPERED):
        assert (found[measure].value, found[measure].n) == (0, 60)
        assert np.isnan([found[measure].low, found[measure].high]).all()


def test_judges_of_other_answers_are_not_compared(verdict: JudgedAnswers) -> None:
    with pytest.raises(WorkbenchError, match="align them by id"):
        difference(verdict, verdict.where(np.arange(60)[::-1]), DRAW)


def test_what_the_question_tells_is_judged_by_the_grade_of_the_own_answer() -> None:
    """Own answers right, right, wrong, wrong; with another answer the judge goes by the
    question: 3 of 4 pairs in order.
    """
    own = said([0.9, 0.8, 0.1, 0.2, 0.5], [1, 1, 0, 0, 1])
    swapped = said([0.4, 0.1, 0.3, 0.0], [0, 0, 0, 0], id=["q0", "q1", "q3", "q2"])
    found = question_alone(own, swapped, DRAW)
    assert found["own answer"][MEAN].value == pytest.approx((0.9 + 0.8 + 0.1 + 0.2) / 4)
    assert found["swapped answer"][MEAN].value == pytest.approx(0.2)
    assert found["own - swapped"][MEAN].value == pytest.approx(0.3)
    assert found["own answer"][AUROC2].value == 1
    assert found["swapped answer"][AUROC2].value == found["swapped answer"][POOLED].value == 0.75
    assert found["own - swapped"][AUROC2].value == pytest.approx(0.25)


def test_answerable_questions_are_told_from_others_over_all_answers_and_over_wrong_ones() -> None:
    none = said([0.1, 0.6], [0, 0], answerable=[False, False])
    some = said([0.9, 0.3, 0.7], [1, 0, 0])
    found = on_unanswerable(none, some, DRAW)
    assert found["unanswerable"][MEAN].value == pytest.approx(0.35)
    assert found["answerable"][MEAN].value == pytest.approx(1.9 / 3)
    assert found["answerable over unanswerable"][POOLED].value == pytest.approx(5 / 6)
    assert found["the same, wrong answers"][POOLED].value == pytest.approx(3 / 4)
    right = said([0.9], [1])
    assert "the same, wrong answers" not in on_unanswerable(none, right, DRAW)


def test_both_forms_are_compared_on_what_both_hold_out() -> None:
    one, other = said([0.1, 0.2, 0.3], [0, 1, 0]), said([0.5, 0.6], [1, 1], id=["q2", "q0"])
    assert in_common(one, other) == ["q0", "q2"]
    assert other.at(["q0", "q2"]).probability.tolist() == [0.6, 0.5]
    with pytest.raises(WorkbenchError, match="no question in common"):
        in_common(one, said([0.5], [1], id=["x"]))


def test_table_and_summary_hold_every_line() -> None:
    lines = [
        Measurement(
            "forms", "head, taught open", "judges choice", ECE, Estimate(0.2, 0.1, 0.4, 30), 75
        )
    ]
    (row,) = ablations_table(lines).to_dict("records")
    assert (row["value"], row["low"], row["high"], row["questions"], row["labels"]) == (
        0.2,
        0.1,
        0.4,
        30,
        75,
    )
    key = "forms.ece.head,_taught_open.judges_choice"
    assert ablations_summary(lines) == {key: 0.2, f"{key}.low": 0.1, f"{key}.high": 0.4}
