"""State what 2606.29490 claims of reported confidence and commitment, and decide it.

"Reported Confidence in LLMs Tracks Commitment More Than Correctness" (Kumaran 2026): a model
answers, reports a confidence, and is offered to commit to the answer or to abstain. Claimed are a
dissociation (reported confidence tells the choice, the answer's likelihood tells correctness), that
it stays in residuals, that the directions of choice and correctness in a state after the answer are
about orthogonal, and that steering along a direction of reported confidence moves abstention.

Here the choice is the two-way readout of :mod:`workbench.elicit.offers` after the answer, in both
orders of its options. Where the two orders do not rank questions alike the choice follows the words
and not the question, and nothing is decided. Sign: a difference is commitment minus correctness.

Not shown: the authors ask for the confidence before they offer the choice, and have far larger
models; a verdict is about this model and this wording.
"""

from __future__ import annotations

from functools import partial

from workbench.measure.verdicts import HALF, SMALL
from workbench.mechanisms.outcomes import (
    Estimates,
    Outcome,
    conclude,
    surely_above,
    surely_below,
    surely_within,
)
from workbench.mechanisms.work import Claim, PlantedWorld, Quantity, Work, abstract_words
from workbench.mechanisms.works.commitment_directions import StatesLaw, simulate_states
from workbench.mechanisms.works.commitment_pushes import PushLaw, simulate_pushes
from workbench.mechanisms.works.commitment_scores import (
    EXPECTED,
    LABELS,
    LIKELIHOOD,
    OUTCOMES,
    Law,
    simulate,
)

ARXIV = "2606.29490"
ORTHOGONAL = 0.3
"""The largest cosine, freed of noise, that counts as about orthogonal (an angle of 73 degrees)."""
AGREE = "order_agreement"


def _orders_agree(found: Estimates) -> bool:
    return surely_above(found[AGREE], 0.0)


def decide_commitment(found: Estimates) -> Outcome:
    """Decide whether reported confidence tells commitment better than correctness."""
    gap, agree = found["expected_commit_minus_correct"], _orders_agree(found)
    return conclude(
        confirmed=agree and surely_above(gap, 0.0), contradicted=agree and surely_below(gap, 0.0)
    )


def decide_likelihood(found: Estimates) -> Outcome:
    """Decide whether the likelihood tells correctness better than commitment."""
    gap, agree = found["likelihood_commit_minus_correct"], _orders_agree(found)
    return conclude(
        confirmed=agree and surely_below(gap, 0.0), contradicted=agree and surely_above(gap, 0.0)
    )


def decide_residual(found: Estimates) -> Outcome:
    """Decide whether what confidence tells beyond the likelihood is commitment alone."""
    commit, correct = (found[f"{EXPECTED}_{what}_residual"] for what in OUTCOMES)
    against = surely_above(correct, HALF + SMALL) or surely_below(commit, HALF + SMALL)
    agree = _orders_agree(found)
    confirmed = surely_above(commit, HALF) and surely_below(correct, HALF + SMALL)
    return conclude(confirmed=agree and confirmed and not against, contradicted=agree and against)


def decide_orthogonal(found: Estimates) -> Outcome:
    """Decide whether the directions of commitment and correctness are about orthogonal."""
    told = surely_above(found["commit_signal"], 0.0) and surely_above(found["correct_signal"], 0.0)
    angle = found["cosine_corrected"]
    apart = surely_above(angle, ORTHOGONAL) or surely_below(angle, -ORTHOGONAL)
    near = surely_within(angle, -ORTHOGONAL, ORTHOGONAL)
    return conclude(confirmed=told and near, contradicted=told and apart)


def decide_steering(found: Estimates) -> Outcome:
    """Decide whether a push along the confidence direction moves the choice."""
    own, beyond = found["steer_confidence"], found["steer_confidence_minus_random"]
    return conclude(
        confirmed=surely_above(own, 0.0) and surely_above(beyond, 0.0),
        contradicted=surely_below(own, 0.0) or surely_below(beyond, 0.0),
    )


