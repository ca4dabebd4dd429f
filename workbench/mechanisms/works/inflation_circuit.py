"""State what is claimed of a circuit that inflates stated confidence, and decide it by ablation.

2604.01457 finds a compact set of MLPs and heads, in middle to late layers, that writes the
inflation of stated confidence at the last token, and improves calibration by intervening on it.
Here the set is found by attribution on wrong answers of training questions and verified by ablation
on wrong answers of held-out ones, beside random sets of equal size, kinds and layers. The
correction is the set's ablation, its size chosen on training questions, beside a Platt map fitted
on the same questions.

A set without which the model no longer writes numbers shows nothing of confidence, so the rule asks
that the scale keeps at least KEPT of the probability. And a set whose ablation lowers confidence
far more than that of all writers together does something else than take their part away, so the
rule asks for no more than BEYOND of it. The first condition was added, and the reference changed
from ordinary tokens to unsure answers, after a pilot on four questions of the default model; the
second after one on 24, in which a single MLP removed twice what all writers do. Verdicts on those
questions are no tests of the rule as it stands. That the correction's training questions are drawn
whatever their grade was added after numbers were seen, too: what the wrong answers of attribution
left over were too often right, so that the map stated too much.

Measures and their signs are those of :mod:`workbench.mechanisms.works.inflation_measures`. What "a
compact set" is the authors do not fix in what was at hand; here it is COMPACT of all writers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from workbench.measure.verdicts import HALF
from workbench.mechanisms.outcomes import (
    CANNOT_TELL,
    Estimates,
    Outcome,
    conclude,
    surely_above,
    surely_below,
    surely_within,
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
from workbench.mechanisms.works.inflation_measures import (
    ANYWHERE,
    AUROC2_GAIN,
    BRIER_GAIN,
    BRIER_OWN,
    BRIER_PLATT,
    BRIER_SET,
    CARRIED,
    DEPTH,
    INFLATION,
    LIKE,
    MASS,
    MINUS_LIKE,
    REMOVED,
    SET_MINUS_PLATT,
    WRITERS,
    Law,
    simulate_correction,
    simulate_depth,
    simulate_removal,
)

COMPACT = 0.06
"""The most that a compact set has of all writers."""
KEPT = 0.9
"""The least probability of the scale's numbers with which a set's ablation is read."""
BEYOND = 1.5
"""The most that a set may remove of what all writers together do."""
SLIGHT = 0.01
"""The Brier score by which one correction counts as worse than another."""
PAPER = "2604.01457"


def decide_compact_set(found: Estimates) -> Outcome:
    """Decide whether a compact set writes most of the inflation, and random ones do not."""
    if not surely_above(found[MASS], KEPT):
        return CANNOT_TELL
    most = surely_within(found[REMOVED], HALF, BEYOND)
    apart = surely_above(found[MINUS_LIKE], 0.0)
    little = surely_below(found[REMOVED], HALF) or surely_below(found[MINUS_LIKE], 0.0)
    return conclude(confirmed=most and apart, contradicted=little)


def decide_middle_to_late(found: Estimates) -> Outcome:
    """Decide whether the set lies above the middle."""
    return conclude(
        confirmed=surely_above(found[DEPTH], HALF), contradicted=surely_below(found[DEPTH], HALF)
    )


def decide_recalibrates(found: Estimates) -> Outcome:
    """Decide whether the intervention improves calibration as a map of the number does."""
    better = surely_above(found[BRIER_GAIN], 0.0)
    worse = surely_below(found[BRIER_GAIN], 0.0) or surely_above(found[SET_MINUS_PLATT], SLIGHT)
    as_good = surely_below(found[SET_MINUS_PLATT], SLIGHT)
    return conclude(confirmed=better and as_good, contradicted=worse)


def _worlds(
    simulate: Callable[..., Estimates], true: bool, laws: Mapping[str, tuple[float, Law]]
) -> tuple[PlantedWorld, ...]:
    return tuple(
        PlantedWorld(name, true, effect, partial(simulate, law=law))
        for name, (effect, law) in laws.items()
    )


CLAIMS = (
    Claim(
        "compact_set",
        PAPER,
        "A compact set of MLPs and heads writes the inflation of stated confidence.",
        f"the writers of largest share on training questions, at most {COMPACT:.0%} of all, are "
        f"ablated on held-out wrong answers: confirmed where they surely remove {HALF:g} to "
        f"{BEYOND:g} of what all writers together remove, and surely more than random sets of "
        f"their kinds and layers; contradicted where they surely remove less than {HALF:g} of it, "
        f"or less than random sets; only where the scale surely keeps {KEPT:g} of the probability",
        decide_compact_set,
        (REMOVED, MINUS_LIKE, MASS),
        (
            abstract_words(
                "two models, three sets", "“a compact set of MLP blocks and attention heads”"
            ),
        ),
        (
            *_worlds(
                simulate_removal,
                True,
                {
                    f"the set writes {share:g} of it": (share, Law(removed=share))
                    for share in (0.6, 0.9)
                },
            ),
            *_worlds(
                simulate_removal,
                False,
                {
                    "the set writes a quarter of it": (0.25, Law(removed=0.25)),
                    "any set takes all of it away": (0.0, Law(removed=0.9, removed_like=1.1)),
                },
            ),
        ),
        "the reference, and what must be left with the set ablated, were chosen after those of the "
        f"default model were seen; {NO_TEST}",
    ),
    Claim(
        "middle_to_late",
        PAPER,
        "The set lies in middle to late layers.",
        f"the mean depth of that set, 0 for the first layer and 1 for the last: confirmed where it "
        f"is surely above {HALF:g}, contradicted where surely below, over resampled questions that "
        "choose it",
        decide_middle_to_late,
        (DEPTH,),
        (abstract_words("two models, three sets", "“concentrated in middle-to-late layers”"),),
        (
            *_worlds(
                simulate_depth,
                True,
                {f"it lies at {depth:g}": (depth, Law(depth=depth)) for depth in (0.65, 0.8)},
            ),
            *_worlds(simulate_depth, False, {"it lies at 0.3": (0.3, Law(depth=0.3))}),
        ),
    ),
    Claim(
        "recalibrates",
        PAPER,
        "Intervening on the set at inference time improves calibration.",
        "Brier score of the expected confidence on held-out questions with the set ablated, its "
        "size chosen on training questions drawn whatever their grade: confirmed where it is "
        f"surely lower than the model's own and surely not {SLIGHT:g} higher than that of a Platt "
        "map fitted on the same training questions; contradicted where it is surely higher than "
        f"the model's own, or surely more than {SLIGHT:g} higher than the map's",
        decide_recalibrates,
        (BRIER_GAIN, SET_MINUS_PLATT),
        (
            abstract_words(
                "calibration with the intervention, two models, three sets",
                "“substantially improve”",
            ),
            Published(
                "ECE on PopQA with the intervention, model not said",
                "0.018",
                "listed among benchmark results of the paper by wizwand.com",
            ),
        ),
        (
            *_worlds(
                simulate_correction,
                True,
                {"it takes all of the shift away": (1.0, Law(corrected=1.0))},
            ),
            *_worlds(
                simulate_correction,
                False,
                {
                    "it takes a third of the shift away": (1 / 3, Law(corrected=1 / 3)),
                    "it adds to the shift": (-0.5, Law(corrected=-0.5)),
                },
            ),
        ),
        "that training questions are drawn whatever their grade was added after those of the "
        f"default model were seen, where too many were right; {NO_TEST}",
    ),
)

SHARE, BRIER = "share of what all writers hold up", "Brier score"
DEPTH_AXIS, ON_SCALE = "depth, 0 first layer to 1 last", "probability of the scale's numbers"
BRIER_AXIS, WITHIN = "Brier score, difference", "AUROC2 within domain, difference"
QUANTITIES = (
    Quantity(INFLATION, "wrong answers' confidence above the accuracy", "expected confidence"),
    Quantity(WRITERS, "removed with all writers ablated", "share of the whole inflation"),
    Quantity(REMOVED, "removed with the set ablated", SHARE),
    Quantity(f"{REMOVED}_{LIKE}", "removed by random sets of its kinds and layers", SHARE, True),
    Quantity(f"{REMOVED}_{ANYWHERE}", "removed by random sets of its size", SHARE, True),
    Quantity(MINUS_LIKE, "removed by the set minus by random sets", SHARE),
    Quantity(CARRIED, "carried by the set alone", SHARE),
    Quantity(f"{CARRIED}_{LIKE}", "carried by a random set alone", SHARE, True),
    Quantity(DEPTH, "mean depth of the set", DEPTH_AXIS),
    Quantity(f"{DEPTH}_all", "mean depth of all writers", DEPTH_AXIS, True),
    Quantity(MASS, "left on the scale with the set ablated", ON_SCALE),
    Quantity(f"{MASS}_{LIKE}", "left with random sets ablated", ON_SCALE, True),
    Quantity(BRIER_OWN, "as it is", BRIER),
    Quantity(BRIER_SET, "with the set ablated", BRIER),
    Quantity(BRIER_PLATT, "Platt map of the number as it is", BRIER, True),
    Quantity(BRIER_GAIN, "as it is minus with the set ablated", BRIER_AXIS),
    Quantity(SET_MINUS_PLATT, "set ablated minus Platt map", BRIER_AXIS),
    Quantity(AUROC2_GAIN, "with the set ablated minus as it is", WITHIN),
)

WORK = Work(
    "inflation_circuit",
    "Does a compact set of MLPs and heads write the inflation of stated confidence?",
    "Heads and MLPs are attributed by gradients on wrong answers of training questions, against "
    "their mean at the same token of the least confident training answers. The largest are given "
    "that mean on held-out questions, at all tokens that a number is read from, and the whole "
    "distribution over the scale is read again; random sets stand beside them.",
    QUANTITIES,
    CLAIMS,
    (
        "The paper's text beyond its abstract was not at hand: how it defines inflation, circuit "
        "and intervention may differ from what is done here.",
        "The states of unsure answers are still inflated: what even they share is not ablated. "
        "Against ordinary tokens more is, but then the model may write no numbers any more.",
        "Sets are chosen by gradients, a first order; a better set of equal size may exist, so a "
        "share removed is a lower bound of what some set removes.",
        "That a set removes confidence does not show that it computes overconfidence: it may "
        "write any confidence at all.",
    ),
)
