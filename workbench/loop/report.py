"""The stage that draws: figures, summary table and configuration on one page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from workbench.elicit.conversation import POSITIONS
from workbench.loop.conditions import BEFORE, Readouts
from workbench.loop.results import PatchingResult, collect, patching_result, summarise
from workbench.loop.run import Run
from workbench.loop.tables import headline_tables
from workbench.measure import Estimate
from workbench.measure.interval import IntervalCurve
from workbench.models.fingerprint import sha256_of
from workbench.patch.effects import slope_noise_floor
from workbench.pipeline.costs import page, seconds
from workbench.pipeline.store import StageStore
from workbench.plots import (
    AurocByLayer,
    ConfidenceHistogram,
    FollowingCurve,
    LayerQuestionHeatmap,
    PatchingCurve,
    ReadoutComparison,
    ReadoutRow,
    Reliability,
)
from workbench.report import Section, write_report

SAMPLE_ROWS = 12
CONTROL_NAMES = {
    "other_tuned": "donor from another question",
    "random_vector": "random vector of equal length",
    "random_position": "random earlier position",
    "reverse": "reverse: base into tuned",
    "other_base": "base donor from another question",
    "own_base": "own state (noise floor)",
}


def report(context: Run, stage: StageStore) -> dict[str, Any]:
    """Write the page and keep the summary and the tables behind the figures."""
    readouts = collect(context)
    sweep = context.stage("patch").table("sweep")
    patching = patching_result(
        sweep, resamples=context.config.bootstrap_resamples, seed=context.config.seed
    )
    summary = summarise(context, readouts, patching)
    stage.save_table("held_out", held_out_table(readouts))
    stage.save_table("patching", _patching_table(patching))
    shown = {**summary, **seconds(context, ("report",))}
    write_report(
        context.figures,
        f"Does {context.config.model.shown} know when it is wrong?",
        sections(context, readouts, patching, summary),
        shown,
        context.config.model_dump(mode="json"),
        (),
        _samples(context, readouts),
        lead=headline_tables(readouts.stated, summary),
    )
    written = sha256_of(context.store.folder / "config.json")
    return {"summary": summary, "page": str(page(context)), "config_sha256": written}


def sections(
    context: Run, readouts: Readouts, patching: PatchingResult, summary: dict[str, Any]
) -> list[Section]:
    """All figures of a run, in reading order."""
    caption = (
        f"{summary['questions.test']} held-out questions, {summary['model.name']}, matrix products "
        "in "
        f"{summary['model.precision']}"
    )
    patched = (
        f"{summary['patching.items']} held-out questions, {summary['model.name']}, matrix products "
        "in "
        f"{summary['model.precision']}"
    )
    return [
        bottleneck(readouts, summary, caption),
        *([histogram(readouts, caption)] if parsed_at_all(readouts) else []),
        reliability(readouts, caption),
        _by_layer(context, summary, caption),
        _patching(patching, patched),
        _following(patching, patched),
        _heatmap(readouts, patching, context, patched),
    ]


def bottleneck(readouts: Readouts, summary: dict[str, Any], caption: str) -> Section:
    """AUROC2 of every readout under every condition."""

    def estimate(key: str) -> Estimate:
        return Estimate(
            summary[key], summary[f"{key}.low"], summary[f"{key}.high"], len(readouts.correct)
        )

    rows = [
        ReadoutRow(
            readout,
            when,
            estimate(f"auroc2.{readout}.{when}"),
            estimate(f"auroc2.{readout}.within.{when}"),
        )
        for readout in ("text", "expected")
        for when in readouts.stated
        if f"auroc2.{readout}.{when}" in summary
    ]
    for when in readouts.probe:
        end = "" if when == BEFORE else f".{when}"
        rows.append(
            ReadoutRow(
                "probe", when, estimate(f"auroc2.probe{end}"), estimate(f"auroc2.probe.within{end}")
            )
        )
    figure = ReadoutComparison(
        rows=rows, title="What is known and what is said", caption=caption
    ).figure()
    explanation = (
        "How well each readout tells right from wrong answers: the text the model writes, the "
        "expected value of its "
        "distribution over 0-100, and a probe on its hidden states. Text far left of the probe "
        "before teaching is the "
        "text bottleneck. The within-domain panel removes what knowing a domain's difficulty alone "
        "would give."
    )
    return Section("The bottleneck at a glance", explanation, figure, "bottleneck")


def parsed_at_all(readouts: Readouts) -> bool:
    """Whether a number was stated under any condition; without one there is nothing to draw, and
    parse rates say so.
    """
    return any(not np.isnan(values).all() for values in readouts.stated.values())


def histogram(readouts: Readouts, caption: str) -> Section:
    """What the text states under every condition."""
    groups = {
        when: 100 * values for when, values in readouts.stated.items() if not np.isnan(values).all()
    }
    figure = ConfidenceHistogram(
        groups=groups, title="What the text states", caption=caption
    ).figure()
    explanation = (
        "Stated confidence before and after teaching, and after teaching on shuffled targets."
    )
    return Section("Stated confidence", explanation, figure, "stated_confidence")


def reliability(readouts: Readouts, caption: str) -> Section:
    """Text and expected confidence, side by side, against the share of right answers; shuffled
    targets left out.
    """
    panels = {
        name: {
            when: (values[when], readouts.correct)
            for when in readouts.stated
            if "shuffled" not in when and not np.isnan(values[when]).all()
        }
        for name, values in (("text", readouts.stated), ("expected", readouts.expected))
    }
    panels = {name: groups for name, groups in panels.items() if groups}
    figure = Reliability(
        panels=panels, bins=10, title="Is stated confidence earned?", caption=caption
    ).figure()
    explanation = (
        "Share of right answers at each level of confidence; on the diagonal confidence means what "
        "it says."
    )
    return Section("Reliability", explanation, figure, "reliability")


def _by_layer(context: Run, summary: dict[str, Any], caption: str) -> Section:
    series: dict[str, IntervalCurve] = {}
    layers = np.arange(0)
    for when, name in (("before", "probe"), ("after", "probe_tuned")):
        table = context.stage(name).table("layers")
        for position in POSITIONS:
            part = table[table["position"] == position].sort_values("layer")
            layers = part["layer"].to_numpy()
            if position == "confidence":
                series[f"{when}, confidence position"] = _columns(part, "auroc2")
            elif when == "before":
                series[f"{when}, {position.replace('_', ' ')}"] = _columns(part, "auroc2")
        if when == "before":
            part = table[table["position"] == "confidence"].sort_values("layer")
            series["shuffled labels"] = _columns(part, "auroc2_shuffled")
    references = {
        "text before": summary["auroc2.text.before"],
        "text after": summary["auroc2.text.after"],
    }
    figure = AurocByLayer(
        layers=layers,
        series=series,
        references=references,
        title="Where it is known",
        caption=caption,
    ).figure()
    explanation = (
        "A linear probe reads from each layer whether the answer was right; fitted on training "
        "questions, scored on "
        "held-out ones. Shuffled labels show what a probe with nothing to learn reaches (range "
        "over permutations)."
    )
    return Section("AUROC2 by layer", explanation, figure, "auroc2_by_layer")


def _patching(patching: PatchingResult, caption: str) -> Section:
    own = patching.sweeps["own_tuned"]
    controls = {
        CONTROL_NAMES[name]: _spread(curve, patching.sweeps[name].layers, own.layers)
        for name, curve in patching.shift.items()
        if name in CONTROL_NAMES and name != "own_base"
    }
    figure = PatchingCurve(
        layers=own.layers,
        effect=patching.shift["own_tuned"],
        controls=controls,
        rho=patching.rho,
        noise_floor=float(np.abs(patching.shift["own_base"].value).max()),
        title="Where the taught confidence is carried",
        caption=caption,
    ).figure()
    explanation = (
        "The tuned model's state, put into the base model at the confidence position behind one "
        "layer: 0 = nothing moved, "
        "1 = the stated distribution moved all the way to the tuned model's. A rising curve alone "
        "localises little: "
        "compare the linear ramp, the donor from another question, and the following curves."
    )
    return Section("Patching, with its controls", explanation, figure, "patching")


def _following(patching: PatchingResult, caption: str) -> Section:
    figure = FollowingCurve(
        layers=patching.sweeps["other_tuned"].layers,
        donor_slope=patching.donor_slope,
        base_slope=patching.base_slope,
        half_layer=patching.half_layer,
        noise_floor=slope_noise_floor(patching.sweeps["other_tuned"], patching.noise),
        title="Whose confidence is it?",
        caption=caption,
    ).figure()
    explanation = (
        "With donors from other questions: how much the patched confidence follows the donor's "
        "own, and how much it stays "
        "with the question it was put into. Donor slope 1 and base slope 0: the patched state "
        "carries that item's confidence."
    )
    return Section("Following", explanation, figure, "following")


def _heatmap(readouts: Readouts, patching: PatchingResult, context: Run, caption: str) -> Section:
    own = patching.sweeps["own_tuned"]
    table = context.stage("patch").table("sweep")
    rows = (
        table[table["condition"] == "own_tuned"].drop_duplicates("item").sort_values("item")["row"]
    )
    text = readouts.questions.set_index("row")["question"].loc[rows].tolist()
    distance = own.donor - own.base
    distance = np.where(np.abs(distance) >= 0.01, distance, np.nan)
    shift, floor = (
        (own.patched - own.base[:, None]) / distance[:, None],
        patching.noise / np.abs(distance),
    )
    figure = LayerQuestionHeatmap(
        layers=own.layers,
        labels=text,
        shift=shift,
        floor=floor,
        title="Question by question",
        caption=caption,
    ).figure()
    explanation = (
        "The shift of each question; blank where tuned and base model state the same to within one "
        "point of confidence."
    )
    return Section("Layer by question", explanation, figure, "layer_question")


def _columns(table: pd.DataFrame, name: str) -> IntervalCurve:
    return IntervalCurve(
        table[name].to_numpy(), table[f"{name}.low"].to_numpy(), table[f"{name}.high"].to_numpy()
    )


def _spread(curve: IntervalCurve, at: np.ndarray, layers: np.ndarray) -> IntervalCurve:
    """A curve known at some layers, NaN at the others."""

    def full(values: np.ndarray) -> np.ndarray:
        out = np.full(len(layers), np.nan)
        out[np.searchsorted(layers, at)] = values
        return out

    return IntervalCurve(full(curve.value), full(curve.low), full(curve.high))


def held_out_table(r: Readouts) -> pd.DataFrame:
    """The held-out questions with their grade and every condition's readouts."""
    table = r.questions[["row", "id", "question", "domain"]].copy()
    table["correct"] = r.correct
    for name, values in (("stated", r.stated), ("expected", r.expected), ("probe", r.probe)):
        for when, column in values.items():
            table[f"{name}_{when}"] = column
    return table


