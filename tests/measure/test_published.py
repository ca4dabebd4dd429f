"""The published figures, reproduced to their printed digits from the released answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.measure import (
    auroc2,
    brier,
    compare_groups,
    ece,
    relplot_smooth_ece,
    top_label,
)
from workbench.measure.groups import Settings
from workbench.measure.table_file.measure import Measured, measure_file

DATA = Path(__file__).parent / "data"
PUBLISHED: dict[str, dict[str, Any]] = json.loads((DATA / "published.json").read_text())
NAMES = {"auroc": "auroc2", "expected_calibration_error": "ece", "brier_score": "brier"}
TUNED, BASE = "gemma-3-12b/probe-target-middle/triviaqa", "gemma-3-12b/baseline/triviaqa"


@pytest.fixture(scope="module")
def measured() -> Measured:
    return measure_file(
        DATA / "stated_confidence.parquet", Settings(resamples=200), by=["condition"]
    )


def digits(value: float) -> int:
    """How many decimals a published number was printed with; sixteen-digit ones were not
    rounded, the last differ by order of sums.
    """
    printed = repr(value)
    return min(len(printed.partition(".")[2]), 12)


@pytest.mark.parametrize("condition", PUBLISHED)
def test_every_published_figure(measured: Measured, condition: str) -> None:
    found = measured.to_dict()[condition]
    published = PUBLISHED[condition]
    assert found["n"] == published["n"]
    assert found["n_parsed"] == published["vrs"]["n"]
    assert found["tier"] == published["vrs"]["tier"]
    flat = {**published, **published["vrs"]}
    for name, value in flat.items():
        if isinstance(value, float):
            assert round(found[NAMES.get(name, name)], digits(value)) == pytest.approx(
                value, abs=1e-11
            ), name


def test_both_groups_of_the_paired_comparison_on_all_answers(measured: Measured) -> None:
    found = measured.to_dict()
    assert round(found[TUNED]["auroc2"], 4) == 0.8167
    assert round(found[BASE]["auroc2"], 4) == 0.6837


def test_the_published_paired_comparison(measured: Measured) -> None:
    settings = Settings(resamples=10_000)
    pair = measured.answers.rows(np.flatnonzero(np.isin(measured.answers.group, [TUNED, BASE])))
    found = compare_groups(pair, BASE, settings, judge="first")[TUNED]
    assert found.n == 966
    assert round(found.first["auroc2"].value, 4) == 0.8158
    assert round(found.second["auroc2"].value, 4) == 0.6546
    for interval in (found.difference["auroc2"], found.delong.difference):
        assert round(interval.value, 4) == 0.1611
        assert interval.low == pytest.approx(0.1224, abs=0.005)
        assert interval.high == pytest.approx(0.1993, abs=0.005)


def test_each_judged_by_its_own_answers_differs_less(measured: Measured) -> None:
    pair = measured.answers.rows(np.flatnonzero(np.isin(measured.answers.group, [TUNED, BASE])))
    found = compare_groups(pair, BASE, Settings(resamples=200), judge="own")[TUNED]
    assert round(found.difference["auroc2"].value, 4) == 0.1344
    assert round(found.second["auroc2"].value, 4) == 0.6814


def test_check_vector_to_six_digits() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(1000)
    y = rng.random(1000) < p**2
    assert round(ece(p, y), 6) == 0.149906
    assert round(ece(*top_label(p, y)), 6) == 0.014815
    assert round(auroc2(p, y), 6) == 0.864199
    assert round(brier(p, y), 6) == 0.170250
    assert round(relplot_smooth_ece(p, y), 6) == 0.149771
