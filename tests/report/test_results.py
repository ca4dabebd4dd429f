from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.measure import Estimate, flat_summary
from workbench.report import Page, Section, write_page

TRACKED = sorted((Path(__file__).parents[2] / "docs" / "results" / "data").glob("*.json"))
WRITTEN = {"title", "command", "commit", "machine", "note", "settings", "rows"}


@dataclass(frozen=True)
class Two:
    """Two numbers and a figure."""

    def table(self) -> pd.DataFrame:
        return pd.DataFrame({"measure": ["a", "b"], "value": [0.25, float("nan")]})

    def summary(self) -> dict[str, float]:
        return flat_summary({"auroc2.stated.before": Estimate(0.25, 0.125, 0.5, 8)})

    def figures(self) -> Sequence[Section]:
        return [Section("Dots", "Read them.", go.Figure(go.Scatter(x=[1], y=[1])), "dots")]


def test_a_page_has_the_lead_the_figures_and_the_summary(tmp_path: Path) -> None:
    page = write_page(
        tmp_path, Two(), Page("Why?", {"seed": 3}, lead=[("Rows", [{"arm": "0.250 <b>"}])])
    )
    text = page.read_text()
    assert "<h1>Why?</h1>" in text
    assert "0.250 &lt;b&gt;" in text
    assert "0.125 to 0.500" in text
    assert (tmp_path / "dots.html").exists()
    assert not list(tmp_path.glob("*.parquet")) + list(tmp_path.glob("*.json"))


def test_files_of_numbers_hold_the_table_and_what_made_it(tmp_path: Path) -> None:
    page = Page("Why?", {"seed": 3}, numbers="two", made_by={"code": "x"}, more={"left out": {}})
    text = write_page(tmp_path, Two(), page).read_text()
    kept = json.loads((tmp_path / "two.json").read_text())
    assert list(kept) == ["code", "configuration", "lines", "left out"]
    assert kept["lines"] == [{"measure": "a", "value": 0.25}, {"measure": "b", "value": None}]
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "two.parquet"), Two().table())
    assert "two.parquet" in text
    assert "two.json" in text


@pytest.mark.parametrize("path", TRACKED, ids=lambda path: path.stem)
def test_tracked_numbers_have_the_form_that_is_written(path: Path) -> None:
    """No keys that no code writes, and no numbers as text."""
    kept = json.loads(path.read_text())
    assert set(kept) <= WRITTEN
    for line in kept["rows"]:
        bounds = [line[name] for name in ("value", "low", "high")]
        assert all(bound is None or isinstance(bound, int | float) for bound in bounds)
        assert not [text for text in line.values() if isinstance(text, str) and "[" in text]
