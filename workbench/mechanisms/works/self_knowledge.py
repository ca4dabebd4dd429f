"""State what is claimed of self-knowledge before an answer, measure it from scores, and plant it.

Three claims on one question, whether a model knows ahead of its answer that it will be right:

- 2509.10625: a linear probe of the states at the question's end predicts it;
- 2604.12373: a model's own states predict its success better than another model's states only on
  questions on which the two disagree, one right and one wrong;
- 2605.26242: classifiers that see the question's text alone do as well as the states.

Everything is AUROC2 within domain on held-out questions, with exact intervals
(:mod:`workbench.measure.delong`) and paired differences, by scores that were fitted, and choices
that were made, on training questions. Sign: a difference is positive where the model's own states
predict better. SMALL is the difference that counts as none.

Not shown: that a better classifier of the text would not do better still, or that the model uses
what its states hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.measure.delong import delong, delong_difference, delong_within
from workbench.measure.delong import delong_within_difference as within_difference
from workbench.measure.interval import Estimate
from workbench.measure.verdicts import HALF, SMALL
from workbench.mechanisms.outcomes import (
    Estimates,
    Outcome,
    conclude,
    surely_above,
    surely_below,
)
from workbench.mechanisms.work import Claim, PlantedWorld, Published, Quantity, Work

AXIS, POOLED, MINUS, ON_DISAGREEMENTS = (
    "AUROC2 within domain",
    "AUROC2 pooled",
    "AUROC2 within domain, difference",
    "AUROC2 on disagreements",
)
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
    SHUFFLED: "states at the question's end, probe of shuffled grades",
}
BEST_INPUT, DISAGREE = "best_input", "disagreement"
FEWEST_DISAGREEMENTS = 20
"""Disagreements below which nothing is measured on them."""


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores of held-out questions, higher for surer.

    Attributes:
        correct: [n] whether the model's answer is right.
        domain: [n] domains.
        of: by name among LABELS, scores [n].
        best_input: the one of INPUTS that did best on training questions, out of fold.
        other_correct: [n] whether another model's answer is right; None without another model.
    """

    correct: Bools
    domain: np.ndarray
    of: Mapping[str, Floats]
    best_input: str
    other_correct: Bools | None = field(default=None)


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
    if OTHER in scores.of and scores.other_correct is not None:
        other = scores.of[OTHER]
        found["self_minus_other"] = within_difference(own, other, correct, domain)
        apart = scores.other_correct != correct
        found["disagreements"] = _share(apart)
        if apart.sum() >= FEWEST_DISAGREEMENTS:
            own, other, correct, domain = own[apart], other[apart], correct[apart], domain[apart]
            found[f"{QUESTION_END}_{DISAGREE}"] = delong_within(own, correct, domain)
            found[f"{OTHER}_{DISAGREE}"] = delong_within(other, correct, domain)
            found[f"self_minus_other_{DISAGREE}"] = within_difference(own, other, correct, domain)
            found[f"self_minus_other_{DISAGREE}_pooled"] = delong_difference(
                own, other, correct
            ).difference
    return found


def _share(chosen: Bools) -> Estimate:
    from workbench.measure import wilson_interval

    low, high = wilson_interval(np.float64(chosen.sum()), np.int64(len(chosen)))
    return Estimate(float(chosen.mean()), float(low), float(high), len(chosen))


def decide_question_alone(found: Estimates) -> Outcome:
    """Decide whether the question alone predicts success."""
    little = surely_below(found[QUESTION_END], HALF + SMALL)
    confirmed = surely_above(found[QUESTION_END], HALF) and not little
    return conclude(confirmed=confirmed, contradicted=little)


def decide_only_in_disagreement(found: Estimates) -> Outcome:
    """Decide whether a model's states beat another's only where the two disagree."""
    everywhere, apart = found["self_minus_other"], found[f"self_minus_other_{DISAGREE}"]
    contradicted = surely_above(everywhere, SMALL) or surely_below(apart, SMALL)
    confirmed = surely_below(everywhere, SMALL) and surely_above(apart, 0.0)
    return conclude(confirmed=confirmed and not contradicted, contradicted=contradicted)


def decide_input_only(found: Estimates) -> Outcome:
    """Decide whether a classifier of the text does as well as the states."""
    as_well = surely_below(found["states_minus_input"], SMALL)
    tells = surely_above(found[BEST_INPUT], HALF)
    better = surely_above(found["states_minus_input"], 0.0)
    return conclude(confirmed=as_well and tells, contradicted=better and not as_well)


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

    of = {
        QUESTION_END: states(mine),
        OTHER: states(its),
        TFIDF: law.text_shared * shared + easy + rng.standard_normal(questions),
        SHUFFLED: rng.standard_normal(questions),
    }
    return measure_scores(Scores(right(mine), domain, of, TFIDF, right(its)))


def _worlds(true: bool, laws: Mapping[str, tuple[float, Law]]) -> tuple[PlantedWorld, ...]:
    return tuple(
        PlantedWorld(name, true, effect, partial(simulate, law=law))
        for name, (effect, law) in laws.items()
    )


