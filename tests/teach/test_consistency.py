from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.teach.consistency import (
    NOISE,
    balanced_bins,
    bin_levels,
    bin_targets,
    consistency_bins,
    consistency_targets,
)
from workbench.teach.target_inputs import TargetInputs

SHARE = np.repeat([0.2, 0.4, 0.7, 1.0], [10, 10, 10, 30])
CORRECT = np.concatenate(
    [np.arange(10) < 1, np.arange(10) < 4, np.arange(10) < 5, np.arange(30) < 27]
)


def material(share: np.ndarray = SHARE, seed: int = 0) -> TargetInputs:
    n = len(share)
    return TargetInputs(np.arange(n), CORRECT[:n], np.full(n, "d"), {"consistency": share}, seed)


def test_equal_shares_share_a_bin_and_order_is_kept() -> None:
    """Fifths of 60 shares end at .4, .7 (the 24th is .7), 1 and 1: bins .2; .4; .7; 1."""
    assert consistency_bins(SHARE).tolist() == np.repeat([0, 1, 2, 3], [10, 10, 10, 30]).tolist()
    fine = np.random.default_rng(0).random(100)
    bins = consistency_bins(fine)
    assert np.bincount(bins).tolist() == [20] * 5
    assert (np.diff(bins[np.argsort(fine)]) >= 0).all()


def test_the_few_that_agree_more_than_most_have_a_bin_of_their_own() -> None:
    assert consistency_bins(np.repeat([0.1, 0.2], [84, 14])).tolist() == [0] * 84 + [1] * 14
    assert consistency_bins(np.repeat([0.9, 1.0], [14, 84])).tolist() == [0] * 14 + [1] * 84
    assert consistency_bins(np.full(20, 0.5)).tolist() == [0] * 20


def test_a_target_is_its_bins_accuracy_blurred() -> None:
    targets = bin_targets(material())
    accuracy = np.repeat([0.1, 0.4, 0.5, 0.9], [10, 10, 10, 30])
    assert bin_levels(material()) == pytest.approx(accuracy)
    assert (np.abs(targets - accuracy) <= NOISE).all()
    assert np.ptp(targets[30:]) > NOISE
    assert (bin_targets(material()) == targets).all()
    assert (bin_targets(material(seed=1)) != targets).any()
    assert (consistency_targets(material()) == SHARE).all()


def test_bins_are_balanced_and_wrong_answers_stay() -> None:
    chosen = balanced_bins(material())
    assert np.bincount(consistency_bins(SHARE)[chosen]).tolist() == [10] * 4
    assert len(set(chosen.tolist())) == 40
    assert not CORRECT[chosen].all()
    assert (np.diff(chosen) > 0).all()
    assert balanced_bins(material(seed=1)).tolist() != chosen.tolist()


def test_samples_that_all_agree_alike_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="agree equally often"):
        bin_targets(material(np.full(60, 0.5)))
