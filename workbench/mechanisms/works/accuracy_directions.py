"""State what is claimed of the directions of accuracy and of verbal confidence, and decide it.

2603.25052 claims three things: that a model encodes whether its answer is right and how sure it
says it is along orthogonal directions; that reasoning before the confidence disrupts the second and
makes calibration worse; and that reading the first and steering along the second, question by
question, makes what is stated better calibrated.

Directions are probes (ridge regressions) of the states at the confidence position, of the grade and
of the expected confidence, less the means of each domain, compared by the cosine corrected for
their reliabilities (:mod:`workbench.probe.split_half`). Calibration is the Brier score of the
expected confidence: lower is better, and a negative difference is a gain. Layer, direction and
strength are chosen on training questions; everything else is measured on held-out ones.

A cosine of probes alone is no test: where states are correlated, two probes can read nearly the
same along orthogonal weights. In a model that was taught to state what the accuracy probe reads the
cosine stays near 0.2 while the readings correlate with 0.8. The first rule, which read the cosine
alone, could not contradict the claim there; so the readings were added, before any other model was
tested. Verdicts on the questions of that model are no tests of this rule, nor of that of steering,
whose clause on pushes that do not read the question was changed after its numbers.

Not shown: that another pair of layers or positions has no other angle, or that the model reads
these directions.
"""

from __future__ import annotations

from workbench.mechanisms.outcomes import (
    Estimates,
    Outcome,
    conclude,
    surely_above,
    surely_below,
    surely_within,
)
from workbench.mechanisms.work import NO_TEST, Claim, Quantity, Work, abstract_words
from workbench.mechanisms.works.direction_worlds import (
    contamination_worlds,
    orthogonal_worlds,
    steering_worlds,
)

ORTHOGONAL = 0.3
"""A corrected cosine that surely lies closer to 0 than this counts as orthogonal: the directions
share less than a tenth of their squared length.
"""
LITTLE = 0.1
"""A loss of correlation that counts as none, if it surely is below."""
NO_GAIN = 0.01
"""A gain of the Brier score that counts as none, if it surely is below."""
COSINE, RELIABILITY, CORRELATION, BRIER, BRIER_MINUS, AUROC = (
    "cosine of two directions",
    "cosine of a direction with itself, halves of the questions",
    "correlation over held-out questions, within domain",
    "Brier score",
    "Brier score, difference",
    "AUROC2 within domain",
)


def decide_orthogonal(found: Estimates) -> Outcome:
    """Decide whether the two directions are orthogonal."""
    compared = (found["corrected"], found["readings"])
    known = all(
        surely_above(found[f"reliability_{name}"], 0.0) for name in ("accuracy", "confidence")
    )
    near = all(surely_within(each, -ORTHOGONAL, ORTHOGONAL) for each in compared)
    far = any(
        surely_above(each, ORTHOGONAL) or surely_below(each, -ORTHOGONAL) for each in compared
    )
    return conclude(confirmed=known and near, contradicted=known and far)


def decide_contamination(found: Estimates) -> Outcome:
    """Decide whether reasoning disrupts the direction of confidence and worsens calibration."""
    lost, worse = found["reading_lost"], found["reasoned_minus_direct"]
    contradicted = surely_below(lost, LITTLE) or surely_below(worse, 0.0)
    confirmed = surely_above(lost, 0.0) and surely_above(worse, 0.0)
    return conclude(confirmed=confirmed and not contradicted, contradicted=contradicted)


def decide_steering(found: Estimates) -> Outcome:
    """Decide whether adaptive steering calibrates, beyond pushes that do not read the question."""
    gain, others = found["steered_minus_base"], found["steered_minus_permuted"]
    confirmed = surely_below(gain, 0.0) and surely_below(others, 0.0)
    contradicted = surely_above(gain, -NO_GAIN) or surely_above(others, -NO_GAIN)
    return conclude(confirmed=confirmed and not contradicted, contradicted=contradicted)


