from __future__ import annotations

import numpy as np
import pytest

from workbench.bottleneck.steps import Questions, Step, measure_steps
from workbench.errors import WorkbenchError
from workbench.measure import Bootstrap, auroc2_difference, auroc2_within

DRAW = Bootstrap(300, 0)
RNG = np.random.default_rng(0)
CORRECT = RNG.random(800) < 0.5
DOMAIN = RNG.integers(0, 3, 800)
QUESTIONS = Questions(CORRECT[:400], DOMAIN[:400], CORRECT[400:], DOMAIN[400:])


def step(name: str, noise: float) -> Step:
    scores = CORRECT + np.random.default_rng(1).normal(0, noise, 800)
    return Step(name, scores[:400], scores[400:])


def test_the_planted_loss_is_the_largest_and_paired() -> None:
    nothing = np.random.default_rng(2).random(800)
    steps = [
        step("states", 0.5),
        step("softmax", 0.55),
        Step("text", nothing[:400], nothing[400:]),
        Step("said", nothing[:400], nothing[400:]),
    ]
    found = measure_steps(steps, QUESTIONS, DRAW)
    assert [each.name for each in found.steps] == ["states", "softmax", "text", "said"]
    assert (found.largest.first, found.largest.second) == ("softmax", "text")
    assert found.largest.within.low > 0.2
    assert found.largest.gain.low > 0.2
    first, last = found.losses[0], found.losses[-1]
    assert first.within.low > 0
    assert (last.within.value, last.within.low, last.gain.value) == (0, 0, 0)
    for one, another, loss in zip(steps, steps[1:], found.losses, strict=False):
        within = [
            auroc2_within(each.held_out, CORRECT[400:], DOMAIN[400:]) for each in (one, another)
        ]
        assert loss.within.value == pytest.approx(within[0] - within[1])
    for measured, loss in zip(found.steps, found.losses, strict=False):
        after = found.steps[found.steps.index(measured) + 1] if loss is not last else measured
        assert loss.gain.value == pytest.approx(measured.gain.value - after.gain.value, abs=1e-12)


def test_intervals_of_losses_hold_for_all_of_them() -> None:
    steps = [step("a", 0.5), step("b", 0.6), step("c", 0.7)]
    loss = measure_steps(steps, QUESTIONS, DRAW).losses[0]
    alone = auroc2_difference(
        steps[0].held_out, steps[1].held_out, CORRECT[400:], DOMAIN[400:], seed=0, resamples=300
    )
    assert loss.within.high - loss.within.low > alone.high - alone.low


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="at least two"):
        measure_steps([step("a", 1.0)], QUESTIONS, DRAW)
    short = Step("b", np.zeros(400), np.zeros(3))
    with pytest.raises(WorkbenchError, match="'b' has scores of 400 training and 3 held-out"):
        measure_steps([step("a", 1.0), short], QUESTIONS, DRAW)
    with pytest.raises(WorkbenchError, match="a grade and a domain"):
        Questions(CORRECT, DOMAIN[:3], CORRECT, DOMAIN)
