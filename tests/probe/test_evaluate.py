from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import auroc2_estimate, auroc2_within_estimate
from workbench.probe import evaluate_layers


def test_values_and_intervals_are_those_of_the_measure_room() -> None:
    rng = np.random.default_rng(0)
    correct = rng.random(120) < 0.4
    domain = rng.choice(["capitals", "sums", "trivia"], 120)
    probabilities = np.clip(
        0.3 * correct[:, None, None] + rng.random((120, 3, 2)) * 0.6, 0.01, 0.99
    )
    table = evaluate_layers(
        probabilities, correct, domain, positions=("answer", "number"), resamples=200, seed=4
    )
    assert table[["layer", "position"]].values.tolist() == [
        [layer, name] for layer in range(3) for name in ("answer", "number")
    ]
    row = table[(table.layer == 2) & (table.position == "number")].iloc[0]
    scores = probabilities[:, 2, 1]
    pooled = auroc2_estimate(scores, correct, resamples=200, seed=4)
    within = auroc2_within_estimate(scores, correct, domain, resamples=200, seed=4)
    for prefix, estimate in (("auroc2", pooled), ("auroc2_within", within)):
        for key, value in estimate.to_dict(prefix).items():
            assert row[key] == pytest.approx(value)


def test_four_answers_by_hand() -> None:
    """Right: .9 and .4, wrong: .5 and .2. Three of four pairs are in order; log loss is -(ln .9
    + ln .4 + ln .5 + ln .8) / 4.
    """
    probabilities = np.array([0.9, 0.4, 0.5, 0.2]).reshape(4, 1, 1)
    table = evaluate_layers(
        probabilities, [1, 1, 0, 0], None, positions=("answer",), resamples=20, seed=0
    )
    assert table.auroc2[0] == 0.75
    assert table.log_loss[0] == pytest.approx(-math.log(0.9 * 0.4 * 0.5 * 0.8) / 4)
    assert np.isnan(table.auroc2_within[0])


def test_no_site_keeps_the_resamples_it_grouped() -> None:
    """Grouped counts of 500 resamples of 100 answers are four arrays of 0.4 MB a site: 64 MB for 40
    sites together, and those of a few at once where they go.
    """
    rng = np.random.default_rng(0)
    scores, correct = rng.random((100, 20, 2)), rng.random(100) < 0.5
    tracemalloc.start()
    try:
        evaluate_layers(
            scores, correct, ["a", "b"] * 50, positions=("x", "y"), resamples=500, seed=0
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 16e6


def test_mistakes_are_named() -> None:
    with pytest.raises(WorkbenchError, match="one correct per question"):
        evaluate_layers(
            np.zeros((4, 1, 1)), [1, 0], None, positions=("answer",), resamples=5, seed=0
        )
    with pytest.raises(WorkbenchError, match="give each one a name"):
        evaluate_layers(
            np.zeros((2, 1, 1)), [1, 0], None, positions=("a", "b"), resamples=5, seed=0
        )
