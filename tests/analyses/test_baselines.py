from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from tests.support.analyses import Analysis


def test_as_a_script_it_writes_tables_of_both_kinds_and_as_a_notebook_it_goes_on_to_show_them(
    loop_inputs: Any, answered_file: Path, asked: Callable[..., Analysis]
) -> None:
    settings = {
        "model": {"name": str(loop_inputs.model), "precision": "bfloat16"},
        "questions": {"source": str(answered_file), "limit": 8},
        "elicit": {"answer_tokens": 6},
        "bootstrap_resamples": 100,
    }
    analysis = asked("baselines", settings, samples=2)
    lines = analysis.lines()
    page = analysis.place / "figures" / "tiny"
    assert lines[-1] == f"figures: {page / 'index.html'}"
    assert {path.name for path in page.glob("*.html")} == {"index.html", "open.html", "choice.html"}
    opened, choice = (pd.read_csv(page / f"{name}.csv") for name in ("open", "choice"))
    assert len(opened) == 15
    assert set(choice["baseline"]) >= {"p_ic", "max_softmax"}
    assert "matrix products in bfloat16" in (page / "open.html").read_text()
    said = "\n".join(lines)
    assert all(title in said for title in opened["title"])
    finished = analysis.finished()
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures == 2
    assert analysis.finished() == finished
    assert not list(analysis.place.rglob("parts"))
