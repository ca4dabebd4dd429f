from __future__ import annotations

from collections.abc import Callable

from tests.support.analyses import Analysis
from workbench.mechanisms.catalogue import WORKS


def test_as_a_script_it_judges_every_work_and_as_a_notebook_it_goes_on_to_show_it(
    on_run: Callable[..., Analysis],
) -> None:
    analysis = on_run("mechanisms")
    lines = analysis.lines()
    told = [line.split()[1] for line in lines if line.startswith("figures:")]
    assert [place.split("/")[-2] for place in told] == list(WORKS)
    assert any("cannot tell" in line for line in lines)
    finished = analysis.finished()
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures >= len(WORKS)
    assert analysis.finished() == finished
