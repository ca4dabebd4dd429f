from __future__ import annotations

import numpy as np

from workbench.bottleneck.conclude import Readings, conclude, write_by_best_map
from workbench.bottleneck.fixed_maps import Training, best_map, fit_maps
from workbench.bottleneck.steps import Questions, Step
from workbench.bottleneck.verdict import KNOWN, NOT_CARRIED


def test_the_known_reading_is_chosen_on_training_questions() -> None:
    rng = np.random.default_rng(0)
    correct = rng.random((2, 120)) < 0.5
    domain = np.zeros(120, dtype=int)
    questions = Questions(correct[0], domain, correct[1], domain)
    sure = [np.where(each, 0.9, 0.1) for each in correct]
    random = [rng.random(120) for _ in range(2)]
    # The first is right on held-out questions alone, and so is not known.
    overfitted, known = Step("one", random[0], sure[1]), Step("two", sure[0], 0.5 * sure[1])
    nothing = Step("none", random[0], random[1])
    found = conclude(
        Readings((overfitted, known), nothing, nothing, nothing, spread=0.1), questions, {}
    )
    assert found.verdict == NOT_CARRIED
    kept = found.stations[0]
    assert kept.name == KNOWN
    assert kept.test.value == 1
    other = conclude(Readings((nothing, known), nothing, nothing, nothing), questions, {})
    # A spread of trainings widens the last two tests, and those alone.
    pairs = zip(found.stations, other.stations, strict=True)
    widened = [a.test.spread > b.test.spread for a, b in pairs]
    assert widened == [False, False, True, True]


def test_the_map_that_is_tried_is_the_best_on_training_questions() -> None:
    rng = np.random.default_rng(1)
    correct = rng.random(200) < 0.5
    scores = np.stack([np.where(correct, 1.0, -1.0) + rng.normal(0, 0.5, 200), 4 + 0 * correct], 1)
    p = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    training = Training(p[:120], correct[:120], np.zeros(120, dtype=int), np.array([0.9, 0.1]))
    written = write_by_best_map(training, p[120:])
    assert np.array_equal(written, fit_maps(training)[best_map(training)](p[120:]))
    assert len(np.unique(written)) == 2
