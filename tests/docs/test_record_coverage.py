from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.scripts import load_script
from workbench.bench.coverage import Study
from workbench.bench.coverage_cell import Cell
from workbench.bench.coverage_page import json_of

_PATH = Path(__file__).parents[2] / "docs" / "record_coverage.py"


@pytest.fixture(scope="module")
def record() -> Any:
    return load_script(_PATH)


def cell(law: str, n: int, measure: str, intervals: int, missed: int) -> Cell:
    return Cell(law, n, measure, 0.5, 100, intervals, missed, 0, float("nan"), 0.0)


def test_rounds_are_added_up_and_laws_put_together(record: Any, tmp_path: Path) -> None:
    """Two rounds of a law, and another law: 4 + 6 of 200 and 10 of 100 intervals miss."""
    rounds = [
        [cell("weak", 60, "ece", 100, 4), cell("strong", 60, "ece", 100, 10)],
        [cell("weak", 60, "ece", 100, 6), cell("overshoot", 16, "shift.layer_4", 50, 0)],
    ]
    paths = [tmp_path / f"{at}.json" for at in range(2)]
    for path, cells in zip(paths, rounds, strict=True):
        path.write_text(json_of(Study(), cells))
    now, study = record.read_cells(paths)
    assert study["tables"] == 200
    before, _ = record.read_cells(paths[:1])
    rows = record.rows_of(before, now)
    assert [(row["section"], row["row"], row["column"]) for row in rows[:5]] == [
        ("60 answers", "ece", "before: misses"),
        ("60 answers", "ece", "before: worst law"),
        ("60 answers", "ece", "now: misses"),
        ("60 answers", "ece", "now: worst law"),
        ("60 answers", "ece", "now: without interval"),
    ]
    assert [row["value"] for row in rows[:5]] == [0.07, 0.1, 0.06667, 0.1, 0]
    assert rows[2]["low"] < 0.06667 < rows[2]["high"]
    assert (rows[5]["section"], rows[5]["value"]) == ("Sweeps of 16 questions", 0)
    assert rows[-1]["value"] == 0.5
    json.dumps(rows, allow_nan=False)
