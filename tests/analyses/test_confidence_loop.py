from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.analyses import Analysis
from workbench.report.formatting import readable


def test_as_a_script_it_writes_the_page_again_and_as_a_notebook_it_shows_it(
    asked: Callable[..., Analysis], on_run: Callable[..., Analysis], lower_run: Any
) -> None:
    settings = lower_run.inputs.config.model_dump(mode="json")
    on_run("confidence_loop")
    analysis = asked("confidence_loop", settings)
    index = analysis.place / "figures" / "tiny" / "index.html"
    index.unlink()
    finished = analysis.finished()
    lines = analysis.lines()
    told = dict((*line.split(maxsplit=1), "")[:2] for line in lines)
    assert told["figures:"] == str(index)
    assert index.exists()
    for key, value in lower_run.summary.items():
        if key.startswith(("auroc2", "patching")) and not key.endswith((".low", ".high")):
            assert told[key].startswith(readable(key, value))
    redone = {path.parent.name for path, at in analysis.finished().items() if finished[path] != at}
    assert redone == {"report"}
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures == 7
