from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from tests.support.percentile import sorted_bounds
from workbench.experiments.recipes.pairwise import (
    bradley_terry,
    ordered_by,
    pair_measures,
    pair_places,
    pairwise_measures,
    question_scores,
)
from workbench.loop.conditions import BEFORE, Readouts
from workbench.measure import Bootstrap, auroc2, flat_summary
from workbench.measure.bootstrap import resampled_rows

ROWS = [5, 6, 7, 8, 9]
CORRECT = np.array([True, False, True, False, True])


def readouts(correct: np.ndarray = CORRECT) -> Readouts:
    questions = pd.DataFrame(
        {"row": ROWS, "domain": ["rivers", "rivers", "kings", "rivers", "kings"]}
    )
    return Readouts(questions, correct, {}, {}, {})


def table() -> pd.DataFrame:
    """Mixed: (5, 6) agrees, (7, 8) is tied, (6, 7) disagrees; (5, 7) is not mixed. Only (5, 6)
    is of one domain.
    """
    return pd.DataFrame(
        {
            "q1": [5, 7, 6, 5],
            "q2": [6, 8, 7, 7],
            "combined": [0.9, 0.5, 0.8, 0.6],
            "consistent": [True, False, True, True],
            "chose_first": [1.0, np.nan, 1.0, 1.0],
            "chose_first_swapped": [1.0, 1.0, 1.0, 0.0],
        }
    )


def test_measures_by_hand() -> None:
    found = pair_measures(table(), readouts(), Bootstrap(200, 0))
    assert found["agreement"].value == pytest.approx((1 + 0.5 + 0) / 3)
    assert found["agreement"].n == 3
    assert (found["agreement_within"].value, found["agreement_within"].n) == (1, 1)
    assert found["consistent"].value == 0.75
    assert found["read"].value == 0.75
    alike = pair_measures(table(), readouts(np.ones(5, dtype=bool)), Bootstrap(200, 0))["agreement"]
    assert np.isnan(alike.value)


def test_bradley_terry_finds_the_scores_that_made_the_preferences() -> None:
    """With the gradient of its own penalised likelihood at zero, and in the planted order."""
    rng = np.random.default_rng(0)
    strength = np.linspace(-2, 2, 30)
    pairs = np.array([rng.choice(30, 2, replace=False) for _ in range(400)])
    preferred = 1 / (1 + np.exp(-(strength[pairs[:, 0]] - strength[pairs[:, 1]])))
    made = pd.DataFrame({"q1": pairs[:, 0] + 100, "q2": pairs[:, 1] + 100, "combined": preferred})
    rows, scores = bradley_terry(made)
    assert rows.tolist() == list(range(100, 130))
    left = preferred - 1 / (1 + np.exp(-(scores[pairs[:, 0]] - scores[pairs[:, 1]])))
    gradient = np.bincount(pairs[:, 0], left, 30) - np.bincount(pairs[:, 1], left, 30) - scores
    assert np.abs(gradient).max() < 1e-2
    assert auroc2(scores, strength > 0) == 1.0


def test_bradley_terry_scores_choose_as_they_order() -> None:
    """Question 9 was in no pair: it has no score."""
    scores = question_scores(table(), readouts())
    assert np.isnan(scores[-1])
    chosen = ordered_by(scores, table(), readouts())["combined"]
    first, second = pair_places(table(), readouts())
    assert chosen.tolist() == [
        float(scores[a] > scores[b]) for a, b in zip(first, second, strict=True)
    ]
    found = flat_summary(pairwise_measures({BEFORE: table()}, readouts(), Bootstrap(50, 0)))
    assert found["pairs.agreement.bradley-terry"] == pytest.approx(
        np.mean(chosen[[0, 1, 2]] == [1, 1, 0])
    )
    assert (found["pairs.asked"], found["pairs.mixed"]) == (4, 3)
    assert "auroc2.expected.within.bradley-terry.low" in found


def test_intervals_resample_questions_within_their_domain() -> None:
    """By brute force: a pair comes back as often as its first question was drawn, times its
    second.
    """
    found = pair_measures(table(), readouts(), Bootstrap(100, 1))["agreement"]
    means = []
    for drawn in np.concatenate(
        [*resampled_rows(5, resamples=100, seed=1, strata=readouts().domain)]
    ):
        count = {row: (np.array(ROWS)[drawn] == row).sum() for row in ROWS}
        weight = np.array([count[5] * count[6], count[7] * count[8], count[6] * count[7]])
        means.append((weight @ [1, 0.5, 0]) / weight.sum() if weight.sum() else np.nan)
    expected = sorted_bounds(0.5, np.array(means), 5, strata=2)
    assert (found.low, found.high) == pytest.approx(expected)
