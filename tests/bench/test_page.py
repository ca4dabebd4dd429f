from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from workbench.bench.growth import Point
from workbench.bench.page import growth_figure, table_rows, write_bench
from workbench.bench.sweep import SweepBench

VALUES: dict[str, Any] = {
    "model": "<b>m</b>",
    "rows": 8,
    "tokens": 150,
    "layers": 30,
    "dtype": "float32",
    "precision": "float32",
    "device": "cpu",
    "threads": 2,
    "packed_over_forward": 1.2,
    "packed_over_forward.low": 1.1,
    "packed_over_forward.high": 1.4,
    "loop_over_packed": 19.0,
    "loop_over_packed.low": 19.0,
    "loop_over_packed.high": 19.0,
    "packed_vs_loop": 2e-6,
    "pyvene_over_packed": None,
    "memory.map_bytes": 3 * 2**20,
}
POINTS = [
    Point("rows", 2, "packed", 1.2, False),
    Point("rows", 1, "packed", 1.3, False),
    Point("rows", 1, "loop", 31.0, True),
]


def test_rows_say_bounds_and_differences() -> None:
    rows = {row["measured"]: row for row in table_rows(VALUES)}
    packed = rows["packed sweep of all layers / plain forward"]
    assert (packed["value"], packed["smallest to largest"], packed["bound"]) == (
        "1.2",
        "1.1 to 1.4",
        "<= 1.3: met",
    )
    loop = rows["loop of hooked forwards / packed"]
    assert (loop["bound"], loop["largest difference"]) == (">= 20: missed", "2.0e-06")
    assert rows["pyvene / packed"]["value"] == "not installed"
    assert rows["peak memory of a map under a token budget"]["value"] == "3.0 MiB"


def test_the_figure_has_a_panel_an_axis_in_rising_order() -> None:
    [(axis, curves)] = growth_figure(POINTS, "").panels.items()
    assert axis == "rows"
    assert curves["packed"].at.tolist() == [1, 2]
    assert curves["packed"].cost.tolist() == [1.3, 1.2]
    assert curves["loop"].estimated
    assert not curves["packed"].estimated


@pytest.mark.parametrize("points", [POINTS, []])
def test_the_page_and_the_table_are_written(tmp_path: Path, points: list[Point]) -> None:
    page = write_bench(tmp_path / "bench", SweepBench(VALUES, points, ["a note"]))
    text = page.read_text()
    assert "&lt;= 1.3: met" in text
    assert "<b>m</b>" not in text
    assert (tmp_path / "bench" / "growth.html").exists() == bool(points)
    table = pd.read_csv(tmp_path / "bench" / "table.csv", index_col="key")["value"]
    assert table["loop_over_packed"] == "19.0"
