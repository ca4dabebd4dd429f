from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from workbench.errors import WorkbenchError
from workbench.loop.league import (
    IN_DOMAIN,
    OUT_OF_DOMAIN,
    Played,
    arms_of,
    domains_of,
    is_taught,
    league,
    league_summary,
    league_table,
)
from workbench.loop.league_measures import BASE_RIGHT, MEASURES
from workbench.loop.league_page import TABLE, sections, write_league
from workbench.measure import auroc2, auroc2_within, ece, smooth_ece
from workbench.measure.bootstrap import resampled_rows
from workbench.measure.over_seeds import drawn_seeds

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
    for name in ("log", "log-seed1"):
        out[f"right_{name}"] = (RNG.random(60) < 0.4).astype(float)
    out.loc[3, "stated_log"] = np.nan
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
        assert one.estimates[BASE_RIGHT].value == pytest.approx(CORRECT[rows].mean())
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
    assert set(head.estimates) == {heading for heading in MEASURES if "expected" in heading} | {BASE_RIGHT}
    base = standings["before", IN_DOMAIN]
    assert base.tokens is None
    assert not [heading for heading in base.estimates if heading.startswith("gain")]
    assert base.estimates["answers right adapter on"] == base.estimates[BASE_RIGHT]
    assert [one.arm for one in standings.values() if is_taught(one) and one.part == IN_DOMAIN] == ["log", "head"]


def by_hand(table: pd.DataFrame, name: str, rows: np.ndarray) -> dict[str, float]:
    """Gains over the base model of the questions ``rows``, on those parsed in both."""
    drawn = table.iloc[rows]
    out = {"gain answers right": drawn[f"right_{name}"].mean() - drawn["correct"].mean()}
    for readout, column in (("text", "stated"), ("expected", "expected")):
        both = drawn[drawn[[f"{column}_{name}", f"{column}_before"]].notna().all(axis=1)]
        for heading, measure in (("AUROC2", auroc2_within), ("ECE", ece)):
            graded = (both["correct"], both["domain"]) if heading == "AUROC2" else (both["correct"],)
            own, base = (measure(both[f"{column}_{when}"], *graded) for when in (name, "before"))
            out[f"gain {heading} {readout}{' within' if heading == 'AUROC2' else ''}"] = own - base
    return out


def test_gains_are_paired_by_question_drawn_within_their_domain_and_over_seeds(played: Played) -> None:
    """Values and intervals against the package's measures called on one resample after the other."""
    (one,) = [x for x in league([played], resamples=60, seed=3) if (x.arm, x.part) == ("log", IN_DOMAIN)]
    table = played.held_out[DOMAINS != "metals"].reset_index(drop=True)
    drawn = np.concatenate([*resampled_rows(len(table), resamples=60, seed=3, strata=table["domain"])])
    chosen = drawn_seeds(2, resamples=60, seed=3)
    gains = [by_hand(table, name, np.arange(len(table))) for name in ("log", "log-seed1")]
    assert set(gains[0]) == {heading for heading in MEASURES if heading.startswith("gain")}
    resampled = [[by_hand(table, name, rows) for rows in drawn] for name in ("log", "log-seed1")]
    for heading, estimate in ((heading, one.estimates[heading]) for heading in gains[0]):
        assert estimate.value == pytest.approx(np.mean([each[heading] for each in gains]))
        first, second = (np.array([each[heading] for each in seed]) for seed in resampled)
        mean, seeds = (first + second) / 2, np.stack([first, second])
        taken = seeds[chosen.T, np.arange(60)].mean(axis=0)
        bounds = np.quantile(mean + np.sqrt(2) * (taken - mean), [0.025, 0.975])
        assert (estimate.low, estimate.high) == pytest.approx(tuple(bounds))


def test_each_domain_may_be_a_part_of_its_own(played: Played) -> None:
    standings = league([played], resamples=20, seed=0, parts=domains_of)
    assert [one.part for one in standings if one.arm == "log"] == ["kings", "metals", "rivers"]
    kings = played.held_out[DOMAINS == "kings"]
    (one,) = [each for each in standings if (each.arm, each.part) == ("before", "kings")]
    value = one.estimates["AUROC2 expected within"].value
    assert value == pytest.approx(auroc2(kings["expected_before"], kings["correct"]))


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
