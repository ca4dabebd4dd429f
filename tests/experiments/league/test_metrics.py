from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from tests.support.percentile import sorted_bounds
from workbench.experiments.league.comparison import IN_DOMAIN, RecipeOutcome, compare_recipes
from workbench.experiments.league.metrics import BASE_RIGHT, GRADES, MEASURES, statistic_of
from workbench.loop.conditions import BEFORE, Condition
from workbench.measure import Bootstrap, auroc2_within, ece
from workbench.measure.bootstrap import resampled_rows
from workbench.measure.inputs import checked_domain
from workbench.measure.seed_intervals import drawn_seeds

LOG = Condition("log")


def test_a_measure_is_undefined_where_its_readout_was_not_made(played: RecipeOutcome) -> None:
    """A head states nothing; an adapter on the reply changes no answers; the base model gains
    nothing over itself.
    """
    table = played.held_out
    codes = checked_domain(table["domain"], len(table))
    missing = {
        one.name: {
            heading
            for heading, measure in MEASURES.items()
            if statistic_of(measure, table, codes, one) is None
        }
        for one in (BEFORE, Condition("head"), LOG, replace(LOG, control=True))
    }
    answers = {"answers right adapter on", "gain answers right"}
    assert missing["before"] == {heading for heading in MEASURES if heading.startswith("gain")}
    assert missing["head"] == {heading for heading in MEASURES if "stated" in heading} | answers
    assert missing["log"] == set()
    assert missing["log-control"] == answers


def test_ranges_bound_gains_on_both_sides() -> None:
    assert MEASURES["ECE stated"].range == (0, 1)
    assert MEASURES["gain ECE stated"].range == (-1, 1)
    assert MEASURES[BASE_RIGHT].readout == GRADES


def by_hand(table: pd.DataFrame, name: str, rows: np.ndarray) -> dict[str, float]:
    """Gains over the base model of the questions ``rows``, on those parsed in both."""
    drawn = table.iloc[rows]
    out = {"gain answers right": drawn[f"right_{name}"].mean() - drawn["correct"].mean()}
    for readout, column in (("stated", "stated"), ("expected", "expected")):
        both = drawn[drawn[[f"{column}_{name}", f"{column}_before"]].notna().all(axis=1)]
        for heading, measure in (("AUROC2", auroc2_within), ("ECE", ece)):
            graded = (
                (both["correct"], both["domain"]) if heading == "AUROC2" else (both["correct"],)
            )
            own, base = (measure(both[f"{column}_{when}"], *graded) for when in (name, "before"))
            out[f"gain {heading} {readout}{' within' if heading == 'AUROC2' else ''}"] = own - base
    return out


def test_gains_are_paired_by_question_drawn_within_their_domain_and_over_seeds(
    played: RecipeOutcome,
) -> None:
    """Values and intervals against the package's measures called on one resample after the other;
    differences of calibration errors have no interval.
    """
    (one,) = [
        x
        for x in compare_recipes([played], Bootstrap(60, 3))
        if (x.arm, x.part) == ("log", IN_DOMAIN)
    ]
    table = played.held_out[played.held_out["domain"] != "metals"].reset_index(drop=True)
    drawn = np.concatenate(
        [*resampled_rows(len(table), resamples=60, seed=3, strata=table["domain"])]
    )
    chosen = drawn_seeds(2, resamples=60, seed=3)
    gains = [by_hand(table, name, np.arange(len(table))) for name in ("log", "log-seed1")]
    assert set(gains[0]) == {heading for heading in MEASURES if heading.startswith("gain")}
    resampled = [[by_hand(table, name, rows) for rows in drawn] for name in ("log", "log-seed1")]
    for heading, estimate in ((heading, one.estimates[heading]) for heading in gains[0]):
        assert estimate.value == pytest.approx(np.mean([each[heading] for each in gains]))
        first, second = (np.array([each[heading] for each in seed]) for seed in resampled)
        mean, seeds = (first + second) / 2, np.stack([first, second])
        taken = seeds[chosen.T, np.arange(60)].mean(axis=0)
        expected = sorted_bounds(
            estimate.value,
            mean + np.sqrt(2) * (taken - mean),
            len(table),
            strata=table["domain"].nunique(),
        )
        if "ECE" in heading:
            assert np.isnan([estimate.low, estimate.high]).all()
            continue
        assert (estimate.low, estimate.high) == pytest.approx(expected)
