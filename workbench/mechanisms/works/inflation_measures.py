"""Measure what a set of writers has of a model's inflated confidence, from confidences before and
after.

*Inflation* of an answer is its expected confidence minus the accuracy of the training questions:
what is said beyond what a model would say that knew its accuracy and nothing else. It is averaged
over wrong answers, where the claim is about it, and is positive for overconfidence.

- *writers'*: the share of the inflation that is gone with all writers ablated: what an ablation can
  remove at all. Above 1, wrong answers are then given less than the accuracy.
- *removed*: what the set's ablation removes of that: (as it is - set ablated) / (as it is - all
  writers ablated).
- *carried*: how far the set alone holds confidence up: (only the set left - all writers ablated) /
  (as it is - all writers ablated). Removed and carried are 1 for a set that does all of it alone.

All are ratios of means over questions, with bootstrap intervals over questions, for these sets. A
share of confidence is not a share of error: how far the number may be trusted is what the Brier
scores of the correction say, beside a Platt map of the model's own number that was fitted on the
same training questions as the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from workbench.arrays import Bools, Floats
from workbench.measure import Bootstrap, Estimate, auroc2_difference, bootstrap, platt
from workbench.measure.percentile import bounds

INFLATION, WRITERS, REMOVED, CARRIED = "inflation", "writers", "removed", "carried"
DEPTH, MASS = "depth", "mass"
LIKE, ANYWHERE = "like", "anywhere"
MINUS_LIKE = f"{REMOVED}_minus_{LIKE}"
BRIER_OWN, BRIER_SET, BRIER_PLATT = "brier_own", "brier_set", "brier_platt"
BRIER_GAIN, SET_MINUS_PLATT, AUROC2_GAIN = "brier_gain", "set_minus_platt", "auroc2_gain"


@dataclass(frozen=True, eq=False)
class Ablated:
    """The expected confidences of wrong answers, shares of certainty.

    Attributes:
        accuracy: of the training questions.
        own: [n] as they are.
        chosen: [n] with the set ablated.
        like, anywhere: [n, sets] with random sets: of its kinds and near its layers, and of any.
        nothing: [n] with all writers ablated.
        alone: [n] with all but the set ablated.
        alone_like: [n, sets] with all but a random set ablated.
        mass, mass_like: [n] probability of the scale's numbers with the set ablated, and with
            random ones on average.
    """

    accuracy: float
    own: Floats
    chosen: Floats
    like: Floats
    anywhere: Floats
    nothing: Floats
    alone: Floats
    alone_like: Floats
    mass: Floats
    mass_like: Floats


def measure_ablated(found: Ablated, draw: Bootstrap) -> dict[str, Estimate]:
    """Return what the set removes and carries; shares only where confidence is inflated and the
    writers together hold it up.
    """
    inflated = found.own - found.accuracy
    out = {
        INFLATION: bootstrap(np.mean, inflated, **draw.options),
        MASS: bootstrap(np.mean, found.mass, **draw.options),
        f"{MASS}_{LIKE}": bootstrap(np.mean, found.mass_like, **draw.options),
    }
    held = found.own - found.nothing
    if out[INFLATION].low <= 0 or bootstrap(np.mean, held, **draw.options).low <= 0:
        return out
    gone, like = found.own - found.chosen, found.own - found.like.mean(axis=1)
    parts = {
        REMOVED: gone,
        f"{REMOVED}_{LIKE}": like,
        f"{REMOVED}_{ANYWHERE}": found.own - found.anywhere.mean(axis=1),
        MINUS_LIKE: gone - like,
        CARRIED: found.alone - found.nothing,
        f"{CARRIED}_{LIKE}": found.alone_like.mean(axis=1) - found.nothing,
    }
    out[WRITERS] = bootstrap(_share, held, inflated, **draw.options)
    return out | {
        name: bootstrap(_share, part, held, **draw.options) for name, part in parts.items()
    }


def _share(part: Floats, whole: Floats) -> float:
    return float(part.mean() / whole.mean())


def measure_depth(
    scores: Floats, layers: Sequence[int], size: int, draw: Bootstrap
) -> dict[str, Estimate]:
    """Return the mean depth of the ``size`` writers of largest mean ``scores`` [questions, writers]
    (0 for the first of the model's layers, 1 for its last), with an interval over questions, each
    resample choosing anew; and that of all writers.

    Args:
        layers: [writers] of each.
    """
    depth = np.asarray(layers, dtype=np.float64) / max(1, max(layers))

    def chosen(rows: Floats) -> float:
        return float(depth[np.argsort(-rows.mean(axis=0), kind="stable")[:size]].mean())

    rng, n = np.random.default_rng(draw.seed), len(scores)
    each = np.array([chosen(scores[rng.integers(0, n, n)]) for _ in range(draw.resamples)])
    low, high = bounds(chosen(scores), each, draw.level, n)
    every = float(depth.mean())
    return {
        DEPTH: Estimate(chosen(scores), float(low), float(high), n),
        f"{DEPTH}_all": Estimate(every, every, every, len(depth)),
    }


@dataclass(frozen=True, eq=False)
class Corrected:
    """Expected confidences of right and wrong answers as they are and with the set ablated, of the
    training questions on which map and set were chosen and of held-out ones.

    Attributes:
        train_own, train_correct: [m].
        own, chosen, correct, domain: [n] held out.
    """

    train_own: Floats
    train_correct: Bools
    own: Floats
    chosen: Floats
    correct: Bools
    domain: np.ndarray


def measure_correction(found: Corrected, draw: Bootstrap) -> dict[str, Estimate]:
    """Return Brier scores of the number as it is, with the set ablated, and of the Platt map of the
    number as it is, with paired differences; lower scores are better.
    """
    truth = found.correct.astype(np.float64)
    mapped = platt(found.train_own, found.train_correct)(found.own)
    own, chosen, map_ = ((p - truth) ** 2 for p in (found.own, found.chosen, mapped))
    return {
        BRIER_OWN: bootstrap(np.mean, own, **draw.options),
        BRIER_SET: bootstrap(np.mean, chosen, **draw.options),
        BRIER_PLATT: bootstrap(np.mean, map_, **draw.options),
        BRIER_GAIN: bootstrap(np.mean, own - chosen, **draw.options),
        SET_MINUS_PLATT: bootstrap(np.mean, chosen - map_, **draw.options),
        AUROC2_GAIN: auroc2_difference(
            found.chosen, found.own, found.correct, found.domain, **draw.options
        ),
    }


WORLD_DRAW = Bootstrap(200, 0)
DEPTHS = 24


@dataclass(frozen=True)
class Law:
    """How a simulated world makes confidences.

    Attributes:
        removed, removed_like: shares of the inflation that the set writes, and random ones.
        mass: the probability that the scale keeps with the set ablated.
        depth: where the writers that matter lie.
        corrected: how much of the shift of log-odds that inflates confidence the set takes away.
    """

    removed: float = 0.8
    removed_like: float = 0.1
    mass: float = 1.0
    depth: float = 0.7
    corrected: float = 0.8


def simulate_removal(rng: np.random.Generator, questions: int, *, law: Law) -> dict[str, Estimate]:
    """Draw wrong answers' confidences, every answer with noise of its own, and measure them."""
    accuracy, own = 0.4, rng.beta(8, 2, questions)

    def after(share: float, sets: int) -> Floats:
        noise = 0.1 * rng.standard_normal((questions, sets))
        gone: Floats = own[:, None] - share * (own - accuracy)[:, None] + noise
        return gone

    one = np.ones(questions)
    left = np.clip(law.mass + 0.05 * rng.standard_normal(questions), 0, 1)
    chosen, like, low = after(law.removed, 1)[:, 0], after(law.removed_like, 5), after(1.0, 1)
    return measure_ablated(
        Ablated(accuracy, own, chosen, like, like, low[:, 0], chosen, like, left, one), WORLD_DRAW
    )


def simulate_depth(rng: np.random.Generator, questions: int, *, law: Law) -> dict[str, Estimate]:
    """Draw what ten writers a layer seem to add in each question, and measure where they lie."""
    layers = np.repeat(np.arange(DEPTHS), 10)
    near = np.exp(-(((layers / (DEPTHS - 1) - law.depth) / 0.15) ** 2))
    strength = near * rng.gamma(1.0, 1.0, len(layers))
    asked = min(questions, 400)  # more would only take time: the set is then the true one
    scores = strength + 3.0 * rng.standard_normal((asked, len(layers))) * (asked / questions) ** 0.5
    return measure_depth(scores, layers.tolist(), 12, WORLD_DRAW)


def simulate_correction(
    rng: np.random.Generator, questions: int, *, law: Law
) -> dict[str, Estimate]:
    """Draw answers whose log-odds are known with noise and inflated by two, and correct them."""
    total = 2 * questions
    known = 1.2 * rng.standard_normal(total) - 0.4
    correct = rng.random(total) < expit(known)
    own = expit(known + 2.0)
    chosen = expit(logit(own) - 2.0 * law.corrected + 0.05 * rng.standard_normal(total))
    train, test = slice(0, questions), slice(questions, total)
    domain = np.zeros(questions, dtype=np.int64)
    return measure_correction(
        Corrected(own[train], correct[train], own[test], chosen[test], correct[test], domain),
        WORLD_DRAW,
    )
