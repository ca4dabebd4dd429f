"""Measure what scores of held-out questions tell of a model's success, and simulate such scores.

Everything is AUROC2, within domain or pooled, with exact intervals and paired differences
(:mod:`workbench.measure.delong`). Sign: a difference is positive where the model's own states
predict better. :mod:`.self_knowledge` says what the numbers are for. They do not show that the
model uses what its states hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.measure import auroc2, auroc2_within, wilson_interval
from workbench.measure.delong import delong, delong_difference, delong_within
from workbench.measure.delong import delong_within_difference as within_difference
from workbench.measure.interval import Estimate, summarise_null
from workbench.mechanisms.outcomes import Estimates

QUESTION_END, AFTER_ANSWER, SHUFFLED, OTHER = (
    "question_end",
    "after_answer",
    "shuffled",
    "other_model",
)
EMBEDDING, TFIDF, SCALARS, DOMAIN = INPUTS = (
    "text_embedding",
    "tfidf",
    "scalars",
    "domain_base_rate",
)
LABELS: Mapping[str, str] = {
    QUESTION_END: "states at the question's end",
    AFTER_ANSWER: "states after the answer",
    OTHER: "another model's states at the question's end",
    EMBEDDING: "text embedding of the question",
    TFIDF: "words of the question (TF-IDF)",
    SCALARS: "length and other counts of the question",
    DOMAIN: "base rate of the question's domain",
    SHUFFLED: "probes of shuffled grades there, and where 95 % of them lie",
}
BEST_INPUT, DISAGREE = "best_input", "disagreement"
FEWEST_ALONE = 10
"""Questions that each model must answer right alone, or nothing is measured on disagreements."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two models on the held-out questions that both were asked, [n] each.

    Attributes:
        own, other: scores of the model's own states and of the other model's, both fitted on the
            same training questions to tell whether the model's answer is right.
        correct, other_correct: whether the model's answer is right, and the other's.
        domain: domains.
    """

    own: Floats
    other: Floats
    correct: Bools
    other_correct: Bools
    domain: np.ndarray


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of held-out questions, higher for surer.

    Attributes:
        correct: [n] whether the model's answer is right.
        domain: [n] domains.
        of: by name among LABELS, scores [n].
        best_input: the one of INPUTS that did best on training questions, out of fold.
        pair: the same beside another model; None without one.
        shuffled: [shuffles, n] scores of question-end probes of shuffled grades.
    """

    correct: Bools
    domain: np.ndarray
    of: Mapping[str, Floats]
    best_input: str
    pair: Pair | None = None
    shuffled: Floats | None = None


def measure_scores(scores: Scores) -> dict[str, Estimate]:
    """Return every quantity that the ``scores`` give."""
    found: dict[str, Estimate] = {}
    correct, domain, own = scores.correct, scores.domain, scores.of[QUESTION_END]
    for name, values in scores.of.items():
        found[name] = delong_within(values, correct, domain)
        found[f"{name}_pooled"] = delong(values, correct)
    best = scores.of[scores.best_input]
    found[BEST_INPUT] = found[scores.best_input]
    found["states_minus_input"] = within_difference(own, best, correct, domain)
    if AFTER_ANSWER in scores.of:
        found["after_minus_question"] = within_difference(
            scores.of[AFTER_ANSWER], own, correct, domain
        )
    if scores.shuffled is not None:
        found[SHUFFLED] = summarise_null(
            [auroc2_within(each, correct, domain) for each in scores.shuffled], len(correct)
        )
        found[f"{SHUFFLED}_pooled"] = summarise_null(
            [auroc2(each, correct) for each in scores.shuffled], len(correct)
        )
    return found if scores.pair is None else found | measure_pair(scores.pair)


def measure_pair(pair: Pair) -> dict[str, Estimate]:
    """Return what is measured of two models, on all their questions and on those that one of them
    alone answers right, where there are enough.
    """
    own, other, correct, domain = pair.own, pair.other, pair.correct, pair.domain
    apart = pair.other_correct != correct
    found = {
        OTHER: delong_within(other, correct, domain),
        f"{OTHER}_pooled": delong(other, correct),
        "self_minus_other": within_difference(own, other, correct, domain),
        "disagreements": _share(apart),
    }
    alone = (apart & correct).sum(), (apart & pair.other_correct).sum()
    if min(alone) >= FEWEST_ALONE:
        own, other, correct, domain = own[apart], other[apart], correct[apart], domain[apart]
        found |= {
            f"{QUESTION_END}_{DISAGREE}": delong_within(own, correct, domain),
            f"{OTHER}_{DISAGREE}": delong_within(other, correct, domain),
            f"self_minus_other_{DISAGREE}": within_difference(own, other, correct, domain),
            f"self_minus_other_{DISAGREE}_pooled": delong_difference(
                own, other, correct
            ).difference,
        }
    return found


def _share(chosen: Bools) -> Estimate:
    low, high = wilson_interval(np.float64(chosen.sum()), np.int64(len(chosen)))
    return Estimate(float(chosen.mean()), float(low), float(high), len(chosen))


@dataclass(frozen=True)
class Law:
    """How a simulated world makes grades and scores.

    A question has a difficulty that both models share, and one of its own for each model, all
    standard normal. An answer is right where ``shared`` difficulty + ``own`` difficulty + noise is
    above the domain's threshold; a score is the weights it has on them + noise.
    """

    shared: float = 1.0
    own: float = 1.0
    states_shared: float = 0.0
    states_own: float = 0.0
    text_shared: float = 0.0


DOMAINS = 4


def simulate(rng: np.random.Generator, questions: int, *, law: Law) -> Estimates:
    """Draw the scores of one world and measure them."""
    domain = np.resize(np.arange(DOMAINS), questions)
    easy = np.linspace(-0.5, 0.5, DOMAINS)[domain]
    shared, mine, its = rng.standard_normal((3, questions))

    def right(own: Floats) -> Bools:
        noise = rng.standard_normal(questions)
        return law.shared * shared + law.own * own + noise + easy > 0

    def states(own: Floats) -> Floats:
        known = law.states_shared * shared + law.states_own * own + easy
        return known + rng.standard_normal(questions)

    correct, own, other = right(mine), states(mine), states(its)
    of = {
        QUESTION_END: own,
        EMBEDDING: law.text_shared * shared + easy + rng.standard_normal(questions),
    }
    pair = Pair(own, other, correct, right(its), domain)
    return measure_scores(Scores(correct, domain, of, EMBEDDING, pair))