QUANTITIES = (
    Quantity("cosine", "accuracy and confidence, as fitted", COSINE),
    Quantity("corrected", "accuracy and confidence, corrected for reliability", COSINE),
    Quantity("means_corrected", "the same of differences of means", COSINE),
    Quantity("pooled_corrected", "the same with what domains differ in", COSINE),
    Quantity("random", "accuracy and random directions of the states' covariance", COSINE, True),
    Quantity("formats_corrected", "confidence before and after reasoning, corrected", COSINE),
    Quantity("reasoned_corrected", "accuracy and confidence after reasoning, corrected", COSINE),
    Quantity("reliability_accuracy", "direction of accuracy", RELIABILITY),
    Quantity("reliability_confidence", "direction of confidence", RELIABILITY),
    Quantity("reliability_reasoned", "direction of confidence after reasoning", RELIABILITY),
    Quantity("readings", "readings of the two directions", CORRELATION),
    Quantity("read_direct", "direction of confidence, and confidence stated", CORRELATION),
    Quantity("read_reasoned", "the same direction and confidence, after reasoning", CORRELATION),
    Quantity("reading_lost", "what reasoning takes of that", CORRELATION),
    Quantity("brier_direct", "stated directly", BRIER),
    Quantity("brier_reasoned", "stated after reasoning", BRIER),
    Quantity("reasoned_minus_direct", "after reasoning minus directly", BRIER_MINUS),
    Quantity("brier_base", "steered questions, not steered", BRIER),
    Quantity("brier_steered", "steered by each question's probe", BRIER),
    Quantity("brier_constant", "steered all alike", BRIER, True),
    Quantity("brier_permuted", "steered by another question's probe", BRIER, True),
    Quantity("brier_random", "the same lengths along random directions", BRIER, True),
    Quantity("brier_probe", "the probe itself, not steered", BRIER, True),
    Quantity("steered_minus_base", "steered minus not steered", BRIER_MINUS),
    Quantity("steered_minus_permuted", "minus by another question's probe", BRIER_MINUS),
    Quantity("steered_minus_constant", "minus steered all alike", BRIER_MINUS),
    Quantity("steered_minus_random", "minus along random directions", BRIER_MINUS),
    Quantity("auroc2_base", "expected confidence, not steered", AUROC),
    Quantity("auroc2_steered", "expected confidence, steered", AUROC),
    Quantity("auroc2_permuted", "steered by another question's probe", AUROC, True),
    Quantity("auroc2_random", "steered along random directions", AUROC, True),
    Quantity("auroc2_written", "number written, steered", AUROC),
)

ARXIV = "2603.25052"


CLAIMS = (
    Claim(
        "orthogonal",
        ARXIV,
        "Whether an answer is right and how sure the model says it is are encoded along orthogonal "
        "directions.",
        "confirmed where the corrected cosine, and the correlation of what the two directions read "
        f"of held-out questions, surely lie within {ORTHOGONAL:g} of 0; contradicted where one "
        "surely lies outside; both only where both directions are found again on the other half of "
        "the questions, with a cosine surely above 0",
        decide_orthogonal,
        ("corrected", "readings", "reliability_accuracy", "reliability_confidence"),
        (
            abstract_words(
                "the two directions, three models, four sets", "“orthogonal to one another”"
            ),
        ),
        orthogonal_worlds(ORTHOGONAL),
        "the correlation of the readings was added after those of the default model, base and "
        f"taught, were seen; {NO_TEST}",
    ),
    Claim(
        "contamination",
        ARXIV,
        "Reasoning before the confidence is stated disrupts the direction of confidence and makes "
        "calibration worse.",
        "confirmed where the direction fitted on direct answers surely reads stated confidence "
        "less well after reasoning (correlation) and the Brier score is surely higher there; "
        f"contradicted, which has precedence, where the loss is surely below {LITTLE:g} or the "
        "Brier score surely lower",
        decide_contamination,
        ("reading_lost", "reasoned_minus_direct"),
        (abstract_words("miscalibration when the reply reasons", "“exacerbating”"),),
        contamination_worlds(),
    ),
    Claim(
        "steering",
        ARXIV,
        "Steering along the direction of confidence towards what the accuracy probe reads makes "
        "stated confidence better calibrated.",
        "confirmed where the Brier score of the steered expected confidence is surely below that "
        "of the unsteered and below that of steering by another question's probe; contradicted, "
        f"which has precedence, where the gain over either is surely below {NO_GAIN:g}",
        decide_steering,
        ("steered_minus_base", "steered_minus_permuted"),
        (
            abstract_words(
                "calibration with adaptive steering, three models", "“substantially improving”"
            ),
        ),
        steering_worlds(),
        "the clause on pushes that do not read the question was changed after those of the default "
        f"model were seen; {NO_TEST}",
    ),
)

WORK = Work(
    "accuracy_directions",
    "Are accuracy and stated confidence orthogonal, does reasoning disturb them, does adaptive "
    "steering mend it?",
    "Probes of the grade and of the expected confidence at the confidence position, compared by "
    "their cosine, which is bounded by how well each is known; the same after reasoning; and "
    "pushes along the direction of confidence, as long as each question's probe asks for, beside "
    "pushes that are all alike, that another question asks for, and along random directions.",
    QUANTITIES,
    CLAIMS,
    (
        "The corrected cosine is of the mean directions that ridge regressions on half of the "
        "questions find; another estimator may find another angle.",
        "Cosines depend on the estimator: differences of means share the axes along which states "
        "vary most, and lie closer together than probes do.",
        "After reasoning the model gives other answers, so the Brier score differs by their "
        "accuracy too.",
        "Steering is of the readout at the number; nothing is generated after it.",
    ),
)
