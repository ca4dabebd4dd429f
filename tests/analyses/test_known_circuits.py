from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from tests.support.analyses import Analysis

PARTS = ("", "_attribution", "_controls")


def test_as_a_script_it_draws_every_map_and_as_a_notebook_it_goes_on_to_show_them(
    tiny_folder: Path, asked: Callable[..., Analysis]
) -> None:
    """Of the three tasks that of years has words that the tiny tokenizer reads."""
    settings = {
        "model": {"name": str(tiny_folder), "precision": "bfloat16"},
        "bootstrap_resamples": 100,
    }
    analysis = asked("known_circuits", settings, tasks="years", pairs=4, layers=2)
    lines = analysis.lines()
    page = analysis.place / "figures" / "tiny"
    assert lines[-1] == f"figures: {page / 'index.html'}"
    directions = ("donor_into_prompt", "prompt_into_donor")
    named = {f"years_{direction}{part}" for direction in directions for part in PARTS}
    assert {path.stem for path in page.glob("*.html")} == {"index", "years_agreement", *named}
    assert "matrix products in bfloat16" in (page / "years_agreement.html").read_text()
    assert len(pd.read_csv(page / "pairs.csv")) == 4
    assert sum(line.startswith("Greater-than years") for line in lines) == 4
    finished = analysis.finished()
    assert len(finished) == 3
    shown = analysis.notebook()
    assert shown.text.splitlines() == lines
    assert shown.figures == 6
    assert analysis.finished() == finished
