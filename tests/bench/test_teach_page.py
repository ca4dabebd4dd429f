from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from workbench.bench.teach import TeachBench
from workbench.bench.teach_page import race_figure, table_rows, write_teach_bench
from workbench.bench.trainers import Trained

VALUES: dict[str, Any] = {
    "model": "<b>m</b>",
    "layers": 30,
    "start_layer": 15,
    "dtype": "float32",
    "precision": "float32",
    "device": "cpu",
    "threads": 2,
    "rows": 64,
    "epochs": 4,
    "rounds": 2,
    "tokens_per_row": 75.5,
    "trl_over_full": 1.25,
    "trl_over_full.low": 1.2,
    "trl_over_full.high": 1.5,
    "trl_over_partial": None,
    "loss.gap": -0.0123,
    "memory.full_bytes": 3 * 2**20,
}
ROUNDS = {"full": [Trained(2.0, (1.0, 0.5)), Trained(4.0, (2.0, 1.5))]}


def test_rows_say_bounds_spreads_and_what_is_missing() -> None:
    rows = {row["measured"]: row for row in table_rows(VALUES)}
    ratio = rows["TRL / workbench, adapter in all layers"]
    assert (ratio["value"], ratio["smallest to largest"], ratio["bound"]) == (
        "1.25",
        "1.2 to 1.5",
        ">= 1.3: missed",
    )
    assert (
        rows["TRL / workbench from kept states, the same adapter in the upper layers"]["value"]
        == "not measured"
    )
    assert rows["last epoch's loss, all layers: workbench - TRL"]["value"] == "-0.0123"
    assert rows["peak memory: workbench, all layers"]["value"] == "3.0 MiB"


def test_the_figure_names_the_kinds() -> None:
    [(name, runs)] = race_figure(TeachBench(VALUES, ROUNDS)).runs.items()
    assert name == "workbench, all layers"
    assert runs.seconds.tolist() == [2.0, 4.0]
    assert runs.losses.tolist() == [[1.0, 0.5], [2.0, 1.5]]


def test_the_page_and_the_table_are_written(tmp_path: Path) -> None:
    page = write_teach_bench(tmp_path / "bench", TeachBench(VALUES, ROUNDS, ["a note"]))
    text = page.read_text()
    assert "&gt;= 1.3: missed" in text
    assert "<b>m</b>" not in text
    assert (tmp_path / "bench" / "race.html").exists()
    assert (
        pd.read_csv(tmp_path / "bench" / "table.csv", index_col="key")["value"]["trl_over_full"]
        == "1.25"
    )
    assert not (
        write_teach_bench(tmp_path / "empty", TeachBench(VALUES)).parent / "race.html"
    ).exists()
