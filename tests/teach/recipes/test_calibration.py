from __future__ import annotations

import pytest

from workbench.config import RunConfig, load_config
from workbench.loop.pupils import arm_settings
from workbench.teach.recipes import CALIBRATION


@pytest.mark.parametrize("name", ["lora-prompt", "lora-prompt-free"])
def test_the_adapter_is_the_published_one(name: str) -> None:
    settings = arm_settings(RunConfig(), CALIBRATION.arm(name))
    lora = settings.lora
    assert (lora.rank, lora.alpha, lora.dropout, lora.modules) == (8, 32, 0.1, ("q_proj", "v_proj"))
    assert (settings.scope, settings.learning_rate) == ("conversation", 1e-4)


def test_the_query_is_asked_unless_another_format_is_set() -> None:
    settings = dict(CALIBRATION.settings)
    assert load_config(None, {}, settings).elicit.format == "i-ii"
    assert load_config(None, {"elicit.format": "percent"}, settings).elicit.format == "percent"


def test_a_part_of_the_training_questions_is_kept_back_by_every_arm() -> None:
    assert {arm.kept_back for arm in CALIBRATION.arms} == {0.2}
