from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from workbench.loop.pair_choices import bradley_terry, pair_measures, transfer_section
from workbench.measure import auroc2

CORRECT = np.array([True, False, True, False])


def table() -> pd.DataFrame:
    """Mixed: (0, 1) agrees, (2, 3) is tied, (1, 2) disagrees; (0, 2) is not mixed."""
    return pd.DataFrame(
        {
            "q1": [0, 2, 1, 0],
            "q2": [1, 3, 2, 2],
            "combined": [0.9, 0.5, 0.8, 0.6],
            "consistent": [True, False, True, True],
            "chose_first": [1.0, np.nan, 1.0, 1.0],
            "chose_first_swapped": [1.0, 1.0, 1.0, 0.0],
        }
    )


def test_measures_by_hand() -> None:
    found = pair_measures(table(), CORRECT, resamples=200, seed=0)
    assert found["agreement"].value == pytest.approx((1 + 0.5 + 0) / 3)
    assert found["agreement"].n == 3
    assert found["consistent"].value == 0.75
    assert found["read"].value == 0.75
    alike = pair_measures(table(), np.ones(4, dtype=bool), resamples=200, seed=0)["agreement"]
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


def test_the_transfer_figure_shows_both_tasks_of_those_who_were_asked() -> None:
    summary = {"pairs.asked": 8, "pairs.mixed": 3}
    for key in ("auroc2.expected.within", "pairs.agreement"):
        for name in ("before", "both"):
            summary |= {f"{key}.{name}": 0.6, f"{key}.{name}.low": 0.5, f"{key}.{name}.high": 0.7}
    summary |= {
        f"auroc2.expected.within.{name}{end}": 0.4
        for name in ("platt", "bradley-terry")
        for end in ("", ".low", ".high")
    }
    figure = transfer_section(summary, ["before", "platt", "both"]).figure
    singles, pairs = [trace for trace in figure.data if trace.mode == "markers"]
    assert [row[0] for row in singles.customdata] == ["before", "both", "bradley-terry"]
    assert [row[0] for row in pairs.customdata] == ["before", "both"]
