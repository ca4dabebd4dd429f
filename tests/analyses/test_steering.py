from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tests.support.analyses import Analysis


def test_as_a_script_it_gives_a_verdict_and_as_a_notebook_it_goes_on_to_show_it(
    on_run: Callable[..., Analysis],
) -> None:
    analysis = on_run("steering", n_questions=12, layers=2, lengths="0.5,1", random=1)
    before = analysis.finished()
    lines = analysis.lines()
    told = dict(line.split(maxsplit=1) for line in lines)
    assert told["expected.null"].split(":")[0] in ("stands", "rejected", "undecided")
    assert int(told["questions"]) == 12
    page = analysis.place / "figures" / "tiny" / "steering"
    assert Path(told["figures:"]) == page / "index.html"
    assert len(pd.read_csv(page / "steering.csv")) == 1 + 2 + 2 * 2 * 4
    assert "bfloat16" in (page / "steering.html").read_text()
    finished = analysis.finished()
    assert {path.parent.name for path in finished.keys() - before} == {"steering"}
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures == 1
    assert analysis.finished() == finished
