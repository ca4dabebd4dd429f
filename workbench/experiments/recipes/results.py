"""A recipe's results as numbers: the flat summary with dotted keys, each estimate with its
interval.

Conditions: ``before``, the base model; ``platt``, ``isotonic`` and ``temperature``, the base
model's confidence put through a map fitted on the training questions; every training by its name;
its twin on shuffled targets as ``<name>-shuffled``; the training's confidence with a temperature
fitted on what it was not taught as ``<name>-temperature``. ``gain.<measure>`` is a condition minus
``before``, ``over_shuffled.<measure>`` a training minus its twin, ``over_platt.<measure>`` a
training minus the recalibrated base, all paired by question: above zero is better for AUROC2, worse
for calibration errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.experiments.recipes.own_answers import own_summary
from workbench.experiments.recipes.trainings import TEMPERED, Training
from workbench.loop.answer_stability import answer_accuracy, same_answers
from workbench.loop.answers import right_answers
from workbench.loop.conditions import BEFORE, CALIBRATION, Readouts, calibration, discrimination
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.loop.tables import COLUMNS, cell, measured, table_rows
from workbench.measure import (
    RECALIBRATIONS,
    auroc2_difference,
    bootstrap,
    paired_metrics,
    seed_split,
)
from workbench.measure.inputs import Floats

RECALIBRATED = ("platt", "isotonic", "temperature")
ERRORS = ("ece", "smooth_ece", "brier")
PARTS = ("in_domain", "out_of_domain")


def collect_recipe(context: Run, taught: Sequence[Training]) -> Readouts:
    """Line up every condition's readouts on the held-out questions."""
    questions, _ = load_questions(context)
    test = questions[questions["split"] == "test"]
    train = questions[questions["split"] == "train"]["row"].to_numpy()
    rows = test["row"].to_numpy()

    def read(stage: str, column: str, at: NDArray[np.int64] = rows) -> Floats:
        return (
            context.stage(stage)
            .table("confidence")
            .set_index("row")[column]
            .loc[at.tolist()]
            .to_numpy(dtype=float)
        )

    def every(column: str) -> dict[str, Floats]:
        base, fitted_on = read("elicit", column), read("elicit", column, train)
        found = {BEFORE: base}
        found |= {
            name: _recalibrated(name, fitted_on, right_answers(context, train), base)
            for name in RECALIBRATED
        }
        for training in taught:
            found[training.name] = read(training.stage("elicit"), column)
            if training.arm.calibration_fraction:
                back = kept_back(context, training)
                known, own = read(training.stage("elicit"), column, back), found[training.name]
                found[training.name + TEMPERED] = _recalibrated(
                    "temperature", known, right_answers(context, back), own
                )
            if training.shuffled_control:
                found[training.control_name] = read(training.stage("elicit_control"), column)
        return found

    def probed(stage: str) -> Floats:
        return (
            context.stage(stage)
            .table("probabilities")
            .set_index("row")["probability"]
            .loc[rows]
            .to_numpy()
        )

    return Readouts(
        questions=test.reset_index(drop=True),
        correct=right_answers(context, rows),
        stated=every("stated"),
        expected=every("expected"),
        probe={BEFORE: probed("probe")}
        | {p.name: probed(p.stage("probe")) for p in taught if p.probe},
    )


def kept_back(context: Run, training: Training) -> NDArray[np.int64]:
    """Training questions kept back from the training; those it merely did not draw are not among
    them.
    """
    return context.stage(training.stage("teach")).table("kept_back")["row"].to_numpy()


def _recalibrated(name: str, fitted_on: Floats, right: NDArray[np.bool_], base: Floats) -> Floats:
    """``base`` through the map fitted on the training questions; unparsed throughout where there
    is nothing to fit.
    """
    if len(np.unique(right[~np.isnan(fitted_on)])) < 2:
        return np.full(len(base), np.nan)
    return RECALIBRATIONS[name](fitted_on, right)(base)


def summarise_recipe(context: Run, r: Readouts, taught: Sequence[Training]) -> dict[str, Any]:
    """The flat summary; ``key.low`` and ``key.high`` bound the estimate ``key``."""
    drawn = {"resamples": context.config.bootstrap_resamples, "seed": context.config.seed}
    silent = [name for name, values in r.stated.items() if np.isnan(values).all()]
    out = _spoken({**discrimination(r, **drawn), **calibration(r, **drawn)}, silent)
    for training in taught:
        out |= _differences("gain", r, training.name, BEFORE, drawn)
        if training.shuffled_control:
            out |= _differences("over_shuffled", r, training.name, training.control_name, drawn)
        out |= _differences("over_platt", r, training.name, "platt", drawn)
        if training.states_confidence:
            out |= answer_accuracy(context, r, training.stage("elicit"), training.name, **drawn)
            out |= _same_answers(context, r, training, drawn)
        if training.arm.trains_answers:
            out |= own_summary(context, r, training, **drawn)
        out |= _costs(context, training)
    return {
        **out,
        **_over_seeds(r, taught),
        **of_parts(r, context.config.questions.held_out_domains, silent, drawn),
        **_facts(context, r),
    }


def _spoken(found: dict[str, Any], silent: Sequence[str]) -> dict[str, Any]:
    """Without the text's measures of conditions that state nothing as text."""
    return {
        key: value
        for key, value in found.items()
        if not any(
            key.startswith(("auroc2.text.", "stated.", *(f"{name}.text." for name in CALIBRATION)))
            and key.removesuffix(".low").removesuffix(".high").endswith(f".{name}")
            for name in silent
        )
    }