def _world(name: str, true: bool, effect: float, law: Law) -> PlantedWorld:
    return PlantedWorld(name, true, effect, partial(simulate, law=law))


_READY = tuple(
    _world(
        f"confidence hears readiness {weight:g}",
        True,
        weight,
        Law(confidence_evidence=0.2, confidence_readiness=weight, commit_evidence=0.2),
    )
    for weight in (0.7, 1.5)
)
_EVIDENCE = _world(
    "confidence hears evidence, choice readiness", False, 1.0, Law(confidence_evidence=1.0)
)

CLAIMS = (
    Claim(
        "commitment",
        ARXIV,
        "Reported confidence tells whether the model commits to its answer better than whether "
        "the answer is right.",
        "AUROC2 within domain of expected confidence for commitment minus that for correctness: "
        "confirmed where surely above 0, contradicted where surely below 0; neither unless the two "
        "orders of the options surely rank questions alike",
        decide_commitment,
        ("expected_commit_minus_correct", AGREE),
        (abstract_words("decision against correctness, 4 models", "“substantially better”"),),
        (*_READY, _EVIDENCE),
    ),
    Claim(
        "likelihood",
        ARXIV,
        "The answer's likelihood tells whether it is right better than whether the model commits.",
        "the same difference of the answer's likelihood: confirmed where surely below 0, "
        "contradicted where surely above 0; neither unless the two orders surely rank questions "
        "alike",
        decide_likelihood,
        ("likelihood_commit_minus_correct", AGREE),
        (abstract_words("log-probabilities, 4 models", "“the opposite profile”"),),
        (
            _READY[0],
            _world(
                "the choice hears evidence alone",
                False,
                3.0,
                Law(commit_evidence=3.0, commit_readiness=0.0),
            ),
        ),
    ),
    Claim(
        "residual",
        ARXIV,
        "What reported confidence tells beyond the likelihood is commitment, and hardly "
        "correctness.",
        "residual AUROC2 within domain of expected confidence given the likelihood: confirmed "
        f"where surely above 1/2 for commitment and surely below 1/2 + {SMALL:g} for correctness; "
        f"contradicted where surely above 1/2 + {SMALL:g} for correctness or surely below it for "
        "commitment, which has precedence; neither unless the two orders surely rank questions "
        "alike",
        decide_residual,
        ("expected_commit_residual", "expected_correct_residual", AGREE),
        (abstract_words("correctness beyond log-probabilities, 4 models", "“near chance”"),),
        (*_READY, _EVIDENCE),
    ),
    Claim(
        "orthogonal",
        ARXIV,
        "In the state after the answer the directions of commitment and of correctness are about "
        "orthogonal.",
        f"cosine freed of noise: confirmed where surely between -{ORTHOGONAL:g} and "
        f"{ORTHOGONAL:g}, contradicted where surely outside; neither unless the states surely tell "
        "both",
        decide_orthogonal,
        ("cosine_corrected", "commit_signal", "correct_signal"),
        (abstract_words("the two directions, Gemma 3 and 4", "“approximately orthogonal”"),),
        (
            PlantedWorld(
                "orthogonal directions", True, 0.0, partial(simulate_states, law=StatesLaw(0.0))
            ),
            PlantedWorld(
                "directions at cosine 0.8", False, 0.8, partial(simulate_states, law=StatesLaw(0.8))
            ),
        ),
    ),
    Claim(
        "steering",
        ARXIV,
        "Pushing the states after the answer along the direction of reported confidence makes the "
        "model commit.",
        "change of the log-odds of committing, forth minus back: confirmed where it is surely "
        "above 0 and surely above the largest effect of the random directions of equal length; "
        "contradicted where it is surely below 0 or surely below that",
        decide_steering,
        ("steer_confidence", "steer_confidence_minus_random"),
        (abstract_words("steering, Gemma 3 and 4", "“causally shifted abstention”"),),
        (
            *(
                PlantedWorld(
                    f"moves the choice by {size:g}",
                    True,
                    size,
                    partial(simulate_pushes, law=PushLaw(size)),
                )
                for size in (0.5, 1.0)
            ),
            PlantedWorld(
                "a random push does more",
                False,
                -0.5,
                partial(simulate_pushes, law=PushLaw(0.1, random=0.6)),
            ),
        ),
    ),
)

