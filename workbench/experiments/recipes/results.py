"""Collect a recipe's results: the readouts of every condition on the held-out questions, and every
measure by its key.

Conditions: ``before``, the base model; ``platt``, ``isotonic`` and ``temperature``, the base
model's confidence put through a map fitted on the training questions; every training by its name;
its control on shuffled targets as ``<name>-control``; the training's confidence with a temperature
fitted on questions it was not trained on, as ``<name>-temperature``. ``gain.<measure>`` is a
condition minus ``before``, ``vs_control.<measure>`` a training minus its control,
``vs_platt.<measure>`` a training minus the recalibrated base, all paired by question: above zero is
better for AUROC2, worse for calibration errors.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Bools, Floats
from workbench.experiments.recipes.own_answers import own_measures
from workbench.experiments.recipes.trainings import Training
from workbench.loop.answer_stability import answer_accuracy, unchanged_answers
from workbench.loop.answers import right_answers
from workbench.loop.conditions import (
    BEFORE,
    EXPECTED,
    READOUTS,
    STATED,
    Condition,
    Key,
    Measures,
    Readouts,
    calibration,
    discrimination,
    in_part,
    without_text,
)
from workbench.loop.questions import load_questions
from workbench.loop.results import (
    PROBES_OF,
    STAGES_OF,
    bootstrap_of,
    column_of,
    facts_of,
    probabilities_of,
)
from workbench.loop.run import Run
from workbench.loop.tables import COLUMNS, Columns, cell, measured, table_rows
from workbench.measure import (
    RECALIBRATIONS,
    Bootstrap,
    auroc2_difference,
    bootstrap,
    flat_summary,
    paired_metrics,
    seed_split,
)

PLATT, ISOTONIC, TEMPERATURE = (
    Condition(recalibration=name) for name in ("platt", "isotonic", "temperature")
)
RECALIBRATED = (PLATT, ISOTONIC, TEMPERATURE)
ERRORS = ("ece", "smooth_ece", "brier")
PARTS = ("in_domain", "out_of_domain")


@dataclass(frozen=True)
class RecipeResults:
    """The results of a recipe: readouts, every measure, and facts of the run."""

    readouts: Readouts
    measures: Measures
    facts: dict[str, Any]

    def summary(self) -> dict[str, Any]:
        """Return the flat summary; ``key.low`` and ``key.high`` bound the estimate ``key``."""
        return {**flat_summary(self.measures), **self.facts}


def recipe_results(context: Run, taught: Sequence[Training]) -> RecipeResults:
    """Measure every condition of a recipe whose trainings have finished."""
    readouts = collect_recipe(context, taught)
    return RecipeResults(
        readouts, recipe_measures(context, readouts, taught), facts_of(context, readouts)
    )


def collect_recipe(context: Run, taught: Sequence[Training]) -> Readouts:
    """Align every condition's readouts on the held-out questions."""
    questions, _ = load_questions(context)
    test = questions[questions["split"] == "test"]
    train = questions[questions["split"] == "train"]["row"].to_numpy()
    rows, base_stage = test["row"].to_numpy(), STAGES_OF[BEFORE]

    def every(column: str) -> dict[Condition, Floats]:
        base = column_of(context, base_stage, column, rows)
        fitted_on = column_of(context, base_stage, column, train)
        found = {BEFORE: base}
        for condition in RECALIBRATED:
            found[condition] = _recalibrated(
                condition, fitted_on, right_answers(context, train), base
            )
        for training in taught:
            stage = training.stage("elicit")
            own = found[training.condition] = column_of(context, stage, column, rows)
            if training.teach.calibration_fraction:
                back = kept_back(context, training)
                tempered = replace(training.condition, recalibration=TEMPERATURE.recalibration)
                known = column_of(context, stage, column, back)
                found[tempered] = _recalibrated(tempered, known, right_answers(context, back), own)
            if training.shuffled_control:
                control = training.stage("elicit_control")
                found[training.control] = column_of(context, control, column, rows)
        return found

    probed = {p.condition: p.stage("probe") for p in taught if p.probe}
    return Readouts(
        questions=test.reset_index(drop=True),
        correct=right_answers(context, rows),
        stated=every(STATED),
        expected=every(EXPECTED),
        probe={
            condition: probabilities_of(context, stage, rows)
            for condition, stage in {BEFORE: PROBES_OF[BEFORE], **probed}.items()
        },
    )


def kept_back(context: Run, training: Training) -> NDArray[np.int64]:
    """Return the training questions kept back from the training, without those it merely did not
    draw.
    """
    return context.stage(training.stage("teach")).table("kept_back")["row"].to_numpy()


def _recalibrated(condition: Condition, fitted_on: Floats, right: Bools, base: Floats) -> Floats:
    """Apply the condition's map, fitted on other questions, to ``base``; NaN throughout where there
    is nothing to fit.
    """
    if len(np.unique(right[~np.isnan(fitted_on)])) < 2:
        return np.full(len(base), np.nan)
    return RECALIBRATIONS[condition.recalibration](fitted_on, right)(base)


