from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from tests.support.analyses import Analysis


def test_as_a_script_it_follows_every_step_and_as_a_notebook_it_goes_on_to_show_them(
    on_run: Callable[..., Analysis],
) -> None:
    analysis = on_run("text_bottleneck", lens_questions=40)
    before = analysis.finished()
    lines = analysis.lines()
    page = analysis.place / "figures" / "tiny" / "bottleneck"
    assert any(str(page / "index.html") in line for line in lines)
    assert len(pd.read_csv(page / "steps.csv")) == 18
    finished = analysis.finished()
    assert {path.parent.name for path in finished.keys() - before} == {
        "bottleneck_control",
        "bottleneck_steps_before",
        "bottleneck_steps_after",
        "bottleneck_steps_control",
        "bottleneck_lens_before",
        "bottleneck_lens_after",
        "bottleneck_interventions_before",
        "bottleneck_interventions_after",
        "bottleneck_interventions_control",
        "bottleneck_ceiling_before",
        "bottleneck_geometry_before",
        "bottleneck_geometry_after",
    }
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures == 9
    assert analysis.finished() == finished
