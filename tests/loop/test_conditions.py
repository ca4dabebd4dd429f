from __future__ import annotations

import numpy as np
import pytest

from tests.support.readouts import READOUTS, N
from workbench.loop.conditions import calibration, discrimination
from workbench.measure import auroc2, auroc2_within, ece


def test_every_condition_is_measured_under_its_name() -> None:
    found = discrimination(READOUTS, resamples=100, seed=0) | calibration(
        READOUTS, resamples=100, seed=0
    )
    for when in ("before", "arm"):
        stated, expected = READOUTS.stated[when], READOUTS.expected[when]
        assert found[f"auroc2.text.{when}"] == pytest.approx(auroc2(stated, READOUTS.correct))
        within = auroc2_within(expected, READOUTS.correct, READOUTS.domain)
        assert found[f"auroc2.expected.within.{when}"] == pytest.approx(within)
        assert found[f"ece.expected.{when}"] == pytest.approx(ece(expected, READOUTS.correct))
        assert found[f"parse_rate.text.{when}"] == 1
    assert found["auroc2.probe"] == pytest.approx(
        auroc2(READOUTS.probe["before"], READOUTS.correct)
    )
    assert found["auroc2.probe.arm"] == pytest.approx(
        auroc2(READOUTS.probe["arm"], READOUTS.correct)
    )


def test_rows_and_conditions_can_be_left_out() -> None:
    half = READOUTS.only(READOUTS.domain == "b")
    assert half.questions["row"].tolist() == list(range(1, N, 2))
    assert np.array_equal(half.expected["arm"], READOUTS.expected["arm"][1::2])
    assert list(READOUTS.without(("arm",)).stated) == ["before"]