def _differences(
    kind: str, r: Readouts, name: str, other: str, drawn: dict[str, int]
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for readout, values in (("text", r.stated), ("expected", r.expected)):
        a, b = values[name], values[other]
        if np.isnan(a + b).all():
            continue
        for part, domain in (("", None), (".within", r.domain)):
            found = auroc2_difference(a, b, r.correct, domain, **drawn)
            out |= found.to_dict(f"{kind}.auroc2.{readout}{part}.{name}")
        errors = paired_metrics(a, b, r.correct, names=ERRORS, **drawn).difference
        for error, estimate in errors.items():
            out |= estimate.to_dict(f"{kind}.{error}.{readout}.{name}")
    return out


def _same_answers(
    context: Run, r: Readouts, training: Training, drawn: dict[str, int]
) -> dict[str, Any]:
    same = same_answers(context, r, training.stage("elicit"))
    if same is None:
        return {}
    kept = r.only(same)
    out: dict[str, Any] = {f"same_answers.questions.{training.name}": int(same.sum())}
    if same.any():
        out |= _differences("same_answers.gain", kept, training.name, BEFORE, drawn)
    return out


def _costs(context: Run, training: Training) -> dict[str, Any]:
    facts = context.stage(training.stage("teach")).facts()
    return {
        f"training.tokens.{training.name}": facts["tokens"],
        f"training.examples.{training.name}": facts["examples"],
        f"training.questions.{training.name}": facts["questions"],
        f"training.steps.{training.name}": facts["steps"],
        f"seconds.training.{training.name}": facts["seconds"],
    }


def _over_seeds(r: Readouts, taught: Sequence[Training]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for arm in dict.fromkeys(training.arm.name for training in taught):
        own = [training for training in taught if training.arm.name == arm]
        if len(own) < 2:
            continue
        for readout, values in (("text", r.stated), ("expected", r.expected)):
            if readout == "text" and not own[0].states_confidence:
                continue
            split = seed_split(
                {training.seed: values[training.name] for training in own}, r.correct
            )
            out |= {f"seeds.{readout}.{key}.{arm}": value for key, value in vars(split).items()}
    return out


def of_parts(
    r: Readouts, held_out: Sequence[str], silent: Sequence[str], drawn: dict[str, int]
) -> dict[str, Any]:
    """The measures inside and outside of the domains that were taught, where some were
    ``held_out``; ``silent`` conditions state nothing.

    The base model's accuracy stands beside them: stated confidence that only learned the taught
    domains' share of right answers is calibrated there, and off by the difference where another
    share is right.
    """
    if not held_out:
        return {}
    outside = np.isin(r.domain, held_out)
    out: dict[str, Any] = {}
    for name, chosen in zip(PARTS, (~outside, outside), strict=True):
        part = r.only(chosen)
        accuracy = bootstrap(np.mean, part.correct.astype(np.float64), **drawn)
        out |= accuracy.to_dict(f"{name}.accuracy")
        found = _spoken({**discrimination(part, **drawn), **calibration(part, **drawn)}, silent)
        out |= {f"{name}.questions": int(chosen.sum())} | {
            f"{name}.{key}": value for key, value in found.items()
        }
    return out


def _facts(context: Run, r: Readouts) -> dict[str, Any]:
    answered = context.stage("answer").facts()
    return {
        "model.name": context.config.model.shown,
        "model.revision": answered["model_revision"],
        "model.template": answered["template"],
        "model.precision": answered["precision"],
        "questions.test": len(r.questions),
        "questions.train": int((load_questions(context)[0]["split"] == "train").sum()),
        "answers.ungraded": context.stage("answer").facts().get("ungraded", 0),
        "mass_on_scale.before": float(context.stage("elicit").table("confidence")["mass"].mean()),
        "seed": context.config.seed,
    }


# Where an adapter could have changed answers, and where answers were taught.
MORE_COLUMNS: Mapping[str, str] = {
    "accuracy, adapter on": "accuracy.adapter_on_while_answering",
    "own AUROC2 expected": "own.auroc2.expected",
    "own ECE expected": "own.ece.expected",
    "own Brier expected": "own.brier.expected",
}


def columns_of(summary: Mapping[str, Any]) -> Mapping[str, str]:
    """The table's columns, with those that only some recipes have."""
    return {**COLUMNS, **measured(MORE_COLUMNS, summary)}


def part_tables(
    conditions: Iterable[str], summary: Mapping[str, Any]
) -> list[tuple[str, list[dict[str, str]]]]:
    """A table of the domains that were taught and one of those that were not, where some were
    held out, with the accuracy in each.
    """
    conditions, found = list(conditions), []
    for part, title in zip(
        PARTS, ("Domains that were taught", "Domains that were not"), strict=True
    ):
        if f"{part}.questions" not in summary:
            continue
        columns = measured({head: f"{part}.{key}" for head, key in COLUMNS.items()}, summary)
        accuracy = cell(summary, f"{part}.accuracy").replace("\n", " ")
        heading = f"{title}: {summary[f'{part}.questions']} held-out questions, accuracy {accuracy}"
        found.append((heading, table_rows(conditions, summary, columns)))
    return found