AREA, GAP, UNIQUE, ANGLE, ODDS = (
    "AUROC2 within domain",
    "AUROC2 within domain, commitment minus correctness",
    "share of variance, unique",
    "cosine or share",
    "change, forth minus back (log-odds)",
)
_OF = {"commit": "of commitment", "correct": "of correctness"}
QUANTITIES = (
    *(
        Quantity(f"{name}_{what}", f"{label} {_OF[what]}", AREA)
        for name, label in LABELS.items()
        for what in OUTCOMES
    ),
    *(
        Quantity(f"{name}_{what}_residual", f"{LABELS[name]} {_OF[what]}, residual", AREA)
        for name in (EXPECTED, LIKELIHOOD)
        for what in OUTCOMES
    ),
    Quantity("shuffled_commit", "expected confidence of shuffled commitment", AREA, control=True),
    Quantity("expected_commit_minus_correct", LABELS[EXPECTED], GAP),
    Quantity("likelihood_commit_minus_correct", LABELS[LIKELIHOOD], GAP),
    Quantity("dissociation", "the first minus the second", GAP),
    *(
        Quantity(f"{name}_unique_{what}", f"{LABELS[name]} {_OF[what]}", UNIQUE)
        for name in (EXPECTED, LIKELIHOOD)
        for what in OUTCOMES
    ),
    Quantity(AGREE, "rank correlation of P(commit) in both orders, within domain", ANGLE),
    Quantity("p_commit", "mean P(commit)", ANGLE),
    Quantity("cosine", "directions of commitment and correctness", ANGLE),
    Quantity("cosine_corrected", "the same, freed of noise", ANGLE),
    Quantity("cosine_confidence", "directions of confidence and commitment, freed of noise", ANGLE),
    Quantity("commit_signal", "signal of the commitment direction", ANGLE),
    Quantity("correct_signal", "signal of the correctness direction", ANGLE),
    Quantity("cosine_shuffled", "directions of shuffled targets, and where 95 % lie", ANGLE, True),
    Quantity("steer_confidence", "along reported confidence", ODDS),
    Quantity("steer_correct", "along correctness", ODDS),
    Quantity("steer_random", "the largest of random directions", ODDS, control=True),
    Quantity("steer_nothing", "a push of nothing", ODDS, control=True),
    Quantity("steer_confidence_minus_random", "confidence minus the largest random", ODDS),
    Quantity("steer_p_commit", "P(commit) along reported confidence", "change of a share"),
    Quantity("steer_passes", "generated passes along reported confidence", "change of a share"),
    Quantity(
        "steer_passes_random",
        "generated passes, the larger of two random",
        "change of a share",
        True,
    ),
)

WORK = Work(
    "commitment",
    "Does reported confidence tell whether the model commits to its answer, or whether it is "
    "right?",
    "Held-out questions are answered, a confidence is read, and in another conversation the model "
    "is offered to give its answer or to pass, in both orders. AUROC2 of both outcomes by reported "
    "confidence and by the answer's likelihood, raw and residual; the angle between the directions "
    "of commitment and correctness in the state after the answer; pushes along them.",
    QUANTITIES,
    CLAIMS,
    (
        "The choice is offered after the answer without a confidence in between; the authors ask "
        "for the confidence first, so that their choice can be read off the number.",
        "A model that would hardly ever commit, or hardly ever pass, is said to commit above its "
        "median P(commit): what ranks its questions need not be what it would do.",
        "Where the two orders agree little the choice is mostly noise, which nothing tells: the "
        "likelihood then tells correctness better for that alone. Read the dissociation beside it.",
        "A choice that lies near 0 or 1 for every question moves in log-odds and is hardly seen in "
        "what is generated.",
        "Two noisy readings of one evidence each keep a residual; a residual at 1/2 says more than "
        "one above it.",
        "The figures of the paper were not at hand, so that none stand beside these.",
    ),
)
