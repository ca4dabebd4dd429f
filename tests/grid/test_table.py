"""The gathered table and the spread over seeds, by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from tests.support.light_cells import light_tasks
from workbench.files.writing import write_json
from workbench.grid.table import COLUMNS, chosen_measures, gather, spreads


def rows(values: dict[tuple[str, int], float], low: float = 0.1) -> pd.DataFrame:
    return pd.DataFrame(
        [
            (f"{model}{seed}", model, "set", "loop", "", seed, "auroc2", value, low, low + 0.2)
            for (model, seed), value in values.items()
        ],
        columns=list(COLUMNS),
    )


def test_a_spread_over_seeds_by_hand() -> None:
    table = rows({("a", 0): 0.5, ("a", 1): 0.7, ("a", 2): 0.9, ("b", 0): 0.4})
    many, one = spreads(table, ["auroc2"])
    assert many.group == ("a", "set", "loop", "")
    assert (many.seeds, many.lowest, many.highest) == (3, 0.5, 0.9)
    assert (many.mean, many.sd) == pytest.approx((0.7, 0.2))
    assert (many.low, many.high) == pytest.approx((0.1, 0.3))
    assert (many.name, one.seeds) == ("a · set · loop", 1)
    assert math.isnan(one.sd)


def test_what_is_undefined_in_one_run_is_undefined() -> None:
    (found,) = spreads(rows({("a", 0): 0.5, ("a", 1): math.nan}), ["auroc2"])
    assert math.isnan(found.mean)
    assert math.isnan(found.sd)


def test_numbers_are_gathered_and_texts_are_not(tmp_path: Path) -> None:
    tasks = [task for task, _ in light_tasks(tmp_path, {"a": {}, "b": {}})]
    for task, value in zip(tasks, (0.5, None), strict=True):
        (task.folder).mkdir(parents=True)
        write_json(
            task.summary,
            {"score": value, "score.low": 0.4, "score.high": 0.6, "verdict": "holds", "on": True},
        )
    for task in tasks:
        task.cell.axes.update(questions="q", recipe="loop", settings="")  # type: ignore[attr-defined]
    table = gather(tasks)
    assert list(table.columns) == list(COLUMNS)
    assert table[["cell", "measure"]].to_numpy().tolist() == [["a", "score"], ["b", "score"]]
    assert table["value"].tolist()[0] == 0.5
    assert math.isnan(table["value"].tolist()[1])
    assert table["low"].tolist() == [0.4, 0.4]


def test_measures_are_chosen_by_patterns_in_their_order() -> None:
    table = pd.DataFrame({"measure": ["gain.b", "a.x", "a.y", "a.x"]})
    assert chosen_measures(table, ["a.*", "gain.*", "a.x", "none"]) == ["a.x", "a.y", "gain.b"]
