from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.loop.league import (
    IN_DOMAIN,
    MEASURES,
    OUT_OF_DOMAIN,
    Played,
    arms_of,
    is_taught,
    league,
    league_summary,
    league_table,
    over_seeds,
)
from workbench.loop.league_page import TABLE, sections, write_league
from workbench.measure import auroc2_within, ece, smooth_ece

RNG = np.random.default_rng(0)
DOMAINS = np.repeat(["rivers", "kings", "metals"], 20)
CORRECT = RNG.random(60) < 0.5
CONDITIONS = (
    "before",
    "platt",
    "isotonic",
    "temperature",
    "log",
    "log-seed1",
    "log-shuffled",
    "log-temperature",
    "head",
)


def table() -> pd.DataFrame:
    out = pd.DataFrame({"row": np.arange(60), "domain": DOMAINS, "correct": CORRECT})
    for name in CONDITIONS:
        out[f"stated_{name}"] = np.nan if name == "head" else np.round(RNG.random(60), 1)
        out[f"expected_{name}"] = RNG.random(60)
    return out


@pytest.fixture(scope="module")
def played() -> Played:
    costs = {"log": 100, "log-seed1": 300, "head": 50}
    summary = {f"training.tokens.{name}": value for name, value in costs.items()}
    summary |= {f"seconds.training.{name}": value / 10 for name, value in costs.items()}
    return Played("doubt", summary, table(), ("metals",))


def test_seeds_stand_together_and_maps_that_keep_the_order_are_left_out(played: Played) -> None:
    lines = arms_of(played.held_out)
    assert lines == {
        "before": ["before"],
        "platt": ["platt"],
        "log": ["log", "log-seed1"],
        "log-shuffled": ["log-shuffled"],
        "head": ["head"],
    }


def test_lines_are_means_over_seeds_of_the_packages_measures(played: Played) -> None:
    standings = {(one.arm, one.part): one for one in league([played], resamples=50, seed=0)}
    assert len(standings) == 10
    for part, rows in ((IN_DOMAIN, DOMAINS != "metals"), (OUT_OF_DOMAIN, DOMAINS == "metals")):
        one = standings["log", part]
        chosen = played.held_out[rows]
        assert (one.seeds, one.questions) == (2, int(rows.sum()))
        assert one.accuracy == pytest.approx(CORRECT[rows].mean())
        assert (one.tokens, one.seconds) == (200, 20)
        for heading, measure in (("ECE", ece), ("smooth ECE", smooth_ece)):
            for readout in ("text", "expected"):
                column = {"text": "stated", "expected": "expected"}[readout]
                each = [measure(chosen[f"{column}_{name}"], chosen["correct"]) for name in ("log", "log-seed1")]
                assert one.estimates[f"{heading} {readout}"].value == pytest.approx(np.mean(each))
        within = [
            auroc2_within(chosen[f"expected_{name}"], chosen["correct"], chosen["domain"])
            for name in ("log", "log-seed1")
        ]
        estimate = one.estimates["AUROC2 expected within"]
        assert estimate.value == pytest.approx(np.mean(within))
        assert estimate.low < estimate.value < estimate.high
    head = standings["head", IN_DOMAIN]
    assert set(head.estimates) == {heading for heading in MEASURES if "expected" in heading}
    assert standings["before", IN_DOMAIN].tokens is None
    assert [one.arm for one in standings.values() if is_taught(one) and one.part == IN_DOMAIN] == ["log", "head"]


def test_the_interval_counts_questions_and_seeds_by_hand() -> None:
    """Two seeds of 0 and 1 that no resample of questions moves: resamples take 00, 01, 10 or 11."""
    values = np.array([[0.0, 0.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0, 1.0]])
    chosen = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    found = over_seeds(values, chosen, 9)
    expected = np.quantile([0.0, 0.5, 0.5, 1.0], [0.025, 0.975])
    assert (found.value, found.low, found.high, found.n) == (0.5, *expected, 9)
    assert over_seeds(values, np.ones((4, 2), dtype=int), 9).low == 1.0
    undefined = over_seeds(np.full((1, 5), np.nan), np.zeros((4, 1), dtype=int), 9)
    assert np.isnan([undefined.value, undefined.low, undefined.high]).all()


def test_table_summary_and_page_say_the_same(played: Played, tmp_path: Path) -> None:
    standings = league([played], resamples=20, seed=0)
    page, rows = write_league(tmp_path, standings, {"seeds": 2}, sections(standings, "caption <b>"))
    assert page.exists()
    assert "<b>" not in page.read_text().split("<body>")[1].split("plotly")[0]
    stored = pd.read_parquet(tmp_path / TABLE)
    pd.testing.assert_frame_equal(stored, league_table(standings))
    line = stored[(stored["arm"] == "log") & (stored["part"] == IN_DOMAIN) & (stored["measure"] == "ECE expected")]
    summary = league_summary(standings)
    assert line["value"].item() == summary["in_domain.ece_expected.doubt.log"]
    assert json.loads(json.dumps(rows)) == rows
    assert [row["arm"] for row in rows if row["questions"] == IN_DOMAIN] == [
        "before",
        "platt",
        "log",
        "log-shuffled",
        "head",
    ]
    assert rows[2]["training tokens"] == "200"


def test_a_league_of_nobody_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="at least one recipe"):
        league([], resamples=10, seed=0)
