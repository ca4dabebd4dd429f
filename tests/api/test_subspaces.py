from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from workbench.api.confidence import Asked
from workbench.api.subspaces import LearnedSubspaces, find_subspace
from workbench.errors import WorkbenchError
from workbench.subspaces.result import PLACEBOS
from workbench.subspaces.search import SearchSettings

QUICK = SearchSettings(epochs=1)


@pytest.fixture(scope="module")
def learned(asked: Asked) -> LearnedSubspaces:
    return find_subspace(
        asked[:60], layer=2, rank=[1, 3], variable="correct", settings=QUICK, resamples=50
    )


def test_every_number_stands_beside_its_placebos(asked: Asked, learned: LearnedSubspaces) -> None:
    some = asked[:60].graded
    assert [each.rank for each in learned.found] == [1, 3]
    table = learned.table()
    assert set(table["swapped"]) == {"found", *PLACEBOS, "nothing", "whole_state"}
    assert learned.found[0].measures.accuracy.n == len(some.test)
    drawn = learned.figure()
    names = {name for trace in drawn.data for name in trace.y}
    assert len(names) == 2 * (2 + len(PLACEBOS))
    assert "randomly initialised model" in str(names)
    assert "shuffled_variable" in learned.summary().to_html()


def test_whole_states_bring_the_models_own_confidence(asked: Asked) -> None:
    (found,) = find_subspace(asked[:40], layer=3, settings=QUICK, resamples=50).found
    # After the last layer nothing of a question is left but what was swapped.
    assert found.whole.donor_slope.value == pytest.approx(1.0, abs=1e-3)
    assert found.whole.base_slope.value == pytest.approx(0.0, abs=1e-3)


def test_what_does_not_fit_is_refused_before_any_forward(asked: Asked) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a forward ran")

    handle = asked.lm.decoder().register_forward_pre_hook(refuse)
    try:
        for given, words in (
            ({"placebos": ()}, "without its placebos"),
            ({"placebos": PLACEBOS[:3]}, "without its placebos"),
            ({"layer": 99}, "Layer 99 does not exist"),
            ({"rank": 9}, "1 to 8 directions"),
            ({"variable": "mood"}, "'confidence', 'correct' or a number"),
            ({"variable": np.ones(3)}, "one number for each"),
            ({"variable": np.ones(len(asked.graded))}, "does not vary"),
        ):
            arguments: dict[str, Any] = {"layer": 1, **given}
            with pytest.raises(WorkbenchError, match=words):
                find_subspace(asked, **arguments)
    finally:
        handle.remove()
