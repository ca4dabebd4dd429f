"""Measure what the claims of :mod:`.gathered_confidence` read, and simulate worlds for them.

Sign: a share lost is positive where a cut takes away what tells questions apart; a difference is
positive where the claim's own tokens do more than the others. Shares of variance are those of
:mod:`workbench.measure.variance_partition`. The numbers do not show which other tokens do the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from workbench.arrays import Floats
from workbench.measure.bootstrap import Bootstrap
from workbench.measure.interval import Estimate
from workbench.measure.variance_partition import variance_partition
from workbench.mechanisms.outcomes import Estimates
from workbench.mechanisms.works.confidence_pairs import (
    ConfidencePairs,
    PairLaw,
    simulate_pairs,
)

CONTROL = "_control"
AFTER_ANSWER, NUMBER_AFTER, NUMBER_ANSWER = "after_answer", "number_after", "number_answer"
EDGES: Mapping[str, str] = {
    AFTER_ANSWER: "token after it, off the answer",
    "readers_answer": "all later tokens, off the answer",
    "readers_after": "all later, off the token after it",
    NUMBER_ANSWER: "number, off the answer",
    NUMBER_AFTER: "number, off the token after it",
    "number_question": "number, off the question",
}
"""What is cut off what, in all layers; each has a control with as many other tokens. *The token
after it* is the first one after the answer, and *later* is after that.
"""
LATE, RANDOM_LAYERS = "number_after_late", "number_after_random_layers"
NOISED, NOISED_OTHER = "noised_after", "noised_other"
SWAP_AFTER, SWAP_ANSWER, SWAP_OTHER, SWAP_EARLY, SWAP_MIDDLE = SWAPS = (
    "swap_after",
    "swap_answer",
    "swap_other",
    "swap_number_early",
    "swap_number_middle",
)
CUTS = (
    *(name for edge in EDGES for name in (edge, edge + CONTROL)),
    LATE,
    RANDOM_LAYERS,
    NOISED,
    NOISED_OTHER,
)
DIFFERENCES: Mapping[str, tuple[str, str]] = {
    "after_answer_minus_control": (AFTER_ANSWER, AFTER_ANSWER + CONTROL),
    "number_after_minus_control": (NUMBER_AFTER, NUMBER_AFTER + CONTROL),
    "number_after_minus_answer": (NUMBER_AFTER, NUMBER_ANSWER),
    "late_minus_random_layers": (LATE, RANDOM_LAYERS),
    "noised_minus_other": (NOISED, NOISED_OTHER),
    "swap_after_minus_other": (SWAP_AFTER, SWAP_OTHER),
    "swap_number_middle_minus_early": (SWAP_MIDDLE, SWAP_EARLY),
}
STATES, LIKELIHOOD, DOMAIN, SHUFFLED = "states", "likelihood", "domain", "shuffled"
UNIQUE = "states_unique"
VARIANCE: Mapping[str, str] = {
    "likelihood_alone": "the answer's likelihood alone",
    "states_alone": "states at the token after it alone",
    "likelihood_unique": "the likelihood, beside these states",
    UNIQUE: "these states, beside the likelihood",
    "states_beside_domain": "these states, beside likelihood and domain",
    "shuffled_unique": "fitted to shuffled confidences, beside it",
}


def measure_pairs(pairs: ConfidencePairs) -> dict[str, Estimate]:
    """Return the quantities that the readings of ``pairs`` give."""
    amounts = {name: pairs.lost(name) for name in pairs.cut}
    amounts |= {name: pairs.carried(name) for name in pairs.swapped}
    found = {name: pairs.share(amount) for name, amount in amounts.items()}
    for name, (more, less) in DIFFERENCES.items():
        if more in amounts and less in amounts:
            found[name] = pairs.share(amounts[more] - amounts[less])
    return found


def measure_variance(
    confidence: Floats, predictors: Mapping[str, Floats], draw: Bootstrap
) -> dict[str, Estimate]:
    """Return how the variance of the stated ``confidence`` [n] is shared out.

    ``predictors``: the answer's LIKELIHOOD, what STATES after the answer predict, and maybe the
    same by SHUFFLED fits, and the DOMAIN, a column each.
    """
    two = {name: predictors[name] for name in (LIKELIHOOD, STATES)}
    found = variance_partition(confidence, two, draw).parts
    shares = {
        "likelihood_alone": found[LIKELIHOOD].alone,
        "states_alone": found[STATES].alone,
        "likelihood_unique": found[LIKELIHOOD].unique,
        UNIQUE: found[STATES].unique,
    }
    if DOMAIN in predictors:
        three = two | {DOMAIN: predictors[DOMAIN]}
        shares["states_beside_domain"] = (
            variance_partition(confidence, three, draw).parts[STATES].unique
        )
    if SHUFFLED in predictors:
        null = {LIKELIHOOD: predictors[LIKELIHOOD], SHUFFLED: predictors[SHUFFLED]}
        shares["shuffled_unique"] = (
            variance_partition(confidence, null, draw).parts[SHUFFLED].unique
        )
    return shares


def pair_world(rng: np.random.Generator, questions: int, *, law: PairLaw) -> Estimates:
    """Draw one world's pairs by ``law`` and measure them."""
    return measure_pairs(simulate_pairs(rng, questions, law, CUTS, SWAPS))


WORLD_DRAW = Bootstrap(resamples=200, seed=0)


def variance_world(rng: np.random.Generator, questions: int, *, own: float) -> Estimates:
    """Draw one world in which states hold ``own`` of the confidence beside the likelihood, and
    share out its variance.
    """
    likelihood, kept, noise = rng.standard_normal((3, questions))
    confidence = 0.5 * likelihood + own * kept + noise
    states = 0.5 * likelihood + kept + 0.5 * rng.standard_normal(questions)
    return measure_variance(confidence, {LIKELIHOOD: likelihood, STATES: states}, WORLD_DRAW)
