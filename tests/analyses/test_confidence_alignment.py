from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from tests.support.analyses import Analysis


def test_as_a_script_it_writes_the_page_and_as_a_notebook_it_goes_on_to_show_it(
    loop_inputs: Any, answered_file: Path, asked: Callable[..., Analysis]
) -> None:
    settings = {
        "model": {"name": str(loop_inputs.model), "precision": "bfloat16"},
        "questions": {"source": str(answered_file), "options": 2},
        "elicit": {"answer_tokens": 4},
        "bootstrap_resamples": 100,
    }
    analysis = asked("confidence_alignment", settings, **{"questions.limit": 8})
    lines = analysis.lines()
    page = analysis.place / "figures" / "tiny"
    assert lines[-1] == f"figures: {page / 'index.html'}"
    assert "guess" in lines[1]
    assert {"ablation", "discrimination", "letters", "cells_expected"} <= {
        path.stem for path in page.glob("*.html")
    }
    assert len(pd.read_csv(page / "alignment.csv")) == 18
    tidy = pd.read_csv(page / "confidence.csv")
    assert tidy.groupby("format").size().tolist() == [8] * 9
    assert "matrix products in bfloat16" in (page / "discrimination.html").read_text()
    finished = analysis.finished()
    assert len(finished) == 10
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures == len(list(page.glob("*.html"))) - 1
    assert analysis.finished() == finished
    assert not list(analysis.place.rglob("parts"))
