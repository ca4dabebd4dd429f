from __future__ import annotations

from pathlib import Path

import pandas as pd
import plotly.graph_objects as go
import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.page import Page, describe, write_page
from workbench.report import Section

TABLE = pd.DataFrame({"row": [0, 1], "text": ["=1+1", "b"]})


def page(**changes: object) -> Page:
    given: dict[str, object] = {
        "title": "Does it?",
        "sections": [Section("First", "Words.", go.Figure(), "first")],
        "summary": {"accuracy": 0.5, "n": 3},
        "configuration": {"seed": 0},
        "tables": {"one.csv": TABLE, "two.parquet": TABLE},
    }
    return Page(**{**given, **changes})  # type: ignore[arg-type]


def test_figures_and_tables_stand_beside_the_page(tmp_path: Path) -> None:
    made = page(lead=[("Rows", [{"name": "x", "value": "1"}])])
    index = write_page(made, tmp_path / "page")
    assert {path.name for path in index.parent.iterdir() if not path.name.startswith(".")} == {
        "index.html",
        "first.html",
        "plotly.min.js",
        "one.csv",
        "two.parquet",
    }
    text = index.read_text()
    assert "Does it?" in text
    assert "Rows" in text
    assert pd.read_csv(index.parent / "one.csv")["text"].tolist() == ["'=1+1", "b"]
    pd.testing.assert_frame_equal(pd.read_parquet(index.parent / "two.parquet"), TABLE)
    assert list(made.figures) == ["first"]


def test_a_page_with_a_writer_of_its_own_is_left_to_it(tmp_path: Path) -> None:
    made = page(written_by=lambda folder: folder / "own.html")
    assert write_page(made, tmp_path / "page") == tmp_path / "page" / "own.html"
    assert not (tmp_path / "page").exists()


def test_a_table_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkbenchError, match=r"neither .csv nor .parquet"):
        write_page(page(tables={"one.txt": TABLE}), tmp_path / "page")


def test_it_is_told_line_by_line() -> None:
    summary = {"auroc2": 0.5, "auroc2.low": 0.25, "auroc2.high": 0.75, "n": 1200, "low": 1}
    told = describe(page(summary=summary, notes=["one\ntwo"]))
    assert told == ["one", "two", "auroc2  0.500  0.250 to 0.750", "n       1,200", "low     1"]
    rows = [{"who": "a", "AUROC2": "0.5\n[0, 1]"}, {"who": "longer"}]
    assert describe(page(lead=[("Rows", rows)])) == [
        "",
        "Rows",
        "who     AUROC2",
        "a       0.5 [0, 1]",
        "longer",
    ]
