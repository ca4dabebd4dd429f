from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support.analyses import FOLDER, Analysis
from workbench.mechanisms.catalogue import WORKS

QUICK = tuple(name for name in WORKS if name in ("self_knowledge", "gathered_confidence"))
"""Works for which the tiny model's answers are varied enough, and that take seconds."""


def test_as_a_script_it_judges_works_and_as_a_notebook_it_goes_on_to_show_them(
    on_run: Callable[..., Analysis], tmp_path: Path
) -> None:
    text = (FOLDER / "mechanisms.py").read_text(encoding="utf-8")
    assert "works = tuple(WORKS)" in text
    script = tmp_path / "mechanisms.py"
    script.write_text(text.replace("works = tuple(WORKS)", f"works = {QUICK}"))
    analysis = on_run(str(script.with_suffix("")))
    lines = analysis.lines()
    told = [line.split()[1] for line in lines if line.startswith("figures:")]
    assert [place.split("/")[-2] for place in told] == list(QUICK)
    assert any("cannot tell" in line for line in lines)
    finished = analysis.finished()
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures >= len(QUICK)
    assert analysis.finished() == finished
