"""A finished run's results as numbers: the flat summary with dotted keys, each estimate with its
interval.

All of it is measured on held-out questions. ``before`` is the base model, ``after`` the model with
the adapter taught on probe targets, ``shuffled`` the control adapter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.conversation import POSITIONS
from workbench.loop.answer_stability import answer_accuracy
from workbench.loop.answers import right_answers
from workbench.loop.conditions import Readouts, calibration, discrimination
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.measure import Estimate, auroc2_difference
from workbench.measure.interval import IntervalCurve
from workbench.patch.effects import (
    Sweep,
    clipped_mean_shift,
    following,
    half_layer,
    layer_gradient,
    max_readout_change,
    mean_shift,
    permutation_p,
    ramp_distance,
)

WHEN = ("before", "after", "shuffled")


def collect(context: Run) -> Readouts:
    """Line up every stage's readouts on the held-out questions."""
    questions, _ = load_questions(context)
    test = questions[questions["split"] == "test"]
    rows = test["row"].to_numpy()

    def confidence(stage: str, column: str) -> NDArray[np.float64]:
        return (
            context.stage(stage)
            .table("confidence")
            .set_index("row")[column]
            .loc[rows]
            .to_numpy(dtype=float)
        )

    stages = dict(zip(WHEN, ("elicit", "elicit_tuned", "elicit_control"), strict=True))
    probes = {"before": "probe", "after": "probe_tuned"}
    return Readouts(
        questions=test.reset_index(drop=True),
        correct=right_answers(context, rows),
        stated={when: confidence(stage, "stated") for when, stage in stages.items()},
        expected={when: confidence(stage, "expected") for when, stage in stages.items()},
        probe={
            when: context.stage(stage)
            .table("probabilities")
            .set_index("row")["probability"]
            .loc[rows]
            .to_numpy()
            for when, stage in probes.items()
        },
    )


def sweeps(table: pd.DataFrame) -> dict[str, Sweep]:
    """The sweep table as one :class:`Sweep` per condition."""
    out = {}
    for name, part in table.groupby("condition", sort=False):
        wide = part.pivot(index="item", columns="layer", values="patched")
        first = part.drop_duplicates("item").set_index("item").loc[wide.index]
        out[str(name)] = Sweep(
            layers=wide.columns.to_numpy(dtype=np.int64),
            base=first["base"].to_numpy(),
            donor=first["donor"].to_numpy(),
            patched=wide.to_numpy(),
        )
    return out


@dataclass(frozen=True)
class PatchingResult:
    """Curves of the patching stage: mean shift per condition, following slopes, layer gradient.

    ``noise`` is the largest move of a readout under its own states.
    """

    sweeps: dict[str, Sweep]
    shift: dict[str, IntervalCurve]
    donor_slope: IntervalCurve
    base_slope: IntervalCurve
    rho: Estimate
    half_layer: int | None
    noise: float


def patching_result(table: pd.DataFrame, *, resamples: int, seed: int) -> PatchingResult:
    """Effects of all conditions. A donor without a distance of its own is measured in units of
    the own donor's.
    """
    by_name = sweeps(table)
    own = by_name["own_tuned"]
    span = own.donor - own.base
    shift = {
        name: mean_shift(
            sweep,
            resamples=resamples,
            seed=seed,
            span=span if name in ("other_base", "own_base") else None,
        )
        for name, sweep in by_name.items()
    }
    donor_slope, base_slope = following(by_name["other_tuned"], resamples=resamples, seed=seed)
    return PatchingResult(
        sweeps=by_name,
        shift=shift,
        donor_slope=donor_slope,
        base_slope=base_slope,
        rho=layer_gradient(own, resamples=resamples, seed=seed),
        half_layer=half_layer(own.layers, donor_slope.value),
        noise=max_readout_change(by_name["own_base"].base, by_name["own_base"].patched),
    )


