from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import pytest

from tests.support.scripts import load_script
from workbench.report import Page, Section

_PATH = Path(__file__).parents[2] / "docs" / "record.py"


@pytest.fixture(scope="module")
def record() -> Any:
    return load_script(_PATH)


def test_rows_are_those_of_the_tidy_table(record: Any) -> None:
    """Numbers to four digits; counts of questions are n, seeds and costs are left out."""
    table = pd.DataFrame(
        {
            "recipe": ["probe", "probe"],
            "arm": ["soft", "head"],
            "part": ["in domain", "out of domain"],
            "seeds": [2, 2],
            "questions": [85, 33],
            "measure": ["ECE", "AUROC2"],
            "value": [0.123456, float("nan")],
            "low": [0.1, float("nan")],
            "high": [0.2, float("nan")],
        }
    )
    page = Page("Why?", [], {"a": 1.0}, {}, {"t.parquet": table, "other.csv": table[["arm"]]})
    assert record.rows_of(page) == [
        {
            "section": "in domain", "row": "probe, soft", "column": "ECE",
            "value": 0.1235, "low": 0.1, "high": 0.2, "n": 85,
        },
        {
            "section": "out of domain", "row": "probe, head", "column": "AUROC2",
            "value": None, "low": None, "high": None, "n": 33,
        },
    ]  # fmt: skip


def test_without_a_tidy_table_rows_are_the_summarys_numbers(record: Any) -> None:
    summary = {"rho.layer": 0.5, "rho.layer.low": 0.25, "rho.layer.high": 0.75, "n": 3, "name": "x"}
    assert record.rows_of(Page("Why?", [], summary, {})) == [
        {
            "section": "rho", "row": "layer", "column": "value",
            "value": 0.5, "low": 0.25, "high": 0.75, "n": None,
        },
        {
            "section": "", "row": "n", "column": "value",
            "value": 3.0, "low": None, "high": None, "n": None,
        },
    ]  # fmt: skip


def test_a_page_with_rows_of_its_own_is_recorded_by_them(record: Any) -> None:
    row = {"section": "a", "row": "b", "column": "c", "value": 0.5, "low": None, "high": None}
    given = row | {"value": 0.500001, "high": float("nan")}
    page = Page("Why?", [], {"x": 1.0}, {}, records={"own.json": {"rows": [given]}})
    assert record.rows_of(page) == [row]


def test_small_numbers_keep_their_figures_and_infinite_ones_are_none(record: Any) -> None:
    page = Page("Why?", [], {"floor": 3.14159e-6, "none": float("-inf")}, {})
    assert [row["value"] for row in record.rows_of(page)] == [3.142e-06, None]


def test_images_need_kaleido_and_carry_the_pages_name(
    record: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Page("Why?", [Section("t", "e", go.Figure(), "curve")], {}, {})
    drawn: list[Path] = []
    monkeypatch.setattr(go.Figure, "write_image", lambda self, path, **size: drawn.append(path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert record.write_images(page, tmp_path, "league") == []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    assert record.write_images(page, tmp_path, "league") == [tmp_path / "league-curve.png"] == drawn
