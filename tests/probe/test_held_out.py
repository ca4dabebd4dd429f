from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from workbench.measure import auroc2_within
from workbench.probe import (
    ProbeSettings,
    apply,
    ensemble_targets,
    fit_and_judge,
    fit_layerwise,
    shuffled_control,
)

SETTINGS = ProbeSettings(folds=3, inner_folds=2, inverse_penalties=(0.1,), seed=0)


def test_the_parts_are_those_that_are_fitted_one_by_one() -> None:
    """One of two layers carries the label; its held-out AUROC2 is scikit-learn's of the scores."""
    rng = np.random.default_rng(0)
    label = rng.random(160) < 0.5
    states = rng.normal(size=(160, 2, 1, 6)).astype(np.float32)
    states[:, 1, 0, 0] += 2.0 * label
    fitted, judged = slice(0, 100), slice(100, 160)
    domain = np.where(np.arange(60) % 2, "a", "b")
    found = fit_and_judge(
        states[fitted], label[fitted], states[judged], label[judged], SETTINGS,
        positions=("last",), held_out_domain=domain, shuffles=4, ensemble_sites=20,
        resamples=100, seed=3,
    )  # fmt: skip
    probe = fit_layerwise(states[fitted], label[fitted], SETTINGS)
    scores = apply(probe, states[judged])
    assert np.array_equal(found.held_out, scores)
    for layer, line in enumerate(found.layers.to_dict("records")):
        assert line["auroc2"] == pytest.approx(roc_auc_score(label[judged], scores[:, layer, 0]))
        assert line["auroc2_within"] == pytest.approx(
            auroc2_within(scores[:, layer, 0], label[judged], domain)
        )
    control = shuffled_control(
        probe, states[fitted], states[judged], label[judged],
        n_shuffles=4, seed=3, held_out_domain=domain,
    )  # fmt: skip
    assert np.array_equal(found.control.auroc2, control.auroc2)
    assert found.layers["auroc2_shuffled"].to_numpy() == pytest.approx(
        control.auroc2.mean(axis=0)[:, 0]
    )
    assert found.layers["auroc2_shuffled.high"].to_numpy() == pytest.approx(
        control.auroc2.max(axis=0)[:, 0]
    )
    assert np.array_equal(found.targets, ensemble_targets(probe, "log_loss", 2))
    assert found.probe.best.layer == 1
