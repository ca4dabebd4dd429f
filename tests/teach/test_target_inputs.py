from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.teach.target_inputs import (
    TargetInputs,
    check_both_kinds,
    correctness_targets,
    label_fraction,
    probe_targets,
)

TARGET_INPUTS = TargetInputs(
    row=np.array([3, 5]),
    correct=np.array([True, False]),
    domain=np.array(["a", "b"]),
    sources={"probe": np.array([0.7, 0.2])},
    seed=0,
)


def test_targets_are_what_they_are_made_from() -> None:
    assert probe_targets(TARGET_INPUTS).tolist() == [0.7, 0.2]
    assert correctness_targets(TARGET_INPUTS).tolist() == [1.0, 0.0]


def test_a_source_that_was_not_asked_for_is_named() -> None:
    with pytest.raises(WorkbenchError, match="need 'samples'; name it in the arm's sources"):
        TARGET_INPUTS.source("samples")


@pytest.mark.parametrize(("value", "word"), [(True, "right"), (False, "wrong")])
def test_answers_of_one_kind_are_refused(value: bool, word: str) -> None:
    with pytest.raises(WorkbenchError, match=f"All 60 training answers are {word}"):
        check_both_kinds(np.full(60, value))
    check_both_kinds(np.array([True, False]))


def test_a_share_of_the_labels_is_drawn_by_seed() -> None:
    inputs = TargetInputs(np.arange(40), np.arange(40) < 20, np.full(40, "d"), {}, 3)
    chosen = label_fraction(0.25)(inputs)
    assert len(chosen) == len(set(chosen.tolist())) == 10
    assert (np.diff(chosen) > 0).all()
    assert (label_fraction(0.25)(inputs) == chosen).all()
    assert set(chosen) <= set(label_fraction(0.5)(inputs))
