import importlib

import numpy as np
import pytest

from workbench.measure import (
    auroc2,
    auroc2_difference,
    auroc2_estimate,
    auroc2_within_estimate,
    confidence_metrics,
    delong,
)
from workbench.measure import ece as exact_ece
from workbench.measure.bootstrap import method_of, resampled_counts
from workbench.measure.distinct_rows import cells_of

RNG = np.random.default_rng(8)
N = 3000
SCORES = RNG.random(N)
CORRECT = RNG.random(N) < SCORES
DOMAIN = RNG.integers(0, 3, N)


@pytest.fixture
def small_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if three thousand answers were too many to draw row by row."""
    monkeypatch.setattr(importlib.import_module("workbench.measure.bootstrap"), "ROW_DRAWS", 1000)


@pytest.fixture
def few_cells(small_rows: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if three thousand cells were too many as well."""
    module = importlib.import_module("workbench.measure.resampling")
    monkeypatch.setattr(module, "MOST_CELLS", 500)
    monkeypatch.setattr(module, "LEVELS", 200)


def width(estimate: object) -> float:
    return estimate.high - estimate.low  # type: ignore[attr-defined]


def test_method_follows_the_number_of_drawn_rows() -> None:
    assert method_of(1000, 10_000) == "rows"
    assert method_of(1_000_000, 2000) == "cells"


def test_counts_add_up_and_strata_keep_their_size(small_rows: None) -> None:
    cells = cells_of(np.round(SCORES, 1), CORRECT, DOMAIN)
    codes = DOMAIN[cells.first]
    for counts in resampled_counts(cells, resamples=20, seed=0, strata=DOMAIN):
        assert (counts.sum(axis=1) == N).all()
        for code in range(3):
            assert (counts[:, codes == code].sum(axis=1) == (code == DOMAIN).sum()).all()
    assert len(counts) == 20


def test_cells_give_the_interval_of_rows(small_rows: None) -> None:
    coarse = np.round(SCORES, 1)
    drawn = auroc2_estimate(coarse, CORRECT, seed=0, resamples=3000)
    assert drawn.value == pytest.approx(auroc2(coarse, CORRECT), abs=1e-12)
    assert width(drawn) == pytest.approx(width(delong(coarse, CORRECT)), rel=0.07)


def test_joined_levels_give_exact_values_and_the_interval_of_rows(few_cells: None) -> None:
    found = auroc2_estimate(SCORES, CORRECT, seed=0, resamples=3000)
    assert found.value == pytest.approx(auroc2(SCORES, CORRECT), abs=1e-12)
    assert width(found) == pytest.approx(width(delong(SCORES, CORRECT)), rel=0.07)
    within = auroc2_within_estimate(SCORES, CORRECT, DOMAIN, seed=0, resamples=1000)
    assert width(within) == pytest.approx(width(found), rel=0.15)
    table = confidence_metrics(SCORES, CORRECT, None, seed=0, resamples=100, names=("ece",))
    assert table["ece"].value == pytest.approx(exact_ece(SCORES, CORRECT), abs=1e-12)  # type: ignore[union-attr]
    assert "neighbouring confidences joined" in str(table["method"])


def test_a_paired_difference_stays_paired(few_cells: None) -> None:
    near = np.clip(SCORES + RNG.normal(0, 0.02, N), 0, 1)
    difference = auroc2_difference(SCORES, near, CORRECT, None, seed=0, resamples=500)
    assert difference.value == pytest.approx(
        auroc2(SCORES, CORRECT) - auroc2(near, CORRECT), abs=1e-12
    )
    assert width(difference) < width(delong(SCORES, CORRECT)) / 2
