"""Measure what steering does to the choice: pushes along the confidence direction beside pushes
along that of correctness and along random directions of the same length.

A dose is a push of one length forth minus the same push back, in log-odds of committing, so that a
model near 0 or 1 is measured as well as one in the middle; beside it stand the change of P(commit)
and of the share of generated texts that pass. Random directions are of two kinds: even in all
directions, and drawn with the states' own covariance. The effect is compared with the largest that
any of them has, whatever its sign.

Sign: positive where a push towards more confidence makes the model commit. The numbers do not show
that the model uses the direction by itself, only that what lies along it moves the choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.arrays import Floats
from workbench.measure import Bootstrap, bootstrap
from workbench.measure.interval import Estimate
from workbench.mechanisms.outcomes import Estimates


@dataclass(frozen=True, eq=False)
class Pushed:
    """What pushes did to each question: forth minus back, at the longest length.

    Attributes:
        confidence, correct: [n] changes of the log-odds of committing along the two directions.
        random: [n, directions] along random ones.
        nothing: [n] change under a push of length zero: what arithmetic alone does.
        p_commit: [n] change of P(commit) along the confidence direction.
        passes: [n] change of whether a pass is generated there, -1 to 1.
        random_passes: [n, directions] the same along random ones.
    """

    confidence: Floats
    correct: Floats
    random: Floats
    nothing: Floats
    p_commit: Floats
    passes: Floats
    random_passes: Floats


def measure_pushes(pushed: Pushed, draw: Bootstrap) -> dict[str, Estimate]:
    """Return every quantity of the pushes."""
    means = {
        "steer_confidence": pushed.confidence,
        "steer_correct": pushed.correct,
        "steer_nothing": pushed.nothing,
        "steer_p_commit": pushed.p_commit,
        "steer_passes": pushed.passes,
    }
    found = {name: bootstrap(np.mean, values, **draw.options) for name, values in means.items()}
    found["steer_passes_random"] = bootstrap(_largest, pushed.random_passes, **draw.options)
    found["steer_random"] = bootstrap(_largest, pushed.random, **draw.options)
    found["steer_confidence_minus_random"] = bootstrap(
        lambda own, others: float(np.mean(own)) - _largest(others),
        pushed.confidence,
        pushed.random,
        **draw.options,
    )
    return found


def _largest(changes: Floats) -> float:
    return float(np.abs(changes.mean(axis=0)).max())


@dataclass(frozen=True)
class PushLaw:
    """How a simulated world answers pushes: mean effects of the confidence direction and, either
    way, of ``DIRECTIONS`` random ones; questions differ by a standard deviation of one.
    """

    confidence: float
    random: float = 0.1


DIRECTIONS = 6
DRAWS = 200


def simulate_pushes(rng: np.random.Generator, questions: int, *, law: PushLaw) -> Estimates:
    """Draw the pushes of one world and measure them."""
    common = rng.standard_normal(questions)

    def changes(mean: float) -> Floats:
        return np.asarray(mean + 0.7 * common + 0.7 * rng.standard_normal(questions))

    signs = np.resize([1.0, -1.0], DIRECTIONS)
    random = np.stack([changes(sign * law.random) for sign in signs], axis=1)
    nothing = np.zeros(questions)
    return measure_pushes(
        Pushed(changes(law.confidence), changes(0.0), random, nothing, nothing, nothing, random),
        Bootstrap(DRAWS, 0),
    )
