from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.bench.coverage import Study
from workbench.bench.coverage_cell import Cell
from workbench.bench.coverage_page import (
    json_of,
    missed,
    misses_figure,
    table_rows,
    worst,
    write_coverage,
)

NOTHING = float("nan")


def cell(law: str, n: int, intervals: int, low: int, high: int) -> Cell:
    return Cell(law, n, "ece", 0.1, 100, intervals, low, high, 0.2, NOTHING)


CELLS = [cell("weak", 60, 100, 2, 3), cell("strong", 60, 50, 5, 0), cell("weak", 100, 0, 0, 0)]


def test_misses_of_all_laws_are_added_up() -> None:
    found = missed(CELLS[:2])
    assert (found.value, found.n) == (10 / 150, 150)
    assert found.low < 10 / 150 < found.high
    bad = worst(CELLS)
    assert bad is not None
    assert (bad.law, bad.missed) == ("strong", 0.1)


def test_rows_say_sides_what_is_missing_and_the_worst_law() -> None:
    first, second = table_rows(CELLS)
    assert first["misses"].startswith("0.067 [")
    assert (first["below, above"], first["without interval"]) == ("4.7 %, 2.0 %", "25.0 %")
    assert first["worst law"] == "strong 10.0 %"
    assert (second["misses"], second["without interval"]) == ("not defined", "100.0 %")


def test_what_is_not_defined_is_null() -> None:
    found = json.loads(json_of(Study(), CELLS))
    assert found["study"]["tables"] == 200
    assert found["cells"][0]["error"] is None
    assert found["cells"][0]["missed"] == pytest.approx(0.05)


def test_the_figure_has_a_group_for_each_size_that_has_intervals(tmp_path: Path) -> None:
    figure = misses_figure(CELLS)
    assert [(row.group, row.name) for row in figure.rows] == [("n = 60", "ece")]
    path = write_coverage(tmp_path / "page", Study(), CELLS)
    assert "How often 95 % intervals miss" in path.read_text()
    assert (tmp_path / "page" / "table.csv").exists()
