from __future__ import annotations

import numpy as np

from workbench.bottleneck.readings import read_best
from workbench.measure import auroc2
from workbench.probe import ProbeSettings

SETTINGS = ProbeSettings(folds=4, inner_folds=3, inverse_penalties=(1e-3, 1e-1), seed=0)
RNG = np.random.default_rng(0)
CORRECT = RNG.random(300) < 0.5


def vectors(layer: int) -> np.ndarray:
    """Noise at three layers, with the grade along one axis of one of them."""
    out = RNG.normal(0, 1, (300, 3, 12))
    out[:, layer, 4] += 2 * CORRECT
    return out


def test_the_layer_that_holds_it_is_chosen_and_its_direction_found() -> None:
    held = vectors(1)
    reading = read_best("states", held[:200], CORRECT[:200], held[200:], SETTINGS)
    assert reading.layer == 1
    assert reading.step.name == "states"
    assert auroc2(reading.step.held_out, CORRECT[200:]) > 0.8
    assert auroc2(reading.step.training, CORRECT[:200]) > 0.8
    assert np.abs(reading.weights[1]).argmax() == 4
    np.testing.assert_array_equal(reading.by_layer[:, 1], reading.step.held_out)
    assert reading.by_layer.shape == (100, 3)
    assert reading.training_log_loss.argmin() == 1


def test_training_scores_are_out_of_fold() -> None:
    """Grades that nothing tells are not learnt by heart."""
    noise = RNG.normal(0, 1, (200, 2, 150))
    grades = RNG.permutation(np.arange(200) % 2 == 0)
    reading = read_best("noise", noise, grades, noise[:50], SETTINGS)
    assert auroc2(reading.step.training, grades) < 0.65
