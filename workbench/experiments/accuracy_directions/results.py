"""Gather what the stages measured into a record a condition.

Brier scores and AUROC2 of steering are of the held-out questions that were steered; differences are
paired, with normal intervals of the mean over questions. Of several random directions the mean
Brier score over them is taken for each question, and AUROC2 of the first. Reasoning is tested on
the base model alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workbench.arrays import Bools
from workbench.experiments.accuracy_directions.directions import (
    QUANTITIES,
    READINGS,
    directions_stage,
    estimates_of,
)
from workbench.experiments.accuracy_directions.reasoned import STAGE as REASONED
from workbench.experiments.accuracy_directions.steering import (
    ADAPTIVE,
    BASE,
    CONSTANT,
    PERMUTED,
    RANDOM,
    STEERED,
    steering_stage,
)
from workbench.experiments.mechanism_record import record_of_run
from workbench.experiments.text_bottleneck.conditions import BEFORE, ModelCondition
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.measure.delong import delong_within
from workbench.measure.interval import Estimate
from workbench.mechanisms.record import BASE as UNTUNED
from workbench.mechanisms.record import TAUGHT, MechanismRecord
from workbench.mechanisms.works.accuracy_directions import WORK
from workbench.mechanisms.works.direction_worlds import mean_of
from workbench.pipeline.store import ROW, StageStore

ON_REASONING = (
    "formats_corrected",
    "reasoned_corrected",
    "reliability_reasoned",
    "read_reasoned",
    "reading_lost",
    "brier_direct",
    "brier_reasoned",
    "reasoned_minus_direct",
)


def measure_directions(
    run: Run, stage: StageStore, *, conditions: Sequence[ModelCondition], reasoned: bool
) -> list[MechanismRecord]:
    """Return the record of every condition."""
    return [_record(run, each, reasoned) for each in conditions]


def _record(run: Run, condition: ModelCondition, reasoned: bool) -> MechanismRecord:
    directions = run.stage(directions_stage(condition.name))
    steering = run.stage(steering_stage(condition.name))
    found = estimates_of(directions.table(QUANTITIES))
    base = condition == BEFORE
    facts = {
        "layer": directions.facts()["layer"],
        **{name: steering.facts()[name] for name in ("strength", "constant", "constant_layer")},
        "steered_layer": steering.facts()["layer"],
    }
    reasons: dict[str, str] = {}
    if base and reasoned:
        found |= estimates_of(run.stage(REASONED).table(QUANTITIES))
        kept = run.stage(REASONED).facts()
        facts["reasoned"] = {name: kept[name] for name in ("format", "accuracy", "confidence")}
    else:
        why = "no run that reasons was named" if base else "reasoning is tested on the base model"
        reasons = dict.fromkeys(ON_REASONING, why)
    found |= measure_steering(run, condition)
    return record_of_run(
        run,
        WORK,
        found,
        UNTUNED if base else TAUGHT,
        reasons=reasons,
        facts=facts,
    )


def measure_steering(run: Run, condition: ModelCondition) -> dict[str, Estimate]:
    """Return what steering does to held-out questions."""
    table = run.stage(steering_stage(condition.name)).table(STEERED)
    questions, _ = load_questions(run)
    arms = {str(arm): lines.set_index(ROW).sort_index() for arm, lines in table.groupby("arm")}
    rows = arms[BASE].index.to_numpy()
    graded = run.stage("answer").table("answers").set_index(ROW)["correct"]
    correct: Bools = graded.loc[rows.tolist()].to_numpy(dtype=bool)
    domain = questions["domain"].to_numpy(dtype=str)[rows]
    random = [lines for arm, lines in arms.items() if arm.startswith(RANDOM)]
    errors = {
        arm: (arms[arm]["expected"].to_numpy() - correct) ** 2
        for arm in (BASE, ADAPTIVE, CONSTANT, PERMUTED)
    }
    errors[RANDOM] = np.mean(
        [(each["expected"].to_numpy() - correct) ** 2 for each in random], axis=0
    )
    known = run.stage(directions_stage(condition.name)).table(READINGS).set_index(ROW)
    errors["probe"] = (known["probability"].loc[rows.tolist()].to_numpy() - correct) ** 2
    found = {f"brier_{arm}": mean_of(each) for arm, each in errors.items()}
    found |= {
        f"steered_minus_{arm}": mean_of(errors[ADAPTIVE] - errors[arm])
        for arm in (BASE, PERMUTED, CONSTANT, RANDOM)
    }
    shown = {BASE: arms[BASE], ADAPTIVE: arms[ADAPTIVE], PERMUTED: arms[PERMUTED]}
    shown[RANDOM] = random[0]
    found |= {
        f"auroc2_{arm}": delong_within(lines["expected"], correct, domain)
        for arm, lines in shown.items()
    }
    return found | {"auroc2_written": delong_within(arms[ADAPTIVE]["written"], correct, domain)}


def curves_of(run: Run, conditions: Sequence[ModelCondition]) -> pd.DataFrame:
    """Return the cosines after every layer, with the condition's name on records."""
    return pd.concat(
        [
            run.stage(directions_stage(each.name))
            .table("layers")
            .assign(condition=UNTUNED if each == BEFORE else TAUGHT)
            for each in conditions
        ],
        ignore_index=True,
    )
