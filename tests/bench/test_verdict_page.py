from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from workbench.bench.verdict_page import (
    RATES,
    power_figure,
    rates_figure,
    record_rows,
    write_verdict_bench,
)
from workbench.bench.verdicts import AUROCS, KEPT, SIMULATED, Group, VerdictBench, rate_row


def rates() -> pd.DataFrame:
    """The same world in two parts, and a planted one."""
    held = [True] + [False] * 9
    groups = [
        Group(part, "shuffled grades", True, dict, ("text",), float("nan"), 64)
        for part in (SIMULATED, KEPT)
    ]
    groups.append(Group(SIMULATED, "planted", False, dict, ("text",), 0.8, 64))
    return pd.DataFrame([rate_row(group, "text", held) for group in groups])


def test_the_same_world_of_two_parts_has_two_rows() -> None:
    figure = rates_figure(rates(), null=True, caption="c")
    assert len(figure.rows) == 2
    assert len({row.name for row in figure.rows}) == 2
    assert figure.figure().data
    assert [row["row"] for row in record_rows(rates())[:2]] == ["shuffled grades, 64"] * 2


def test_the_page_and_the_table_of_rates_are_written(tmp_path: Path) -> None:
    found = VerdictBench(rates(), ("a note",))
    page = write_verdict_bench(tmp_path / "bench", found)
    assert page.exists()
    kept = pd.read_csv(page.parent / RATES)
    assert kept["value"].tolist() == [0.1, 0.1, 0.1]
    assert {path.stem for path in page.parent.glob("*.html")} == {
        "index",
        "errors",
        "power",
        "power_curves",
    }


def test_power_stands_at_its_planted_effect() -> None:
    figure = power_figure(rates())
    ((title, curves),) = figure.panels.items()
    assert title == "text: planted"
    assert [curve.group for curve in curves] == ["n = 64"]
    values = dict(zip(AUROCS, curves[0].values, strict=True))
    assert values.pop(0.8) == 0.1
    assert np.isnan(list(values.values())).all()
