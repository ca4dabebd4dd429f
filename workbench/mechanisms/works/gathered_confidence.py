"""State where 2603.17839 says the stated confidence is made, and decide it on pairs of questions.

Three claims: confidence is *gathered* from the answer at the first token after it; it is
*retrieved* from there where the number is written; and what is kept there holds more than the
answer's likelihood. The first two are tested by cutting what tokens attend to and by swapping
states between questions (:mod:`.confidence_pairs`), each beside as many other tokens; the third by
sharing out the variance of the stated confidence (:mod:`workbench.measure.variance_partition`).

Sign: a share lost is positive where the cut takes away what tells questions apart; a difference is
positive where the claim's own tokens do more than the others. LITTLE and LITTLE_VARIANCE are what
counts as none.

Not shown: that a token which carries confidence is read by nothing else, or that small models do
what the paper's of 7B to 27B do.
"""

from __future__ import annotations

from functools import partial

from workbench.mechanisms.outcomes import (
    Estimates,
    Outcome,
    conclude,
    surely_above,
    surely_below,
)
from workbench.mechanisms.work import Claim, PlantedWorld, Quantity, Work, abstract_words
from workbench.mechanisms.works.confidence_pairs import PairLaw
from workbench.mechanisms.works.gathered_measures import (
    AFTER_ANSWER,
    CONTROL,
    EDGES,
    LATE,
    NOISED,
    NOISED_OTHER,
    NUMBER_AFTER,
    NUMBER_ANSWER,
    RANDOM_LAYERS,
    SWAP_AFTER,
    SWAP_ANSWER,
    SWAP_EARLY,
    SWAP_MIDDLE,
    SWAP_OTHER,
    UNIQUE,
    VARIANCE,
    pair_world,
    variance_world,
)

LITTLE, LITTLE_VARIANCE = 0.1, 0.02


def decide_gathered(found: Estimates) -> Outcome:
    """Decide whether confidence is gathered at the first token after the answer."""
    little = surely_below(found[AFTER_ANSWER], LITTLE) or surely_below(found[SWAP_AFTER], LITTLE)
    more = ("after_answer_minus_control", "swap_after_minus_other")
    confirmed = all(surely_above(found[name], 0.0) for name in more)
    return conclude(confirmed=confirmed and not little, contradicted=little)


def decide_retrieved(found: Estimates) -> Outcome:
    """Decide whether the number retrieves confidence from there, and not from the answer."""
    little = surely_below(found[NUMBER_AFTER], LITTLE)
    less = surely_below(found["number_after_minus_answer"], 0.0)
    more = ("number_after_minus_control", "number_after_minus_answer")
    confirmed = all(surely_above(found[name], 0.0) for name in more)
    contradicted = little or less
    return conclude(confirmed=confirmed and not contradicted, contradicted=contradicted)


def decide_beyond_likelihood(found: Estimates) -> Outcome:
    """Decide whether what is kept there explains more than the answer's likelihood."""
    little = surely_below(found[UNIQUE], LITTLE_VARIANCE)
    confirmed = surely_above(found[UNIQUE], 0.0)
    return conclude(confirmed=confirmed and not little, contradicted=little)


def _worlds(*worlds: tuple[str, bool, float, PairLaw]) -> tuple[PlantedWorld, ...]:
    return tuple(
        PlantedWorld(name, true, effect, partial(pair_world, law=law))
        for name, true, effect, law in worlds
    )


