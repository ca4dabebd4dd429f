import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import auroc2, compare_groups, paired_values
from workbench.measure.groups import Settings
from workbench.measure.table_file.answers import Answers

RNG = np.random.default_rng(12)
IDS = np.array([f"q{i}" for i in range(40)], dtype=object)
BASE = np.round(RNG.random(40), 1)
BASE_RIGHT = RNG.random(40) < 0.5
TUNED = np.round(RNG.random(40), 1)
TUNED_RIGHT = np.where(RNG.random(40) < 0.8, BASE_RIGHT, ~BASE_RIGHT)
ORDER = RNG.permutation(40)


def table(ids: np.ndarray | None = IDS) -> Answers:
    """Base in order; tuned shuffled, one question missing, another stated twice with its first
    row wrong.
    """
    rows = ORDER[ORDER != 7]
    return Answers(
        confidence=np.r_[BASE, 1.0, TUNED[rows]],
        correct=np.r_[BASE_RIGHT, not TUNED_RIGHT[3], TUNED_RIGHT[rows]],
        group=np.repeat(np.array(["base", "tuned"], dtype=object), [40, 40]),
        scale=1.0,
        id=None if ids is None else np.r_[ids, ids[3:4], ids[rows]],
    )


def test_rows_are_paired_by_question_with_the_last_of_duplicates() -> None:
    shared = np.arange(40) != 7
    found = compare_groups(table(), "base", Settings(resamples=50), judge="own")
    assert list(found) == ["tuned"]
    assert found["tuned"].n == 39
    assert found["tuned"].first["auroc2"].value == pytest.approx(
        auroc2(TUNED[shared], TUNED_RIGHT[shared])
    )
    assert found["tuned"].second["auroc2"].value == pytest.approx(
        auroc2(BASE[shared], BASE_RIGHT[shared])
    )


def test_both_can_be_judged_by_the_first() -> None:
    shared = np.arange(40) != 7
    found = compare_groups(table(), "base", Settings(resamples=50), judge="first")["tuned"]
    assert found.second["auroc2"].value == pytest.approx(auroc2(BASE[shared], TUNED_RIGHT[shared]))
    values = paired_values(found, "base", "first")
    assert (values["group"], values["judge"], values["n"]) == ("base", "first", 39)
    assert values["difference.auroc2"] == found.difference["auroc2"]
    assert values["auroc2_against"] == found.second["auroc2"]


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="--reference: there is no group 'bas'"):
        compare_groups(table(), "bas", Settings(), judge="own")
    with pytest.raises(WorkbenchError, match="--id"):
        compare_groups(table(None), "base", Settings(), judge="own")
    apart = Answers(
        BASE, BASE_RIGHT, np.repeat(np.array(["a", "b"], dtype=object), 20), 1.0, id=IDS
    )
    with pytest.raises(WorkbenchError, match="share no question id"):
        compare_groups(apart, "a", Settings(), judge="own")