def recipe_measures(context: Run, r: Readouts, taught: Sequence[Training]) -> Measures:
    """Compute all measures of the conditions in ``r``."""
    draw = bootstrap_of(context)
    out = without_text({**discrimination(r, draw), **calibration(r, draw)}, r.silent)
    for training in taught:
        own = training.condition
        out |= _differences("gain", r, own, BEFORE, draw)
        if training.shuffled_control:
            out |= _differences("vs_control", r, own, training.control, draw)
        out |= _differences("vs_platt", r, own, PLATT, draw)
        if training.states_confidence:
            out |= answer_accuracy(context, r, training.stage("elicit"), own, draw)
            out |= _unchanged_answers(context, r, training, draw)
        if training.arm.trains_answers:
            out |= own_measures(context, r, training, draw)
        out |= _costs(context, training)
    return {
        **out,
        **_over_seeds(r, taught),
        **of_parts(r, context.config.questions.held_out_domains, r.silent, draw),
    }


def _differences(
    contrast: str, r: Readouts, one: Condition, other: Condition, draw: Bootstrap
) -> Measures:
    """Return ``one`` minus ``other``, without readouts that one of them lacks."""
    out: Measures = {}
    for readout in READOUTS:
        a, b = r.of[readout][one], r.of[readout][other]
        if np.isnan(a + b).all():
            continue
        key = Key("auroc2", readout, one, contrast=contrast)
        for within, domain in ((False, None), (True, r.domain)):
            out[replace(key, within=within)] = auroc2_difference(
                a, b, r.correct, domain, **draw.options
            )
        errors = paired_metrics(a, b, r.correct, names=ERRORS, **draw.options).difference
        out |= {replace(key, measure=error): estimate for error, estimate in errors.items()}
    return out


def _unchanged_answers(context: Run, r: Readouts, training: Training, draw: Bootstrap) -> Measures:
    """Return the gains on the questions whose answer the adapter did not change."""
    same = unchanged_answers(context, r, training.stage("elicit"))
    if same is None:
        return {}
    part, own = "unchanged_answers", training.condition
    out: Measures = {Key("questions", condition=own, part=part): int(same.sum())}
    if same.any():
        out |= in_part(part, _differences("gain", r.only(same), own, BEFORE, draw))
    return out


def _costs(context: Run, training: Training) -> Measures:
    facts, own = context.stage(training.stage("teach")).facts(), training.condition
    counted = ("tokens", "examples", "questions", "steps")
    return {
        **{Key(name, part="training", condition=own): facts[name] for name in counted},
        Key("training", part="seconds", condition=own): facts["seconds"],
    }


def _over_seeds(r: Readouts, taught: Sequence[Training]) -> Measures:
    """Measure how the seeds of each arm differ, where there are several."""
    out: Measures = {}
    for arm in dict.fromkeys(training.arm.name for training in taught):
        own = [training for training in taught if training.arm.name == arm]
        if len(own) < 2:
            continue
        for readout in READOUTS:
            if readout == STATED and not own[0].states_confidence:
                continue
            by_seed = {training.seed: r.of[readout][training.condition] for training in own}
            split = vars(seed_split(by_seed, r.correct))
            out |= {
                Key(name, part=f"seeds.{readout}", condition=Condition(arm)): value
                for name, value in split.items()
            }
    return out


def of_parts(
    r: Readouts, held_out: Sequence[str], silent: Sequence[Condition], draw: Bootstrap
) -> Measures:
    """Return the measures inside and outside of the domains that were trained on, where some were
    ``held_out``; ``silent`` conditions state nothing.

    The base model's accuracy is returned with them. Stated confidence that only learned the trained
    domains' share of right answers is calibrated there, and off by the difference where another
    share is right.
    """
    if not held_out:
        return {}
    outside = np.isin(r.domain, held_out)
    out: Measures = {}
    for name, chosen in zip(PARTS, (~outside, outside), strict=True):
        part = r.only(chosen)
        found: Measures = {
            Key("accuracy"): bootstrap(np.mean, part.correct.astype(np.float64), **draw.options),
            Key("questions"): int(chosen.sum()),
            **without_text({**discrimination(part, draw), **calibration(part, draw)}, silent),
        }
        out |= in_part(name, found)
    return out


# Where an adapter could have changed answers, and where answers were trained.
MORE_COLUMNS: Columns = {
    "accuracy, adapter on": Key("accuracy.adapter_on_while_answering"),
    "own AUROC2 expected": Key("auroc2", EXPECTED, part="own_answers"),
    "own ECE expected": Key("ece", EXPECTED, part="own_answers"),
    "own Brier expected": Key("brier", EXPECTED, part="own_answers"),
}


def columns_of(measures: Measures) -> dict[str, Key]:
    """Return the table's columns, including those that only some recipes have."""
    return {**COLUMNS, **measured(MORE_COLUMNS, measures)}


def part_tables(
    conditions: Iterable[Condition], measures: Measures
) -> list[tuple[str, list[dict[str, str]]]]:
    """Return a table of the domains that were trained on and one of those that were not, where some
    were held out, with the accuracy in each.
    """
    conditions, found = list(conditions), []
    titles = ("Domains that were taught", "Domains that were not")
    for part, title in zip(PARTS, titles, strict=True):
        questions = measures.get(Key("questions", part=part))
        if questions is None:
            continue
        columns = {head: replace(key, part=part) for head, key in COLUMNS.items()}
        accuracy = " ".join(cell(measures, Key("accuracy", part=part)).split())
        heading = f"{title}: {questions} held-out questions, accuracy {accuracy}"
        found.append((heading, table_rows(conditions, measures, measured(columns, measures))))
    return found