CLAIMS = (
    Claim(
        "gathered",
        "2603.17839",
        "The stated confidence is gathered from the answer at the first token after it.",
        "contradicted where cutting that token off the answer surely loses less than "
        f"{LITTLE:g} of what tells a pair of questions apart, or its state swapped between them "
        f"surely carries less than {LITTLE:g}; else confirmed where the cut surely loses more than "
        "cutting it off as many other tokens, and the swap surely carries more than that of a "
        "random other token",
        decide_gathered,
        (AFTER_ANSWER, "after_answer_minus_control", SWAP_AFTER, "swap_after_minus_other"),
        (
            abstract_words(
                "attention blocking, Gemma 3 27B, Qwen 2.5 7B",
                "“gathered from answer tokens, cached at the first post-answer position”",
            ),
        ),
        _worlds(
            *(
                (
                    f"{share:g} of it passes that token",
                    True,
                    share,
                    PairLaw({AFTER_ANSWER: share}, {SWAP_AFTER: share}),
                )
                for share in (0.3, 0.6)
            ),
            ("nothing passes it", False, 0.0, PairLaw()),
            (
                "it holds confidence that it has not from the answer",
                False,
                0.6,
                PairLaw({}, {SWAP_AFTER: 0.6}),
            ),
        ),
    ),
    Claim(
        "retrieved",
        "2603.17839",
        "Where the number is written, confidence is retrieved from the first token after the "
        "answer, not from the answer.",
        "contradicted where cutting the number off the first token after the answer surely loses "
        f"less than {LITTLE:g} of what tells a pair apart, or surely less than cutting it off the "
        "answer; else confirmed where it surely loses more than both that and cutting it off a "
        "random other token",
        decide_retrieved,
        (NUMBER_AFTER, "number_after_minus_control", "number_after_minus_answer"),
        (
            abstract_words(
                "attention blocking, Gemma 3 27B, Qwen 2.5 7B", "“then retrieved for output”"
            ),
        ),
        _worlds(
            *(
                (
                    f"the number reads {share:g} of it there",
                    True,
                    share,
                    PairLaw({NUMBER_AFTER: share}),
                )
                for share in (0.3, 0.6)
            ),
            ("the number reads nothing there", False, 0.0, PairLaw()),
            ("it reads the answer", False, 0.5, PairLaw({NUMBER_ANSWER: 0.5, NUMBER_AFTER: 0.2})),
        ),
    ),
    Claim(
        "beyond_likelihood",
        "2603.17839",
        "What is kept at the first token after the answer explains the stated confidence beyond "
        "the likelihood of the answer.",
        "the share of the variance of the stated confidence that only the states' prediction, "
        "fitted on training questions, explains beside the answer's mean log-probability: "
        f"contradicted where it is surely below {LITTLE_VARIANCE:g}, else confirmed where it is "
        "surely above 0",
        decide_beyond_likelihood,
        (UNIQUE,),
        (
            abstract_words(
                "variance of verbal confidence beyond token log-probabilities, models of 7B to 27B",
                "“substantial”",
            ),
        ),
        (
            *(
                PlantedWorld(
                    f"states hold {own:g} of their own",
                    True,
                    own,
                    partial(variance_world, own=own),
                )
                for own in (0.5, 1.0)
            ),
            PlantedWorld(
                "states hold the likelihood alone", False, 0.0, partial(variance_world, own=0.0)
            ),
        ),
    ),
)

LOST, CARRIED, MINUS, EXPLAINED = (
    "share of a pair's difference lost",
    "share of a pair's difference carried over",
    "difference of shares",
    "share of the variance of stated confidence",
)
QUANTITIES = (
    *(
        quantity
        for name, label in EDGES.items()
        for quantity in (
            Quantity(name, label, LOST),
            Quantity(name + CONTROL, f"{label}, others", LOST, control=True),
        )
    ),
    Quantity(LATE, "number, off the token after it, late layers", LOST),
    Quantity(RANDOM_LAYERS, "the same, random layers", LOST, control=True),
    Quantity(NOISED, "noise at the token after it", LOST),
    Quantity(NOISED_OTHER, "as much noise at a random other token", LOST, control=True),
    Quantity(SWAP_AFTER, "the token after it, all layers", CARRIED),
    Quantity(SWAP_ANSWER, "the answer's tokens, all layers", CARRIED),
    Quantity(SWAP_OTHER, "a random later token, all layers", CARRIED, control=True),
    Quantity(SWAP_EARLY, "number's position, early layers", CARRIED),
    Quantity(SWAP_MIDDLE, "number's position, middle layers", CARRIED),
    Quantity("after_answer_minus_control", "that token off the answer − off others", MINUS),
    Quantity("number_after_minus_control", "number off that token − off another", MINUS),
    Quantity("number_after_minus_answer", "number off that token − off the answer", MINUS),
    Quantity("late_minus_random_layers", "late third − random layers", MINUS),
    Quantity("noised_minus_other", "noise at that token − at another", MINUS),
    Quantity("swap_after_minus_other", "swap of that token − of another", MINUS),
    Quantity("swap_number_middle_minus_early", "swap at the number, middle − early", MINUS),
    *(
        Quantity(name, label, EXPLAINED, control=name == "shuffled_unique")
        for name, label in VARIANCE.items()
    ),
)

WORK = Work(
    "gathered_confidence",
    "Is confidence gathered after the answer and retrieved at the number?",
    "Questions are paired half of all ranks apart in stated confidence. What tokens may attend to "
    "is cut in all layers and in windows of them, states are noised, and swapped between the "
    "questions of a pair, each beside as many other tokens; what remains, or is carried over, of "
    "the pair's difference in expected confidence is measured. The token after it is the first one "
    "after the answer; early, middle and late are thirds of the layers.",
    QUANTITIES,
    CLAIMS,
    (
        "A cut leaves what the tokens in between have read; with a chain of such tokens no single "
        "cut loses much, and the claim is judged by the single cuts it names.",
        "The attention weights that are left grow; only the control with as many other tokens "
        "tells this from what was read.",
        "A state that suffices when it is swapped is not shown to be read there; at the number's "
        "position it suffices in late layers as a matter of course, so these are not swapped.",
        "Of what states explain beside the likelihood, much may be the question's domain: read it "
        "beside both.",
        "The paper's models have 7B to 27B parameters; figures of its cuts are not at hand.",
    ),
)