CLAIMS = (
    Claim(
        "question_alone",
        "2509.10625",
        "The states at the end of the question, before a token is answered, predict whether the "
        "answer will be right.",
        f"confirmed where the question-end probe's AUROC2 within domain is surely above 1/2; "
        f"contradicted where it is surely below 1/2 + {SMALL:g}, which has precedence",
        decide_question_alone,
        (QUESTION_END,),
        (
            Published(
                "AUROC of a question-end probe fitted on TriviaQA, factual sets, 7B to 70B",
                "0.68 to 0.88",
                "results across sets, as a summary of the paper gives them",
            ),
        ),
        (
            *_worlds(
                True,
                {
                    f"states know {weight:g} of the difficulty": (
                        weight,
                        Law(states_shared=weight, states_own=weight),
                    )
                    for weight in (0.25, 0.5, 1.0)
                },
            ),
            *_worlds(False, {"states know nothing": (0.0, Law(text_shared=0.5))}),
        ),
    ),
    Claim(
        "only_in_disagreement",
        "2604.12373",
        "A model's own question states predict its success better than another model's only on "
        "questions on which the two disagree.",
        "own minus other model's AUROC2 within domain: confirmed where it is surely below "
        f"{SMALL:g} on all questions and surely above 0 on those that one model answers right and "
        f"the other wrong; contradicted where it is surely above {SMALL:g} on all, or surely below "
        f"{SMALL:g} on disagreements, which has precedence",
        decide_only_in_disagreement,
        ("self_minus_other", f"self_minus_other_{DISAGREE}"),
        None,
        (
            *_worlds(
                True,
                {
                    f"own part of the difficulty {own:g}, known": (
                        own,
                        Law(2.0, own, states_shared=1.0, states_own=own / 2),
                    )
                    for own in (0.4, 0.6)
                },
            ),
            *_worlds(
                False,
                {
                    "no own part is known": (0.0, Law(2.0, 0.6, states_shared=1.0)),
                    "better on all questions": (
                        1.5,
                        Law(1.0, 1.5, states_shared=0.5, states_own=1.5),
                    ),
                },
            ),
        ),
    ),
    Claim(
        "input_only",
        "2605.26242",
        "Classifiers that see the question's text alone predict success as well as the states.",
        "the question-end probe's AUROC2 within domain minus that of the classifier of the text "
        "that did best on training questions: confirmed where it is surely below "
        f"{SMALL:g} and the classifier's own is surely above 1/2; contradicted where it is surely "
        f"above 0 and not surely below {SMALL:g}",
        decide_input_only,
        ("states_minus_input", BEST_INPUT),
        None,
        (
            *_worlds(
                True,
                {
                    f"text knows as much, {weight:g}": (
                        weight,
                        Law(states_shared=weight, text_shared=weight),
                    )
                    for weight in (0.5, 1.0)
                },
            ),
            *_worlds(
                False,
                {
                    f"states know {own:g} of the own part besides": (
                        own,
                        Law(states_shared=0.5, states_own=own, text_shared=0.5),
                    )
                    for own in (0.5, 1.0)
                },
            ),
        ),
    ),
)

QUANTITIES = (
    *(Quantity(name, label, AXIS, control=name == SHUFFLED) for name, label in LABELS.items()),
    Quantity(BEST_INPUT, "best classifier of the text, chosen on training questions", AXIS),
    *(
        Quantity(f"{name}_pooled", label, POOLED, control=name == SHUFFLED)
        for name, label in LABELS.items()
    ),
    Quantity("after_minus_question", "after the answer minus at the question's end", MINUS),
    Quantity("states_minus_input", "states minus the best classifier of the text", MINUS),
    Quantity("self_minus_other", "own minus the other model's states, all questions", MINUS),
    Quantity(
        f"self_minus_other_{DISAGREE}", "own minus the other model's states, disagreements", MINUS
    ),
    Quantity(f"{QUESTION_END}_{DISAGREE}", "own states", ON_DISAGREEMENTS),
    Quantity(f"{OTHER}_{DISAGREE}", "the other model's states", ON_DISAGREEMENTS),
    Quantity(f"self_minus_other_{DISAGREE}_pooled", "own minus other, pooled", ON_DISAGREEMENTS),
    Quantity("disagreements", "questions that one model alone answers right", "share"),
)

WORK = Work(
    "self_knowledge",
    "Does the model know before it answers, better than another model or the question's text?",
    "A probe of the states at the question's end, one of the states after the answer, another "
    "model's probe on the same questions, and classifiers that see the question's text alone, all "
    "fitted on training questions and compared on held-out ones, paired.",
    QUANTITIES,
    CLAIMS,
    (
        "That a text classifier does as well does not show that the model has no self-knowledge, "
        "nor that a larger one has none.",
        "The other model's probe predicts this model's success from the other's states; both are "
        "linear.",
        "Disagreements are few: on some hundred questions they decide little.",
    ),
)
