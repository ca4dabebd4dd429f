from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.support.readouts import ARM, READOUTS, N
from workbench.loop.conditions import (
    AFTER,
    BEFORE,
    CONTROL,
    Condition,
    Key,
    calibration,
    conditions_table,
    discrimination,
    group_seeds,
    in_part,
    read_conditions,
    roles_of,
    without_text,
)
from workbench.measure import Bootstrap, auroc2, auroc2_within, ece, flat_summary

DRAW = Bootstrap(100, 0)
HEAD, PLATT = Condition("head"), Condition(recalibration="platt")
TEMPERED = replace(HEAD, recalibration="temperature")
NAMES = {
    BEFORE: "before",
    AFTER: "after",
    CONTROL: "control",
    PLATT: "platt",
    HEAD: "head",
    TEMPERED: "head-temperature",
    replace(HEAD, control=True): "head-control",
    replace(HEAD, seed=1): "head-seed1",
    replace(TEMPERED, seed=1): "head-seed1-temperature",
    Condition("soft-seed3"): "soft-seed3",
}


def test_a_condition_is_written_in_one_way() -> None:
    assert {one: one.name for one in NAMES} == NAMES


def test_a_table_of_conditions_is_read_as_it_was_written() -> None:
    table = conditions_table(NAMES)
    assert table["name"].tolist() == list(NAMES.values())
    assert read_conditions(table) == tuple(NAMES)


def test_seeds_of_an_arm_stand_together_and_so_do_their_temperatures() -> None:
    lines = {line.name: [one.name for one in each] for line, each in group_seeds(NAMES).items()}
    assert lines == {
        "before": ["before"],
        "after": ["after"],
        "control": ["control"],
        "platt": ["platt"],
        "head": ["head", "head-seed1"],
        "head-temperature": ["head-temperature", "head-seed1-temperature"],
        "head-control": ["head-control"],
        "soft-seed3": ["soft-seed3"],
    }


def test_an_arm_taught_on_a_domain_called_seed3_is_no_seed_of_another() -> None:
    soft, domain = Condition("soft"), Condition("soft-seed3")
    assert group_seeds([soft, domain]) == {soft: [soft], domain: [domain]}
    assert group_seeds([soft, replace(soft, seed=3)]) == {soft: [soft, replace(soft, seed=3)]}


def test_what_is_taught_is_no_control_and_not_recalibrated() -> None:
    taught = [one.name for one in NAMES if one.taught]
    assert taught == ["after", "head", "head-seed1", "soft-seed3"]


def test_colours_have_the_role_of_the_condition_and_not_of_its_name() -> None:
    """An arm may be called as it likes: "probe", "before", "after-hours"."""
    arms = [Condition(name) for name in ("probe", "before", "after-hours", "shuffled")]
    assert roles_of(arms) == {}
    assert roles_of(NAMES) == {
        "before": "before",
        "after": "after",
        "control": "control",
        "head-control": "control",
    }


def test_a_key_is_written_from_the_part_to_the_condition() -> None:
    key = Key("auroc2", "stated", AFTER, within=True, contrast="gain", part="in_domain")
    assert str(key) == "in_domain.gain.auroc2.stated.within.after"
    assert str(key.of(None)) == "in_domain.gain.auroc2.stated.within"
    assert str(Key("layer_gradient", part="patching")) == "patching.layer_gradient"


def test_every_condition_is_measured_under_its_name() -> None:
    found = flat_summary(discrimination(READOUTS, DRAW) | calibration(READOUTS, DRAW))
    for one in (BEFORE, ARM):
        stated, expected = READOUTS.stated[one], READOUTS.expected[one]
        assert found[f"auroc2.stated.{one}"] == pytest.approx(auroc2(stated, READOUTS.correct))
        within = auroc2_within(expected, READOUTS.correct, READOUTS.domain)
        assert found[f"auroc2.expected.within.{one}"] == pytest.approx(within)
        assert found[f"ece.expected.{one}"] == pytest.approx(ece(expected, READOUTS.correct))
        assert found[f"parse_rate.stated.{one}"] == 1
        assert found[f"auroc2.probe.{one}"] == pytest.approx(
            auroc2(READOUTS.probe[one], READOUTS.correct)
        )


def test_an_estimate_counts_the_replies_that_could_be_read() -> None:
    stated = READOUTS.stated[ARM].copy()
    stated[:5] = np.nan
    found = discrimination(replace(READOUTS, stated={ARM: stated}), DRAW)
    assert found[Key("auroc2", "stated", ARM)].n == N - 5  # type: ignore[union-attr]


def test_rows_and_conditions_can_be_left_out() -> None:
    half = READOUTS.only(READOUTS.domain == "b")
    assert half.questions["row"].tolist() == list(range(1, N, 2))
    assert np.array_equal(half.expected[ARM], READOUTS.expected[ARM][1::2])
    assert list(READOUTS.without((ARM,)).stated) == [BEFORE]


def test_what_states_nothing_has_no_measures_of_text() -> None:
    silent = replace(READOUTS, stated={**READOUTS.stated, ARM: np.full(N, np.nan)})
    assert (silent.silent, silent.spoken, READOUTS.silent) == ((ARM,), True, ())
    found = without_text(discrimination(READOUTS, DRAW) | calibration(READOUTS, DRAW), (ARM,))
    assert {key.readout for key in found if key.condition == ARM} == {"expected", "probe"}
    assert {key.readout for key in found if key.condition == BEFORE} == {
        "stated",
        "expected",
        "probe",
    }


def test_a_part_has_the_same_measures() -> None:
    measures = calibration(READOUTS, DRAW)
    found = in_part("in_domain", measures)
    assert list(found.values()) == list(measures.values())
    assert {key.part for key in found} == {"in_domain"}
