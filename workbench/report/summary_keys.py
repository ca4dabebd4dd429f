"""Define what the entries of a summary mean, one row per pattern, for the reference and for
readers.

``<readout>`` is stated, expected or probe; ``<condition>`` names a state of the model: before,
after, control (trained on shuffled targets), a further training of the main loop by its seed
(seed1), an arm of a recipe, an arm's control, or a recalibration; ``<part>`` is a part of the
held-out questions. ``key.low`` and ``key.high`` bound a 95 % interval over questions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SUMMARY_KEYS: Mapping[str, str] = {
    "auroc2.<readout>.<condition>": "probability that a right answer got the higher confidence",
    "auroc2.<readout>.within.<condition>": "the same, mean within domain",
    "auroc2.probe.shuffled_labels": "mean over layers and positions of probes on shuffled labels; "
    "its bounds are the range over permutations",
    "auroc2.rival.<rival>.<condition>": "the same of what needs no states of the answer: "
    "domain_base_rate, question_text, answer_length, answer_likelihood, question_end",
    "auroc2.rival.<rival>.within.<condition>": "the same, mean within domain",
    "probe_minus.<measure>": "the probe's minus a rival's, paired by question",
    "verdict.<claim>": "holds, does not hold or not clear: states, text, teaching, cause, where",
    "ece.<readout>.<condition>": "expected calibration error, the plug-in value; its bounds are of "
    "the true error and may lie below it",
    "smooth_ece.<readout>.<condition>": "smooth calibration error, without an interval",
    "brier.<readout>.<condition>": "Brier score",
    "parse_rate.<readout>.<condition>": "share of replies that are a value of the scale",
    "share_ge_90.stated.<condition>": "share of stated confidences of 90 % or more",
    "tier.stated.<condition>": "how the rating scale is used",
    "gain.<measure>": "condition minus the base model, paired by question",
    "vs_control.<measure>": "condition minus its control on shuffled targets",
    "vs_platt.<measure>": "condition minus the base model recalibrated by a Platt map",
    "<part>.<measure>": "a measure on a part of the held-out questions: in_domain, out_of_domain",
    "own_answers.<measure>": "confidence of a trained model in its own answers",
    "unchanged_answers.<measure>": "on the questions whose answer training did not change",
    "accuracy.<condition>": "share of right answers among the graded ones",
    "accuracy.adapter_on_while_answering.<condition>": "the same with the adapter on",
    "accuracy.ungraded.<condition>": "answers that could be told neither right nor wrong",
    "answers.repeated.<condition>": "answers generated again with the adapter loaded and off",
    "answers.unchanged.<condition>": "share of them that are the same to the letter",
    "answers.adapter_on_rows.<condition>": "answers generated again with the adapter on",
    "answers.unchanged_adapter_on.<condition>": "share of them that are the same",
    "answers.ungraded": "answers of the base model that could not be graded",
    "answers.truncated_thoughts": "thoughts cut before their end, after which no answer is graded",
    "answers.truncated_second_thoughts": "thoughts before the confidence cut before their end",
    "probe.layer.<condition>": "layer of the probe, chosen on training questions",
    "probe.position.<condition>": "position of the probe, chosen on training questions",
    "probe.direction_cosine.<condition>": "cosine of the directions of correctness and confidence",
    "patching.layer_gradient": "Spearman's rho of layer and mean shift, without an interval",
    "patching.layer_gradient.permutation_p": "share of orders of the layers with as large a rho",
    "patching.layer_gradient.ramp_distance": "largest distance of the curve to a straight line",
    "patching.donor_slope.half_layer": "first layer after which the donor slope passes one half",
    "patching.donor_slope.last_layer": "slope on the donor's own readout after the last layer",
    "patching.base_slope.last_layer": "slope on the base's own readout after the last layer",
    "patching.shift.largest": "largest mean shift of a layer, without an interval",
    "patching.shift.last_layer": "shift of the tuned state after the last layer",
    "patching.shift.clipped.last_layer": "per-item shift clipped to [0, 1], as in the literature",
    "patching.shift.<control>": "mean absolute shift of a control over its layers",
    "patching.shift.reverse.last_layer": "shift of the base state put into the tuned model",
    "patching.noise_floor": "largest change of any readout under the run's own states",
    "patching.items": "questions patched",
    "patching.layer_gradient.<condition>": "layer gradient of one of several trainings",
    "patching.shift.largest.<condition>": "largest mean shift of a layer, of one of several "
    "trainings",
    "patching.shift.last_layer.<condition>": "shift after the last layer, of one of several "
    "trainings",
    "patching.donor_slope.half_layer.<condition>": "half layer of one of several trainings",
    "patching.packed_vs_loop": "largest difference of packed and looped sweep, share of the scale",
    "pairs.<measure>": "comparisons of two questions",
    "seeds.<readout>.<measure>": "spread over training seeds",
    "seeds.trainings": "trainings that are compared",
    "seeds.mean.<measure>": "mean over trainings, with an interval over questions and seeds where "
    "one can be resampled",
    "seeds.sd.<measure>": "standard deviation between trainings",
    "seeds.min.<measure>": "lowest of the trainings",
    "seeds.max.<measure>": "highest of the trainings",
    "shape.mean.<condition>": "mean expected confidence over held-out questions",
    "shape.sd.<condition>": "its standard deviation over questions",
    "shape.entropy.<condition>": "mean entropy in bits of a question's distribution over the scale",
    "transfer.<measure>": "single answers against comparisons",
    "training.<cost>": "tokens, examples, questions and steps of a training",
    "seconds.<stage>": "seconds of a stage, over all attempts",
    "moved_bytes.<stage>": "bytes that a stage moved between devices, in its last attempt",
    "memory.peak_bytes": "largest resident memory of any stage",
    "mass_on_scale.before": "mean mass that the base model puts on the scale",
    "model.<fact>": "name, revision, chat template, precision, dtype, quantisation",
    "questions.<side>": "questions held out, and for training",
    "positions": "recorded positions",
    "seed": "of everything random",
}


def meaning(key: str) -> str | None:
    """Look up what a summary's ``key`` means; None where no row fits."""
    bare = key.removesuffix(".low").removesuffix(".high")
    fitting = [pattern for pattern in SUMMARY_KEYS if _fits(pattern, bare)]
    return SUMMARY_KEYS[min(fitting, key=_looseness)] if fitting else None


def _fits(pattern: str, key: str) -> bool:
    parts = re.split(r"(<\w+>)", pattern)
    words = {"<readout>": "(stated|expected|probe)", "<part>": "(in_domain|out_of_domain)"}
    expression = "".join(
        words.get(part, ".+") if part.startswith("<") else re.escape(part) for part in parts
    )
    return re.fullmatch(expression, key) is not None


def _looseness(pattern: str) -> int:
    """Return a sort key: patterns that name more of a key go before those that leave more open."""
    return -len(re.sub(r"<\w+>", "", pattern))
