from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.bench.verdict_page import bound_of, record_rows, table_rows
from workbench.bench.verdicts import (
    SIMULATED,
    Group,
    VerdictBench,
    bench_verdicts,
    rate_row,
    simulated,
)
from workbench.errors import WorkbenchError
from workbench.measure import wilson_interval


def group(null: bool = True, effect: float = float("nan")) -> Group:
    return Group(SIMULATED, "a world", null, dict, ("text",), effect, 64)


def test_a_rate_is_a_share_with_wilsons_interval() -> None:
    row = rate_row(group(), "text", [True] + [False] * 19)
    low, high = wilson_interval(np.float64(1), np.int64(20))
    assert (row["value"], row["low"], row["high"], row["n"]) == (0.05, low, high, 20)


def test_the_largest_error_of_every_verdict_is_what_is_quoted() -> None:
    rows = [
        rate_row(group(), "text", [True, False, False, False]),
        rate_row(group(), "text", [False, False, False, False]),
        rate_row(group(False, 0.8), "text", [True, True, True, True]),
    ]
    assert VerdictBench(pd.DataFrame(rows), ()).values == {"simulated.text.worst": 0.25}


def test_null_worlds_are_held_to_the_bound_and_planted_ones_are_not() -> None:
    held = [True] + [False] * 9
    rates = pd.DataFrame(
        [rate_row(group(False, 0.8), "text", held), rate_row(group(), "text", held)]
    )
    first, second = table_rows(rates)
    assert (first["bound"], first["planted"]) == ("<= 5 %: above", "")
    assert (second["bound"], second["planted"]) == ("", "0.80")
    assert bound_of({"null": True, "value": 0.05}) == "<= 5 %: met"
    assert [row["section"] for row in record_rows(rates)] == [
        "Nothing is there: simulated",
        "Planted: simulated",
    ]


def test_every_verdict_has_null_and_planted_worlds() -> None:
    for null in (True, False):
        claims = {name for one in simulated() if one.null == null for name in one.claims}
        assert claims == {"states", "text", "teaching", "cause", "where"}


def test_a_part_that_is_not_there_is_named() -> None:
    with pytest.raises(WorkbenchError, match="'nothing'"):
        bench_verdicts(worlds=1, tiny_worlds=1, run=None, parts=("nothing",))
