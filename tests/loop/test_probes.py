from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from workbench.elicit.conversation import POSITIONS
from workbench.loop.run import Run
from workbench.measure import auroc2
from workbench.probe import ProbeSettings, ensemble_targets, fit_layerwise


@pytest.fixture(scope="module")
def split(context: Run) -> dict[str, np.ndarray]:
    side = context.stage("questions").table("questions")["split"].to_numpy()
    return {name: np.flatnonzero(side == name) for name in ("train", "test")}


@pytest.fixture(scope="module")
def correct(context: Run) -> np.ndarray:
    return context.stage("answer").table("answers")["correct"].to_numpy()


def saved_scores(context: Run, stage: str, states: np.ndarray) -> np.ndarray:
    """Probabilities [n, layers, positions] from the saved weights."""
    probe: dict[str, Any] = context.stage(stage).tensors("probe")
    odds = (
        np.einsum("nlpd,lpd->nlp", states.astype(np.float64), probe["weights"]) + probe["intercept"]
    )
    return 1 / (1 + np.exp(-odds))


@pytest.mark.parametrize(
    ("stage", "source"), [("probe", "elicit"), ("probe_tuned", "elicit_tuned")]
)
def test_held_out_probabilities_are_the_saved_probes_at_the_chosen_site(
    context: Run, split: dict[str, np.ndarray], correct: np.ndarray, stage: str, source: str
) -> None:
    facts, store = context.stage(stage).facts(), context.stage(stage)
    test = split["test"]
    states = context.stage(source).tensors("readings")["states"]
    scores = saved_scores(context, stage, states[test])
    at = scores[:, facts["layer"], POSITIONS.index(facts["position"])]
    table = store.table("probabilities").set_index("row")
    assert table["probability"].loc[test].to_numpy() == pytest.approx(at)
    assert (table["split"].loc[test] == "test").all()
    layers = store.table("layers")
    for _, line in layers.iterrows():
        expected = auroc2(
            scores[:, int(line["layer"]), POSITIONS.index(line["position"])], correct[test]
        )
        assert line["auroc2"] == pytest.approx(expected)
        assert line["auroc2.low"] <= line["auroc2.high"]
        assert (
            line["auroc2_shuffled.low"] <= line["auroc2_shuffled"] <= line["auroc2_shuffled.high"]
        )
    assert len(layers) == 4 * 3


def test_training_targets_are_out_of_fold(
    context: Run, split: dict[str, np.ndarray], correct: np.ndarray
) -> None:
    train = split["train"]
    states = context.stage("elicit").tensors("readings")["states"][train]
    found = (
        context.stage("probe")
        .table("probabilities")
        .set_index("row")["probability"]
        .loc[train]
        .to_numpy()
    )
    settings = ProbeSettings(folds=3, inner_folds=2, inverse_penalties=(0.01, 0.1), seed=0)
    fitted = fit_layerwise(states, correct[train], settings)
    assert found == pytest.approx(ensemble_targets(fitted, "log_loss", 12))
    in_sample = saved_scores(context, "probe", states)
    assert np.abs(in_sample - found[:, None, None]).max(axis=0).min() > 0.01


def test_the_null_is_the_mean_over_sites_with_its_range_over_permutations(context: Run) -> None:
    layers: pd.DataFrame = context.stage("probe").table("layers")
    facts = context.stage("probe").facts()
    assert facts["shuffled_mean"] == pytest.approx(layers["auroc2_shuffled"].mean())
    # With two permutations the mean lies halfway between them.
    assert facts["shuffled_mean"] == pytest.approx(
        (facts["shuffled_low"] + facts["shuffled_high"]) / 2
    )
    assert facts["shuffled_low"] < facts["shuffled_high"]


def test_the_angle_between_the_directions_is_a_cosine(context: Run) -> None:
    angles = [context.stage(name).facts()["direction_cosine"] for name in ("probe", "probe_tuned")]
    assert all(-1 <= angle <= 1 for angle in angles)
    assert angles[0] != angles[1]
