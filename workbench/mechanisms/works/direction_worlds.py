"""Plant the angle between two directions, a loss by reasoning, and a gain by steering.

The first worlds draw states and fit both directions as the experiment does, with fewer halvings.
The others draw each question's numbers, not states: what is judged there is the rule on paired
means and correlations.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from workbench.arrays import Floats
from workbench.measure.bootstrap import bootstrap
from workbench.measure.interval import Estimate
from workbench.mechanisms.outcomes import Estimates
from workbench.mechanisms.work import PlantedWorld
from workbench.probe.split_half import Target, compare_directions

WIDTH, PENALTY, NOISE = 24, 30.0, 1.5
BLOCKS, HALVINGS = 10, 5
SAME = 0.9


def orthogonal_worlds(bound: float) -> tuple[PlantedWorld, ...]:
    """Return worlds with these cosines; the claim is false where one is above ``bound``."""
    apart = [
        PlantedWorld(
            f"a cosine of {cosine:g}",
            abs(cosine) < bound,
            cosine,
            partial(_directions, cosine=cosine),
        )
        for cosine in (0.0, 0.1, 0.6, 0.9)
    ]
    alike = partial(_directions, cosine=0.0, same=SAME)
    name = "orthogonal weights that read nearly the same"
    return (*apart, PlantedWorld(name, False, SAME, alike))


def contamination_worlds() -> tuple[PlantedWorld, ...]:
    """Return worlds in which reasoning takes a share of what the direction reads and raises the
    Brier score, and those in which it does neither, or only one.
    """
    planted = {
        "reasoning takes all and is worse": (True, 0.0, 0.10),
        "reasoning takes half and is worse": (True, 0.4, 0.05),
        "reasoning changes nothing": (False, 0.8, 0.0),
        "reasoning takes half and is better": (False, 0.4, -0.05),
    }
    return tuple(
        PlantedWorld(name, true, worse, partial(_reasoning, left=left, worse=worse))
        for name, (true, left, worse) in planted.items()
    )


def steering_worlds() -> tuple[PlantedWorld, ...]:
    """Return worlds in which steering lowers the Brier score by reading each question, those in
    which any push of that length does, and those in which none does.
    """
    planted = {
        "a gain of 0.05 by reading the question": (True, 0.05, 0.0),
        "a gain of 0.1 by reading the question": (True, 0.1, 0.0),
        "a gain of 0.1 by any question's reading": (False, 0.1, 0.1),
        "no gain": (False, 0.0, 0.0),
    }
    return tuple(
        PlantedWorld(name, true, gain, partial(_steering, gain=gain, others=others))
        for name, (true, gain, others) in planted.items()
    )


def _directions(
    rng: np.random.Generator, questions: int, *, cosine: float, same: float = 0.0
) -> Estimates:
    """Fit on as many training questions, and read as many held-out ones; ``same`` is the
    correlation of the first two features.
    """
    states = rng.standard_normal((2 * questions, WIDTH))
    states[:, 1] = same * states[:, 0] + np.sqrt(1 - same**2) * states[:, 1]
    other = cosine * states[:, 0] + np.sqrt(1 - cosine**2) * states[:, 1]
    noise = NOISE * rng.standard_normal((2, 2 * questions))
    right = (states[:, 0] + noise[0] > 0).astype(float)
    train, seed = np.arange(questions), int(rng.integers(2**31))
    first = Target(states[train], right[train] - right[train].mean(), PENALTY)
    second = Target(states[train], (other + noise[1])[train], PENALTY)
    found = compare_directions(first, second, halvings=HALVINGS, blocks=BLOCKS, seed=seed)
    read = [states[questions:] @ each.direction(train) for each in (first, second)]
    return {
        "corrected": found.corrected,
        "readings": bootstrap(correlation_of, *read, seed=seed, resamples=200),
        "reliability_accuracy": found.first,
        "reliability_confidence": found.second,
    }


def _reasoning(rng: np.random.Generator, questions: int, *, left: float, worse: float) -> Estimates:
    said = rng.standard_normal(questions)
    read, after = (
        correlation * said + np.sqrt(1 - correlation**2) * rng.standard_normal(questions)
        for correlation in (0.8, left)
    )
    worsened = worse + 0.25 * rng.standard_normal(questions)
    return {
        "reading_lost": lost_correlation(read, said, after, said, int(rng.integers(2**31)), 200),
        "reasoned_minus_direct": mean_of(worsened),
    }


def _steering(rng: np.random.Generator, questions: int, *, gain: float, others: float) -> Estimates:
    base = 0.25 * rng.standard_normal(questions) - gain
    permuted = 0.25 * rng.standard_normal(questions) - gain + others
    return {"steered_minus_base": mean_of(base), "steered_minus_permuted": mean_of(permuted)}


def mean_of(values: Floats) -> Estimate:
    """Return the mean of one value a question, with its normal interval."""
    half = 1.96 * float(values.std(ddof=1)) / np.sqrt(len(values))
    mean = float(values.mean())
    return Estimate(mean, mean - half, mean + half, len(values))


def lost_correlation(
    read: Floats, said: Floats, read_after: Floats, said_after: Floats, seed: int, resamples: int
) -> Estimate:
    """Return the correlation of ``read`` and ``said`` [n] minus that of the other two, paired over
    questions.
    """
    return bootstrap(_lost, read, said, read_after, said_after, seed=seed, resamples=resamples)


def _lost(read: Floats, said: Floats, read_after: Floats, said_after: Floats) -> float:
    return correlation_of(read, said) - correlation_of(read_after, said_after)


def correlation_of(a: Floats, b: Floats) -> float:
    """Return the correlation of two columns; NaN where one is constant."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(a, b)[0, 1])