def _patching_table(patching: PatchingResult) -> pd.DataFrame:
    curves = {
        f"shift of {name}": (patching.sweeps[name].layers, curve)
        for name, curve in patching.shift.items()
    }
    layers = patching.sweeps["other_tuned"].layers
    curves |= {
        "donor slope": (layers, patching.donor_slope),
        "base slope": (layers, patching.base_slope),
    }
    return pd.concat(
        [
            pd.DataFrame(
                {"curve": name, "layer": at, "value": c.value, "low": c.low, "high": c.high}
            )
            for name, (at, c) in curves.items()
        ],
        ignore_index=True,
    )


def _samples(context: Run, r: Readouts) -> list[dict[str, Any]]:
    answered = context.stage("answer").table("answers").set_index("row")["answer"]
    chosen = (
        r.questions.groupby("domain")
        .head(max(1, SAMPLE_ROWS // r.questions["domain"].nunique()))
        .index
    )
    return [
        {
            "question": r.questions["question"][i],
            "answer": answered[r.questions["row"][i]],
            "correct": bool(r.correct[i]),
            "stated before": round(100 * float(r.stated["before"][i]), 1),
            "stated after": round(100 * float(r.stated["after"][i]), 1),
            "probe": round(100 * float(r.probe["before"][i]), 1),
        }
        for i in chosen
    ]
