"""Bad input: each case is a defined value with a warning said once; what is an error is tested
where it is raised.
"""

import json
from typing import Any

import numpy as np
import pytest

from workbench.measure.groups import (
    GroupMeasures,
    Settings,
    fitting_half,
    flat,
    measure_group,
    measure_groups,
)
from workbench.measure.table_file.answers import Answers

RNG = np.random.default_rng(3)


def answers(confidence: Any, correct: Any, **columns: Any) -> Answers:
    scores = np.asarray(confidence, dtype=float)
    return Answers(
        confidence=scores,
        correct=np.asarray(correct, dtype=bool),
        group=np.full(len(scores), "all", dtype=object),
        scale=1.0,
        **columns,
    )


def measured(confidence: Any, correct: Any, **columns: Any) -> GroupMeasures:
    return measure_group(answers(confidence, correct, **columns), Settings(resamples=20))


def plenty(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    scores = np.round(RNG.random(n), 2)
    return scores, RNG.random(n) < scores


def test_good_answers_leave_nothing_to_warn_of() -> None:
    scores, labels = plenty()
    found = measured(
        scores,
        labels,
        retrieved=RNG.random(60) < 0.9,
        domain=np.array(["a", "b"] * 30, dtype=object),
    )
    assert found.notes == ()
    values = flat(found.values)
    wanted = (
        "n",
        "accuracy",
        "parse_rate",
        "auroc2",
        "ece",
        "brier",
        "tier",
        "ceiling_rate",
        "floor_rate",
    )
    for name in (
        *wanted,
        "modal_bin_share",
        "bin_sparsity",
        "pearson_r",
        "auroc2_within",
        "retrieval_gain_mean",
    ):
        assert values[name] is not None
    assert values["auroc2_delong.low"] < values["auroc2"] < values["auroc2_delong.high"]  # type: ignore[operator]
    json.dumps(values, allow_nan=False)


def test_fewer_than_ten_rows() -> None:
    found = measured([0.1, 0.9, 0.4, 0.8], [0, 1, 0, 1])
    assert found.values["auroc2"].value == 1.0  # type: ignore[union-attr]
    assert [note for note in found.notes if "only 4 parsed answers" in note]


@pytest.mark.parametrize(("grade", "word"), [(1, "right"), (0, "wrong")])
def test_one_class_only(grade: int, word: str) -> None:
    found = measured(plenty(20)[0], [grade] * 20)
    values = flat(found.values)
    assert (values["auroc2"], values["pearson_r"], values["m_ratio"]) == (None, None, None)
    assert values["recalibrated.platt.ece"] is None
    assert values["accuracy"] == grade
    assert values["tier"] == "Invalid"
    assert sum(f"every parsed answer is {word}" in note for note in found.notes) == 1
    assert sum("one kind only" in note for note in found.notes) == 1


def test_ties_everywhere() -> None:
    found = measured([0.8] * 20, [1, 0] * 10)
    values = flat(found.values)
    assert values["auroc2"] == 0.5
    assert (values["auroc2_delong.low"], values["pearson_r"], values["meta_d"]) == (
        None,
        None,
        None,
    )
    assert sum("ties everywhere" in note for note in found.notes) == 1


def test_nothing_parsed() -> None:
    found = measured([np.nan] * 12, [1, 0] * 6)
    values = flat(found.values)
    assert (values["parse_rate"], values["accuracy"], values["n_parsed"]) == (0, 0.5, 0)
    for name in (
        "auroc2",
        "ece",
        "brier",
        "log_score",
        "aurc",
        "ceiling_rate",
        "recalibrated.none.ece",
    ):
        assert values[name] is None
    assert found.notes
    json.dumps(values, allow_nan=False)


def test_domains_of_one_class_are_counted() -> None:
    scores, labels = plenty()
    domain = np.where(np.arange(60) < 5, "sure", "mixed").astype(object)
    labels[:5] = True
    found = measured(scores, labels, domain=domain)
    assert [
        note
        for note in found.notes
        if "1 of 2 domains hold only right or only wrong answers" in note
    ]


def test_choices_give_meta_d_of_two_alternatives() -> None:
    stimulus = RNG.random(400) < 0.5
    evidence = RNG.normal(np.where(stimulus, 1, -1))
    scores = np.clip(np.abs(evidence) / 4, 0, 1)
    found = measured(scores, (evidence > 0) == stimulus, stimulus=stimulus, choice=evidence > 0)
    assert found.values["m_ratio"].value == pytest.approx(1, abs=0.35)  # type: ignore[union-attr]
    one_sided = measured(
        scores, evidence > 0, stimulus=np.ones(400, dtype=bool), choice=evidence > 0
    )
    assert np.isnan(one_sided.values["m_ratio"].value)  # type: ignore[union-attr]


def test_all_rows_of_a_question_fall_on_one_side() -> None:
    ids = np.array([f"q{i % 100}" for i in range(300)], dtype=object)
    half = fitting_half(answers(np.ones(300), np.ones(300), id=ids))
    assert len({(i, bool(h)) for i, h in zip(ids, half, strict=True)}) == 100
    assert 0.3 < half.mean() < 0.7
    assert 0.3 < fitting_half(answers(np.ones(300), np.ones(300))).mean() < 0.7


def test_groups_are_measured_apart() -> None:
    scores, labels = plenty()
    both = Answers(scores, labels, np.repeat(np.array(["x", "y"], dtype=object), 30), 1.0)
    found = measure_groups(both, Settings(resamples=20))
    assert list(found) == ["x", "y"]
    assert found["y"].values["accuracy"].value == labels[30:].mean()  # type: ignore[union-attr]
