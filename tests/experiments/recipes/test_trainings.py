from __future__ import annotations

import pytest

from tests.support.settings import written
from workbench.config import TeachSettings
from workbench.errors import WorkbenchError
from workbench.experiments.recipes.trainings import (
    arm_settings,
    check_names,
    report_stage,
    trainings,
)
from workbench.loop.conditions import group_seeds
from workbench.teach.recipes import CALIBRATION, DOUBT, PROBE
from workbench.teach.recipes.domains import split_arm_by_domain


def test_what_the_user_sets_goes_before_the_arm_and_the_arm_before_the_defaults() -> None:
    arm = PROBE.arm("primary")
    resolved = written({"teach": {"epochs": 7, "lora": {"rank": 2}}})
    found = arm_settings(resolved, arm)
    assert (found.epochs, found.lora.rank) == (7, 2)
    assert (found.learning_rate, found.lora.target_modules[0], found.adapter_scope) == (
        2e-4,
        "k_proj",
        "conversation",
    )
    assert found.checkpoint_steps == TeachSettings().checkpoint_steps


def test_trainings_are_arms_by_seeds_and_the_first_has_a_control() -> None:
    found = trainings(written({"seed": 5}), DOUBT, [DOUBT.arm("log"), DOUBT.arm("brier")], 3, True)
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
    assert found[0].control.name == "log-control"
    assert report_stage(DOUBT) == "recipes/doubt/report"


def test_a_head_does_not_speak_and_has_no_states_to_probe() -> None:
    (head,) = trainings(written(), CALIBRATION, [CALIBRATION.arm("head")], 1, True)
    assert not head.states_confidence
    assert not head.probe


def test_controls_can_be_left_out() -> None:
    assert [
        p.shuffled_control
        for p in trainings(written(), DOUBT, [DOUBT.arm("log")], 2, False, controls=False)
    ] == [False, False]


def test_a_number_of_updates_goes_to_the_arms_that_sample_replies() -> None:
    resolved = written({"teach": {"on_policy_steps": 40, "epochs": 2}})
    found = trainings(resolved, DOUBT, [DOUBT.arm("log"), DOUBT.arm("grpo")], 1, False)
    assert [(p.teach.on_policy_steps, p.teach.epochs) for p in found] == [(None, 2), (40, 2)]


def test_a_number_of_updates_is_refused_where_no_arm_counts_them() -> None:
    resolved = written({"teach": {"on_policy_steps": 40}})
    for recipe, arm in ((DOUBT, "log-whole"), (CALIBRATION, "head")):
        with pytest.raises(
            WorkbenchError, match=f"and {arm} of this recipe do not; set teach.epochs"
        ):
            trainings(resolved, recipe, [recipe.arm(arm)], 1, False)


def test_a_taught_domain_called_seed3_is_not_taken_for_a_seed() -> None:
    recipe = split_arm_by_domain(PROBE, "soft", ["seed3", "kings"])
    found = trainings(written(), recipe, recipe.arms, 2, False)
    lines = {line.name: len(each) for line, each in group_seeds(p.condition for p in found).items()}
    assert lines["soft-seed3"] == lines["soft"] == lines["soft-kings"] == 2
    check_names(found)


def test_two_trainings_of_one_name_are_refused() -> None:
    """With four seeds the fourth of "soft" would be called as the first of the domain's arm."""
    recipe = split_arm_by_domain(PROBE, "soft", ["seed3", "kings"])
    found = trainings(written(), recipe, recipe.arms, 4, False)
    with pytest.raises(WorkbenchError, match="both be called 'soft-seed3'"):
        check_names(found)
