from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.probe.folds import ProbeSettings, check_labels, plan_folds, stratified_folds

SETTINGS = ProbeSettings(folds=5, inner_folds=4, inverse_penalties=(0.01, 1.0), seed=0)


def labels(right: int, wrong: int) -> np.ndarray:
    return np.array([True] * right + [False] * wrong)


def test_every_fold_has_its_share_of_right_answers() -> None:
    correct = labels(30, 70)
    folds = stratified_folds(correct, SETTINGS)
    assert np.bincount(folds).tolist() == [20] * 5
    assert np.bincount(folds[correct]).tolist() == [6] * 5


@pytest.mark.parametrize(("inner_folds", "distinct"), [(4, 10), (3, 15)])
def test_inner_models_never_see_the_outer_fold(inner_folds: int, distinct: int) -> None:
    settings = ProbeSettings(folds=5, inner_folds=inner_folds, inverse_penalties=(0.1,), seed=3)
    correct = labels(40, 60)
    plan = plan_folds(correct, stratified_folds(correct, settings), settings)
    trained = set()
    for k, (outer, inner) in enumerate(zip(plan.outer, plan.inner, strict=True)):
        assert len(inner) == inner_folds
        held_out = np.flatnonzero(plan.fold_of == k)
        assert outer.test.tolist() == held_out.tolist()
        assert (
            sorted(np.concatenate([split.test for split in inner]).tolist()) == outer.train.tolist()
        )
        for split in inner:
            assert not np.intersect1d(split.train, held_out).size
            assert (
                sorted(np.concatenate([split.train, split.test]).tolist()) == outer.train.tolist()
            )
            trained.add(split.train.tobytes())
    assert len(trained) == distinct


@pytest.mark.parametrize(
    ("right", "wrong", "message"),
    [
        (2, 1, "cannot fill 5 folds"),
        (40, 0, "all 40 training answers are right"),
        (0, 40, "all 40 training answers are wrong"),
        (9, 60, "only 9 right and 60 wrong"),
    ],
)
def test_degenerate_labels_are_named(right: int, wrong: int, message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        check_labels(labels(right, wrong), SETTINGS)


def test_folds_given_by_hand_are_checked() -> None:
    correct = labels(10, 40)
    with pytest.raises(WorkbenchError, match="none empty"):
        plan_folds(correct, np.arange(50) % 4, SETTINGS)
    with pytest.raises(WorkbenchError, match="one class only"):
        plan_folds(correct, np.where(correct, 0, np.arange(50) % 4 + 1), SETTINGS)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"folds": 2}, "at least 3 and 2"),
        ({"inner_folds": 1}, "at least 3 and 2"),
        ({"inverse_penalties": ()}, "at least one C"),
        ({"inverse_penalties": (0.1, -1.0)}, "above 0"),
        ({"inverse_penalties": (0.1, 0.1)}, "repeats"),
    ],
)
def test_settings_are_checked(fields: dict, message: str) -> None:
    with pytest.raises(WorkbenchError, match=message):
        ProbeSettings(
            **({"folds": 5, "inner_folds": 4, "inverse_penalties": (0.1,), "seed": 0} | fields)
        )
