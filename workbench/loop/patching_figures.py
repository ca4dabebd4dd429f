"""Draw what patching found: shift by layer with its controls, whose confidence the patched state
carries, and the shift of each question.

A shift is (patched - base) / (donor - base) on the readout. A rising curve alone localises little:
a patch of the last layer moves everything.
"""

from __future__ import annotations

import numpy as np

from workbench.loop.conditions import Readouts
from workbench.loop.patching_results import PatchingResult
from workbench.loop.run import Run
from workbench.patch.effects import slope_noise_floor
from workbench.plots import FollowingCurve, LayerQuestionHeatmap, PatchingCurve
from workbench.report import Section

CONTROL_NAMES = {
    "other_tuned": "donor from another question",
    "random_vector": "random vector of equal length",
    "random_position": "random earlier position",
    "reverse": "reverse: base into tuned",
    "other_base": "base donor from another question",
    "own_base": "own state (noise floor)",
}


def patching_figure(patching: PatchingResult, caption: str) -> Section:
    """Draw the mean shift of every donor by layer."""
    own = patching.sweeps["own_tuned"]
    controls = {
        CONTROL_NAMES[name]: curve.spread(patching.sweeps[name].layers, own.layers)
        for name, curve in patching.shift.items()
        if name in CONTROL_NAMES and name != "own_base"
    }
    figure = PatchingCurve(
        layers=own.layers,
        effect=patching.shift["own_tuned"],
        controls=controls,
        rho=patching.layer_gradient,
        noise_floor=float(np.abs(patching.shift["own_base"].value).max()),
        title="Where the taught confidence is carried",
        caption=caption,
    ).figure()
    explanation = (
        "The tuned model's state, put into the base model at the confidence position after one "
        "layer: 0 = nothing moved, 1 = the stated distribution moved all the way to the tuned "
        "model's. The shift is of the level, which another question's donor or a random vector can "
        "move as well; it localises little, and it differs between trainings. Whose confidence is "
        "carried, the slopes above say."
    )
    return Section("Patching, with its controls", explanation, figure, "patching")


def following_figure(patching: PatchingResult, caption: str) -> Section:
    """Draw the slopes of the patched readout on the donor's and on the base's own."""
    figure = FollowingCurve(
        layers=patching.sweeps["other_tuned"].layers,
        donor_slope=patching.donor_slope,
        base_slope=patching.base_slope,
        half_layer=patching.half_layer,
        noise_floor=slope_noise_floor(patching.sweeps["other_tuned"], patching.noise_floor),
        title="Whose confidence is it?",
        caption=caption,
    ).figure()
    explanation = (
        "The tuned model's states of other questions, put into the base model at the confidence "
        "position after one layer: how much the patched confidence follows the donor's own, and "
        "how much it stays with the question it was put into. Donor slope 1 and base slope 0: the "
        "patched state carries that item's confidence."
    )
    return Section("Following", explanation, figure, "following")


def question_figure(
    context: Run, readouts: Readouts, patching: PatchingResult, caption: str
) -> Section:
    """Draw the shift of each question by layer."""
    table = context.stage("patch").table("sweep").drop_duplicates("item").sort_values("item")
    text = readouts.questions.set_index("row")["question"].loc[table["row"]].tolist()
    shift, floor = patching.of_questions()
    figure = LayerQuestionHeatmap(
        layers=patching.sweeps["own_tuned"].layers,
        labels=text,
        shift=shift,
        floor=floor,
        title="Question by question",
        caption=caption,
    ).figure()
    explanation = (
        "The shift of each question; blank where tuned and base model state the same to within one "
        "point of confidence, hatched where it moved less than numerical noise can (always below "
        "the layer at which the adapter begins)."
    )
    return Section("Layer by question", explanation, figure, "layer_question")
