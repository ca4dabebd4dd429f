from __future__ import annotations

import pytest

from tests.support.settings import written
from workbench.config import RunConfig
from workbench.experiments.recipes.trainings import arm_settings
from workbench.teach.recipes import PROBE

CONFIGURATIONS = {
    "primary": (16, 2e-4),
    "gentle-lr": (16, 5e-5),
    "low-rank": (8, 2e-4),
    "gentlest": (8, 5e-5),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_published_configurations_differ_in_rank_and_rate_alone(name: str) -> None:
    settings = arm_settings(written(), PROBE.arm(name))
    assert (settings.lora.rank, settings.learning_rate) == CONFIGURATIONS[name]
    assert (
        settings.lora.alpha,
        settings.lora.dropout,
        settings.epochs,
        settings.loraplus_lr_ratio,
    ) == (32, 0.05, 3, 1)
    assert settings.weight_decay == 0
    assert settings.batch_size * settings.gradient_accumulation_steps == 16
    assert settings.lora.target_modules == ("k_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert (settings.adapter_scope, settings.target) == ("conversation", "text")


def test_the_default_arm_has_the_main_loops_settings() -> None:
    assert PROBE.default == ("soft",)
    assert arm_settings(written(), PROBE.arm("soft")) == RunConfig().teach
    assert arm_settings(written(), PROBE.arm("hard")) == RunConfig().teach.model_copy(
        update={"target": "text"}
    )


def test_every_arm_names_what_its_targets_are_made_from() -> None:
    probed = {arm.name for arm in PROBE.arms if arm.sources == ("probe",)}
    assert probed == {arm.name for arm in PROBE.arms} - {
        "correct-soft",
        "correct-brier",
        "consistency",
    }
    assert PROBE.arm("consistency").sources == ("consistency",)
