from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from workbench.bench import product_rate
from workbench.bench.product_rate import Rates, measure_rates, product_kinds
from workbench.bench.run import bench_run
from workbench.bench.run_page import table_rows, write_run_bench
from workbench.loop import STAGES
from workbench.loop.run import Run
from workbench.models import LanguageModel
from workbench.plan.products import Pass, ProductShape

SHAPE = ProductShape(layers=2, linear=100, attention=4, unembedding=30)


def test_the_floor_is_operations_over_rates() -> None:
    """12 layer passes of 50 weights, 3 unembedded states and 10 pairs: 1,200 operations and 160 at
    the layers' rate, 180 at the unembedding's.
    """
    step = Pass("", 6, 6, 12, 10, 3)
    kinds = product_kinds(step, torch.float32, 3)
    assert kinds == ((8, torch.float32), (4, torch.float32))
    rates = Rates(torch.float32, 3, {kinds[0]: 1000.0}, {kinds[1]: 100.0})
    assert rates.seconds(step, SHAPE) == pytest.approx(1.36 + 1.8)
    assert rates.named() == {"layers.float32.8": 1000.0, "unembedding.float32.4": 100.0}


def test_a_pass_in_float32_has_rates_of_its_own() -> None:
    kinds = product_kinds(Pass("", 100_000, 1, 1, 1, 1, float32=True), torch.bfloat16, 170)
    assert kinds == ((8192, torch.float32), (128, torch.float32))


def test_rates_are_measured_for_every_kind(tiny_lm: LanguageModel) -> None:
    passes = [Pass("", rows, 1, 1, 1, 1) for rows in (1, 60, 70)]
    rates = measure_rates(tiny_lm, passes)
    assert set(rates.layers) == {(1, torch.float32), (64, torch.float32)}
    assert all(rate > 0 for rate in [*rates.layers.values(), *rates.unembedding.values()])
    assert all(rates.seconds(each, ProductShape.of(tiny_lm)) > 0 for each in passes)


def test_every_stage_of_a_finished_run_has_its_line(
    context: Run, finished_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(product_rate, "LEAST_SECONDS", 0.01)
    found = bench_run(context)
    values, summary = found.values, finished_run.summary
    for stage in STAGES:
        assert values[f"{stage.name}.seconds"] == summary[f"seconds.{stage.name}"]
    assert values["total.seconds"] == pytest.approx(summary["seconds.total"])
    assert values["total.operations"] == sum(values[f"{stage.name}.operations"] for stage in STAGES)
    assert values["elicit.over_floor"] == pytest.approx(
        values["elicit.seconds"] / values["elicit.floor_seconds"]
    )
    assert values["probe.over_floor"] is None
    assert values["teach.tokens"] == context.stage("teach").facts()["tokens"]
    rows = {row["stage"]: row for row in table_rows(values)}
    assert list(rows) == [*(stage.name for stage in STAGES), "total"]
    assert rows["probe"]["floor, seconds"] == "no products"
    assert rows["answer"]["tokens"] == f"{values['answer.tokens']:,}"
    index = write_run_bench(tmp_path / "page", found)
    assert "Where the time of the run" in index.read_text()
    table = pd.read_csv(tmp_path / "page" / "table.csv").set_index("key")["value"]
    assert float(table["patch.seconds"]) == summary["seconds.patch"]
