import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots import FourCells

INTERNAL = np.array([0.9, 0.8, 0.2, 0.1, np.nan])
STATED = np.array([1.0, 0.4, 1.0, 0.2, 1.0])
CORRECT = np.array([1, 1, 0, 0, 1], dtype=bool)


def test_points_cuts_and_shares() -> None:
    figure = FourCells(
        internal=INTERNAL,
        stated=STATED,
        correct=CORRECT,
        internal_split="median",
        stated_split="top",
        title="t",
        caption="c",
    ).figure()
    right, wrong = figure.data
    assert sorted(right.x) == [0.8, 0.9]
    assert sorted(wrong.customdata) == [0.2, 1.0]
    assert np.abs(np.array(wrong.y) - wrong.customdata).max() <= 0.015
    assert (right.name, wrong.name) == ("right (2)", "wrong (2)")
    assert {note.text for note in figure.layout.annotations} == {
        "consistent 25 % [5, 70]",
        "internal over-confidence 25 % [5, 70]",
        "external over-confidence 25 % [5, 70]",
        "discordant 25 % [5, 70]",
    }
    assert figure.layout.shapes[0].x0 == 0.5


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="both confidences"):
        FourCells(
            internal=np.array([np.nan]),
            stated=np.array([1.0]),
            correct=np.array([True]),
            internal_split="median",
            stated_split="top",
            title="t",
            caption="c",
        )
