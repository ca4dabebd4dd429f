from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from tests.support.analyses import Analysis


def test_as_a_script_it_trains_the_grid_and_as_a_notebook_it_shows_it(
    taught_soon: dict[str, Any], asked: Callable[..., Analysis]
) -> None:
    """The run's own precision gives way to those of the grid."""
    analysis = asked(
        "robustness",
        taught_soon,
        variants="all-layers",
        precisions="float32",
        seeds=1,
        windows="all-layers",
        window_layers=2,
        window_questions=3,
    )
    lines = analysis.lines()
    page = analysis.place / "figures" / "tiny"
    assert lines[-1] == f"figures: {page / 'index.html'}"
    assert {path.stem for path in page.glob("*.html")} == {
        "index",
        "donor_slope",
        "shift",
        "windows_all_layers",
    }
    table = pd.read_csv(page / "trainings.csv")
    assert set(table["precision"]) == {"float32"}
    finished = analysis.finished()
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures == 3
    assert analysis.finished() == finished