def summarise(context: Run, readouts: Readouts, patching: PatchingResult) -> dict[str, Any]:
    """The flat summary; ``key.low`` and ``key.high`` bound the estimate ``key``.

    The bounds are bootstrap intervals over questions; those of ``auroc2.probe.shuffled_labels``, a
    mean over all layers and positions, are the range over permutations.
    """
    drawn = {"resamples": context.config.bootstrap_resamples, "seed": context.config.seed}
    return {
        **discrimination(readouts, **drawn),
        **_gains(context, readouts),
        **answer_accuracy(context, readouts, "elicit_tuned", "after", **drawn),
        **calibration(readouts, **drawn),
        **_probing(context),
        **_patching(context, patching),
        **_facts(context, readouts),
    }


def _gains(context: Run, r: Readouts) -> dict[str, Any]:
    pairs = {
        "text.gain": (r.stated["after"], r.stated["before"]),
        "text.shuffled_gain": (r.stated["shuffled"], r.stated["before"]),
        "expected.gain": (r.expected["after"], r.expected["before"]),
    }
    drawn = {"resamples": context.config.bootstrap_resamples, "seed": context.config.seed}
    out: dict[str, Any] = {}
    for name, (new, old) in pairs.items():
        out.update(auroc2_difference(new, old, r.correct, None, **drawn).to_dict(f"auroc2.{name}"))
    return out


def _probing(context: Run) -> dict[str, Any]:
    before, after = context.stage("probe").facts(), context.stage("probe_tuned").facts()
    return {
        "probe.layer": before["layer"],
        "probe.position": before["position"],
        "probe.layer.after": after["layer"],
        "probe.position.after": after["position"],
        "auroc2.probe.shuffled_labels": before["shuffled_mean"],
        "auroc2.probe.shuffled_labels.low": before["shuffled_low"],
        "auroc2.probe.shuffled_labels.high": before["shuffled_high"],
        "probe.direction_cosine.before": before["direction_cosine"],
        "probe.direction_cosine.after": after["direction_cosine"],
    }


def _patching(context: Run, result: PatchingResult) -> dict[str, Any]:
    own, shift = result.sweeps["own_tuned"], result.shift
    facts = context.stage("patch").facts()
    last = {name: float(curve.value[-1]) for name, curve in shift.items()}
    other_base = shift["other_base"].value
    return {
        **result.rho.to_dict("patching.rho"),
        "patching.rho.permutation_p": permutation_p(
            own.layers, shift["own_tuned"].value, permutations=9999, seed=context.config.seed
        ),
        "patching.rho.ramp_distance": ramp_distance(own.layers, shift["own_tuned"].value),
        "patching.items": facts["items"],
        "patching.following.half_layer": result.half_layer,
        "patching.following.slope.last_layer": float(result.donor_slope.value[-1]),
        "patching.following.slope.last_layer.low": float(result.donor_slope.low[-1]),
        "patching.following.slope.last_layer.high": float(result.donor_slope.high[-1]),
        "patching.following.base_slope.last_layer": float(result.base_slope.value[-1]),
        "patching.shift.last_layer": last["own_tuned"],
        "patching.shift.last_layer.low": float(shift["own_tuned"].low[-1]),
        "patching.shift.last_layer.high": float(shift["own_tuned"].high[-1]),
        "patching.shift.clipped.last_layer": float(clipped_mean_shift(own)[-1]),
        "patching.shift.random_position": float(np.abs(shift["random_position"].value).mean()),
        "patching.shift.random_vector": float(np.abs(shift["random_vector"].value).mean()),
        "patching.shift.other_base": float(np.abs(other_base).mean()),
        "patching.shift.own_base": float(np.abs(shift["own_base"].value).max()),
        "patching.noise": result.noise,
        "patching.shift.reverse.last_layer": last["reverse"],
        "patching.packed_vs_loop": facts["packed_vs_loop"],
    }


def _facts(context: Run, r: Readouts) -> dict[str, Any]:
    mass = context.stage("elicit").table("confidence")["mass"]
    return {
        "model.name": context.config.model.shown,
        "model.revision": context.stage("answer").facts()["model_revision"],
        "model.template": context.stage("answer").facts()["template"],
        "model.precision": context.stage("answer").facts()["precision"],
        "questions.test": len(r.questions),
        "questions.train": int((load_questions(context)[0]["split"] == "train").sum()),
        "answers.ungraded": context.stage("answer").facts().get("ungraded", 0),
        "positions": list(POSITIONS),
        "mass_on_scale.before": float(mass.mean()),
        "seed": context.config.seed,
    }
