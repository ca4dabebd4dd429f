from __future__ import annotations

import numpy as np
import pytest

from tests.support.settings import written
from workbench.config import RunConfig, UserSettings, resolve
from workbench.experiments.recipes.trainings import arm_settings
from workbench.teach.recipes import CALIBRATION
from workbench.teach.recipes.calibration import (
    CURVES,
    LABELS,
    share_name,
    share_of,
    with_label_fraction,
)
from workbench.teach.target_inputs import TargetInputs


@pytest.mark.parametrize("name", ["lora-prompt", "lora-prompt-free"])
def test_the_adapter_is_the_published_one(name: str) -> None:
    settings = arm_settings(written(), CALIBRATION.arm(name))
    lora = settings.lora
    assert (lora.rank, lora.alpha, lora.dropout, lora.target_modules) == (
        8,
        32,
        0.1,
        ("q_proj", "v_proj"),
    )
    assert (settings.adapter_scope, settings.learning_rate, settings.weight_decay) == (
        "conversation",
        1e-4,
        0.01,
    )


def test_the_query_is_asked_unless_another_format_is_set() -> None:
    for assigned, fmt in (({}, "i-ii"), ({"elicit.format": "percent"}, "percent")):
        user = UserSettings(assigned=assigned)
        found = resolve(RunConfig(), CALIBRATION.settings, {}, user)
        assert found.config.elicit.format == fmt


def test_a_part_of_the_training_questions_is_kept_back_by_every_arm() -> None:
    shares = {arm_settings(written(), arm).calibration_fraction for arm in CALIBRATION.arms}
    assert shares == {0.2}


def test_arms_with_fewer_labels_draw_parts_of_one_another() -> None:
    inputs = TargetInputs(np.arange(40) * 3, np.arange(40) % 2 == 0, np.full(40, "d"), {}, seed=5)
    for arm in CURVES:
        quarter, half = (CALIBRATION.arm(share_name(arm, percent)) for percent in LABELS)
        assert quarter.subset is not None
        assert half.subset is not None
        assert len(quarter.subset(inputs)) == 10
        assert set(quarter.subset(inputs)) < set(half.subset(inputs))
        assert (half.teach, half.head_reader) == (
            CALIBRATION.arm(arm).teach,
            CALIBRATION.arm(arm).head_reader,
        )


@pytest.mark.parametrize(
    ("arm", "percent"), [("lora-prompt", 25), ("head", 7), ("lora-prompt-free", 100)]
)
def test_the_name_of_an_arm_tells_its_share(arm: str, percent: int) -> None:
    assert share_of(share_name(arm, percent)) == (arm, percent)
    assert with_label_fraction(CALIBRATION.arm(arm), percent).name == share_name(arm, percent)
