from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.experiments.league.comparison import (
    IN_DOMAIN,
    OUT_OF_DOMAIN,
    RecipeOutcome,
    arms_of,
    compare_recipes,
    domains_of,
    finished_recipe,
)
from workbench.experiments.league.metrics import BASE_RIGHT, MEASURES
from workbench.loop.conditions import Condition, conditions_table
from workbench.measure import Bootstrap, auroc2, auroc2_within, ece, smooth_ece


def test_seeds_stand_together_as_do_their_temperatures_and_further_maps_of_the_base_model_are_left_out(
    played: RecipeOutcome,
) -> None:
    lines = {
        line.name: [one.name for one in each] for line, each in arms_of(played.conditions).items()
    }
    assert lines == {
        "before": ["before"],
        "platt": ["platt"],
        "log": ["log", "log-seed1"],
        "log-control": ["log-control"],
        "head": ["head"],
        "log-temperature": ["log-temperature", "log-seed1-temperature"],
    }


def test_lines_are_means_over_seeds_of_the_packages_measures(played: RecipeOutcome) -> None:
    found = {(one.arm, one.part): one for one in compare_recipes([played], Bootstrap(50, 0))}
    assert len(found) == 12
    outside = played.held_out["domain"] == "metals"
    for part, rows in ((IN_DOMAIN, ~outside), (OUT_OF_DOMAIN, outside)):
        one = found["log", part]
        chosen = played.held_out[rows]
        assert (one.seeds, one.questions) == (2, int(rows.sum()))
        assert one.estimates[BASE_RIGHT].value == pytest.approx(chosen["correct"].mean())
        assert (one.tokens, one.seconds) == (200, 20)
        for heading, measure in (("ECE", ece), ("smooth ECE", smooth_ece)):
            for readout in ("stated", "expected"):
                each = [
                    measure(chosen[f"{readout}_{name}"], chosen["correct"])
                    for name in ("log", "log-seed1")
                ]
                assert one.estimates[f"{heading} {readout}"].value == pytest.approx(np.mean(each))
        within = [
            auroc2_within(chosen[f"expected_{name}"], chosen["correct"], chosen["domain"])
            for name in ("log", "log-seed1")
        ]
        estimate = one.estimates["AUROC2 expected within"]
        assert estimate.value == pytest.approx(np.mean(within))
        assert estimate.low < estimate.value < estimate.high
    head = found["head", IN_DOMAIN]
    assert set(head.estimates) == {heading for heading in MEASURES if "expected" in heading} | {
        BASE_RIGHT
    }
    base = found["before", IN_DOMAIN]
    assert base.tokens is None
    assert not [heading for heading in base.estimates if heading.startswith("gain")]
    assert base.estimates["answers right adapter on"] == base.estimates[BASE_RIGHT]
    assert [one.arm for one in found.values() if one.taught and one.part == IN_DOMAIN] == [
        "log",
        "head",
    ]


def test_each_domain_may_be_a_part_of_its_own(played: RecipeOutcome) -> None:
    rows = compare_recipes([played], Bootstrap(20, 0), parts=domains_of)
    assert [one.part for one in rows if one.arm == "log"] == ["kings", "metals", "rivers"]
    kings = played.held_out[played.held_out["domain"] == "kings"]
    (one,) = [each for each in rows if (each.arm, each.part) == ("before", "kings")]
    value = one.estimates["AUROC2 expected within"].value
    assert value == pytest.approx(auroc2(kings["expected_before"], kings["correct"]))


def test_a_league_of_nobody_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="at least one recipe"):
        compare_recipes([], Bootstrap(10, 0))


def test_a_finished_recipe_is_read_with_its_conditions(
    played: RecipeOutcome, tmp_path: Path
) -> None:
    """What an arm is called does not matter: one taught on a domain "seed9" is a line of its own,
    beside an arm of two seeds.
    """
    report = tmp_path / "report"
    report.mkdir()
    domain = Condition("log-seed9")
    conditions = (*played.conditions, domain)
    table = played.held_out.assign(**{f"expected_{domain.name}": played.held_out["expected_log"]})
    table.to_parquet(report / "held_out.parquet")
    conditions_table(conditions).to_parquet(report / "conditions.parquet")
    found = finished_recipe("doubt", tmp_path, played.summary, played.held_out_domains)
    assert found.conditions == conditions
    rows = compare_recipes([found], Bootstrap(10, 0))
    seeds = {one.arm: one.seeds for one in rows if one.part == IN_DOMAIN and one.taught}
    assert seeds == {"log": 2, "head": 1, "log-seed9": 1}
