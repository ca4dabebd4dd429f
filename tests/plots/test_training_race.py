from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots.training_race import TrainingRace, TrainingRuns


def test_bars_are_medians_with_their_range_and_lines_are_means_over_repeats() -> None:
    runs = {
        "ours <b>": TrainingRuns(
            np.array([2.0, 4.0, 3.0]), np.array([[3.0, 1.0], [3.0, 2.0], [0.0, 0.0]])
        ),
        "theirs": TrainingRuns(np.array([6.0]), np.array([[3.0, 1.5]])),
    }
    figure = TrainingRace(runs=runs, title="t", caption="c").figure()
    bar, line, other, _ = figure.data
    assert (bar.x[0], bar.y[0], other.x[0]) == (3.0, "ours &lt;b&gt;", 6.0)
    assert (bar.error_x.array[0], bar.error_x.arrayminus[0]) == (1.0, 1.0)
    assert list(line.x) == [1, 2]
    assert list(line.y) == [2.0, 1.0]


def test_runs_need_a_loss_for_every_repeat() -> None:
    with pytest.raises(WorkbenchError, match="need seconds"):
        TrainingRuns(np.ones(2), np.ones((3, 4)))
    with pytest.raises(WorkbenchError, match="at least one"):
        TrainingRace(runs={}, title="", caption="")
