"""State what is claimed of self-knowledge before an answer, and decide it by scores of questions.

Three claims on one question, whether a model knows ahead of its answer that it will be right:

- 2509.10625: a linear probe of the states at the question's end predicts it;
- 2604.12373: a model's own states predict its success better than another model's states only on
  questions on which the two disagree, one right and one wrong;
- 2605.26242: classifiers that see the question's text alone do as well as the states.

Everything is AUROC2 within domain on held-out questions, with exact intervals
(:mod:`workbench.measure.delong`) and paired differences, by scores that were fitted, and choices
that were made, on training questions. Sign: a difference is positive where the model's own states
predict better. SMALL is the difference that counts as none.

The rule of the third was changed after numbers of the default model were seen: verdicts on those
questions are no tests of it.

Not shown: that a better classifier of the text would not do better still, or that the model uses
what its states hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from workbench.measure.verdicts import HALF, SMALL
from workbench.mechanisms.outcomes import (
    Estimates,
    Outcome,
    conclude,
    surely_above,
    surely_below,
)
from workbench.mechanisms.work import (
    NO_TEST,
    Claim,
    PlantedWorld,
    Published,
    Quantity,
    Work,
    abstract_words,
)
from workbench.mechanisms.works.question_scores import (
    BEST_INPUT,
    DISAGREE,
    EMBEDDING,
    LABELS,
    OTHER,
    QUESTION_END,
    SHUFFLED,
    Law,
    simulate,
)

AXIS, POOLED, MINUS, ON_DISAGREEMENTS = (
    "AUROC2 within domain",
    "AUROC2 pooled",
    "AUROC2 within domain, difference",
    "AUROC2 on disagreements",
)


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
        (
            abstract_words("all questions, models of 7B to 9B", "“no advantage”"),
            abstract_words("disagreements, factual sets", "“consistently outperform”"),
            abstract_words("disagreements, mathematics", "“no advantage”"),
        ),
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
        f"above 0 and not surely below {SMALL:g}; a text embedding must be among the classifiers",
        decide_input_only,
        ("states_minus_input", BEST_INPUT, EMBEDDING),
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
        f"the rule was changed after those of the default model were seen; {NO_TEST}",
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
        "Disagreements are few, and where one model is rarely right alone nothing is measured on "
        "them.",
        "The text of 2605.26242 was not at hand; its claim is tested as others report it.",
    ),
)
