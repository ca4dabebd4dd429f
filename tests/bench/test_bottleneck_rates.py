from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from workbench.bench.bottleneck_page import (
    WORLDS,
    confusion_rows,
    record_rows,
    table_rows,
    write_bottleneck_bench,
)
from workbench.bench.bottleneck_rates import (
    NULL,
    NULL_QUESTIONS,
    PLANTED,
    POWER,
    SIZES,
    STRENGTHS,
    BottleneckBench,
    bench_bottleneck,
    plan_worlds,
)
from workbench.bench.planted_bottlenecks import CASES, PINNED, TOLD
from workbench.bottleneck.verdict import NO_SIGNAL, UNCLEAR
from workbench.measure import wilson_interval


def judged() -> BottleneckBench:
    """Four planted worlds of each of two cases, some judged wrongly, and ten null ones."""
    found = [
        (PINNED, PINNED.verdict, PINNED.remedy),
        (PINNED, PINNED.verdict, PINNED.remedy),
        (PINNED, PINNED.verdict, ""),
        (PINNED, UNCLEAR, ""),
        *[(TOLD, TOLD.verdict, "")] * 4,
    ]
    rows = [(PLANTED, *each) for each in found]
    rows += [(NULL, TOLD, NO_SIGNAL, "")] * 9 + [(NULL, PINNED, UNCLEAR, "")]
    rows += [(POWER, TOLD, NO_SIGNAL, "")]
    return BottleneckBench(
        pd.DataFrame(
            [
                {
                    "part": part,
                    "truth": case.verdict,
                    "remedy": case.remedy,
                    "seed": 0,
                    "strength": 0.75,
                    "held_out": 100,
                    "found": verdict,
                    "found_remedy": remedy,
                }
                for part, case, verdict, remedy in rows
            ]
        )
    )


def test_a_rate_is_a_share_of_worlds_and_a_remedy_must_be_right_besides() -> None:
    rates = judged().rates().set_index(["part", "case", "measure"])
    right = rates.loc[(PLANTED, PINNED.name, "verdict")]
    low, high = wilson_interval(3, 4)
    assert (right["value"], right["low"], right["high"], right["n"]) == (0.75, low, high, 4)
    assert rates.loc[(PLANTED, PINNED.name, "verdict and remedy"), "value"] == 0.5
    assert rates.loc[(PLANTED, TOLD.name, "verdict"), "value"] == 1
    assert rates.loc[(NULL, "all", "verdict"), "value"] == 0.1
    assert rates.loc[(NULL, PINNED.name, "verdict"), "value"] == 1
    assert rates.loc[(POWER, TOLD.name, "verdict"), "value"] == 0
    assert judged().values == {"planted.right.least": 0.75, "null.errors": 0.1}


def test_bounds_are_said_of_planted_worlds_and_of_all_null_ones_together() -> None:
    bounds = {
        (row["worlds"], row["planted"], row["counted"]): row["bound"]
        for row in table_rows(judged())
    }
    assert bounds[(PLANTED, PINNED.name, "verdict")] == ">= 95 %: below"
    assert bounds[(PLANTED, TOLD.name, "verdict")] == ">= 95 %: met"
    assert bounds[(NULL, "all", "verdict")] == "<= 5 %: above"
    assert bounds[(NULL, TOLD.name, "verdict")] == ""


def test_the_table_of_what_was_found_counts_every_planted_world() -> None:
    table = judged().confusion()
    assert table.loc[PINNED.name, PINNED.name] == 2
    assert table.loc[PINNED.name, UNCLEAR] == 1
    assert table.loc[PINNED.name, PINNED.verdict] == 1
    assert int(table.to_numpy().sum()) == 8
    shown = {row["planted"]: row for row in confusion_rows(judged())}
    assert shown[TOLD.name][TOLD.name] == "4"
    assert shown[TOLD.name][PINNED.name] == ""


def test_worlds_are_planned_over_cases_and_sizes_with_seeds_of_their_own() -> None:
    planned = list(plan_worlds(2, 14, 1))
    count = Counter((one.part, one.case) for one in planned)
    assert all(count[PLANTED, case] == 2 for case in CASES)
    assert all(count[NULL, case] == 2 for case in CASES)
    assert count[POWER, TOLD] == len(STRENGTHS) * len(SIZES)
    sizes = sorted(one.held_out for one in planned if one.part == NULL)
    assert (sizes[0], sizes[-1]) == NULL_QUESTIONS
    seeds = [(one.part, one.case, one.seed, one.strength, one.held_out) for one in planned]
    assert len(set(seeds)) == len(seeds)
    assert list(plan_worlds(1, 0, 0)) == planned[0 : 2 * len(CASES) : 2]


def test_the_bench_judges_planted_and_null_worlds() -> None:
    found = bench_bottleneck(worlds=0, nulls=1, graded=0)
    assert found.worlds["part"].tolist() == [NULL]
    assert set(found.values) == {"null.errors"}


def test_the_page_and_the_table_of_worlds_are_written(tmp_path: Path) -> None:
    page = write_bottleneck_bench(tmp_path / "bench", judged())
    assert UNCLEAR in page.read_text(encoding="utf-8")
    assert len(pd.read_csv(page.parent / WORLDS)) == len(judged().worlds)
    rows = record_rows(judged())
    assert {row["section"].split()[0] for row in rows} == {"Right", "Verdicts", "Worlds"}
    assert len({(row["section"], row["row"], row["column"]) for row in rows}) == len(rows)
