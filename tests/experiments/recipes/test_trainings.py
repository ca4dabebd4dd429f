from __future__ import annotations

import pytest

from workbench.config import RunConfig, TeachSettings
from workbench.errors import WorkbenchError
from workbench.experiments.recipes.trainings import (
    arm_settings,
    group_seeds,
    report_stage,
    trainings,
)
from workbench.teach.recipes import CALIBRATION, DOUBT, PROBE


def test_what_the_user_sets_goes_before_the_arm_and_the_arm_before_the_defaults() -> None:
    arm = PROBE.arm("primary")
    config = RunConfig.model_validate({"teach": {"epochs": 7, "lora": {"rank": 2}}})
    found = arm_settings(config, arm)
    assert (found.epochs, found.lora.rank) == (7, 2)
    assert (found.learning_rate, found.lora.target_modules[0], found.adapter_scope) == (
        2e-4,
        "k_proj",
        "conversation",
    )
    assert found.checkpoint_steps == TeachSettings().checkpoint_steps


def test_pupils_are_arms_by_seeds_and_the_first_has_a_twin() -> None:
    found = trainings(RunConfig(seed=5), DOUBT, [DOUBT.arm("log"), DOUBT.arm("brier")], 3, True)
    assert [p.name for p in found] == [
        "log",
        "log-seed6",
        "log-seed7",
        "brier",
        "brier-seed6",
        "brier-seed7",
    ]
    assert [p.shuffled_control for p in found] == [True, False, False] * 2
    assert [p.probe for p in found] == [True, False, False] * 2
    assert found[1].stage("teach") == "recipes/doubt/log/6/teach"
    assert found[0].control_name == "log-shuffled"
    assert report_stage(DOUBT) == "recipes/doubt/report"


def test_seeds_of_an_arm_stand_together_and_so_do_their_temperatures() -> None:
    names = [
        "before",
        "temperature",
        "head",
        "head-temperature",
        "head-shuffled",
        "head-seed1",
        "head-seed1-temperature",
        "seed-x",
    ]
    assert group_seeds(names) == {
        "before": ["before"],
        "temperature": ["temperature"],
        "head": ["head", "head-seed1"],
        "head-temperature": ["head-temperature", "head-seed1-temperature"],
        "head-shuffled": ["head-shuffled"],
        "seed-x": ["seed-x"],
    }


def test_a_head_does_not_speak_and_has_no_states_to_probe() -> None:
    (head,) = trainings(RunConfig(), CALIBRATION, [CALIBRATION.arm("head")], 1, True)
    assert not head.states_confidence
    assert not head.probe


def test_twins_can_be_left_out() -> None:
    assert [
        p.shuffled_control
        for p in trainings(RunConfig(), DOUBT, [DOUBT.arm("log")], 2, False, controls=False)
    ] == [False, False]


def test_a_number_of_updates_goes_to_the_arms_that_sample_replies() -> None:
    config = RunConfig.model_validate({"teach": {"on_policy_steps": 40, "epochs": 2}})
    found = trainings(config, DOUBT, [DOUBT.arm("log"), DOUBT.arm("grpo")], 1, False)
    assert [(p.teach.on_policy_steps, p.teach.epochs) for p in found] == [(None, 2), (40, 2)]


def test_a_number_of_updates_is_refused_where_no_arm_counts_them() -> None:
    config = RunConfig.model_validate({"teach": {"on_policy_steps": 40}})
    for recipe, arm in ((DOUBT, "log-whole"), (CALIBRATION, "head")):
        with pytest.raises(
            WorkbenchError, match=f"and {arm} of this recipe do not; set teach.epochs"
        ):
            trainings(config, recipe, [recipe.arm(arm)], 1, False)
