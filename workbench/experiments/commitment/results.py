"""Measure what was offered and pushed, and seal a record for the base and for the taught model.

Base: reported confidence, likelihood, choice, directions and pushes. Taught: the taught confidence
and the taught choice beside the base model's answers and their likelihood; its states after the
answer are the base model's where the adapter acts on replies; directions and pushes are of the base
model in any case.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from workbench.arrays import Floats, Rows
from workbench.experiments.commitment.offered import OFFERED, SHOWN, SWAPPED
from workbench.experiments.commitment.offered import STAGE as OFFERS
from workbench.experiments.commitment.offered import TAUGHT as OF_TAUGHT
from workbench.experiments.commitment.pushes import BASE as UNPUSHED
from workbench.experiments.commitment.pushes import (
    CONFIDENCE,
    CORRECTNESS,
    FIRST,
    NOTHING,
    PUSHED,
    RANDOM,
    states_after_answer,
    training_states,
)
from workbench.experiments.commitment.pushes import STAGE as PUSHES
from workbench.experiments.mechanism_record import record_of_run
from workbench.loop.answers import answer_likelihoods, right_answers
from workbench.loop.questions import load_questions
from workbench.loop.results import bootstrap_of, column_of
from workbench.loop.run import Run
from workbench.loop.states import states_of_stage
from workbench.measure import Bootstrap, PassedShare, passed_share
from workbench.measure.interval import Estimate
from workbench.mechanisms.record import BASE, TAUGHT, MechanismRecord
from workbench.mechanisms.works.commitment import WORK
from workbench.mechanisms.works.commitment_directions import (
    angle_quantities,
    measure_angle,
    whiten,
)
from workbench.mechanisms.works.commitment_pushes import Pushed, measure_pushes
from workbench.mechanisms.works.commitment_scores import Committed, log_odds, measure_scores
from workbench.pipeline.store import ROW, StageStore

ANGLES, PASSES = "angles", "passes"
ELICITED = {BASE: "elicit", TAUGHT: "elicit_tuned"}
CONSTANT = "the outcome is the same for every held-out question"
OF_BASE = {
    "reply": (
        "the adapter acts on replies, so that the states after the answer are the base model's; "
        "see its record"
    ),
    "conversation": "directions and pushes are those of the base model alone; see its record",
}
"""Why the taught model has no directions and pushes, by what its adapter acts on."""


def measure_commitment(
    run: Run, stage: StageStore, *, teaching: bool, layers: Sequence[int]
) -> list[MechanismRecord]:
    """Return the record of the base model and, with ``teaching``, of the taught one; save the
    angles of all ``layers`` and the share passed at each confidence for the page.
    """
    offered = run.stage(OFFERS).table(OFFERED)
    draw = bootstrap_of(run)
    in_states = _angles(run, offered) | measure_pushes(_pushed(run), draw)
    of_base = dict.fromkeys(in_states, OF_BASE[run.config.teach.adapter_scope])
    conditions = (BASE, TAUGHT) if teaching else (BASE,)
    stage.save_table(ANGLES, angles_by_layer(run, offered, layers))
    records, curves = [], []
    for condition in conditions:
        questions = committed(run, offered, condition)
        found = measure_scores(questions, draw, run.config.seed)
        curves.append(_curve_rows(questions, draw).assign(condition=condition))
        if condition == BASE:
            found |= in_states
        facts = {
            "threshold": questions.threshold,
            "above_half": float((questions.p_commit > 0.5).mean()),
            "mass": float(offered["mass"].mean()),
            "format": run.stage(OFFERS).facts()["format"],
            "layer": run.stage(PUSHES).facts()["layer"],
        }
        missing = [each.name for each in WORK.quantities if each.name not in found]
        reasons = {name: of_base.get(name, CONSTANT) for name in missing}
        records.append(record_of_run(run, WORK, found, condition, reasons=reasons, facts=facts))
    stage.save_table(PASSES, pd.concat(curves, ignore_index=True))
    return records


def committed(run: Run, offered: pd.DataFrame, condition: str) -> Committed:
    """Return the held-out questions of a condition."""
    held_out = offered[offered["split"] == "test"]
    rows = held_out[ROW].to_numpy()
    questions, _ = load_questions(run)
    suffix = OF_TAUGHT if condition == TAUGHT else ""
    return Committed(
        column_of(run, ELICITED[condition], "expected", rows),
        column_of(run, ELICITED[condition], "stated", rows),
        answer_likelihoods(run, rows),
        held_out[f"{SHOWN}{suffix}"].to_numpy(),
        held_out[f"{SWAPPED}{suffix}"].to_numpy(),
        right_answers(run, rows),
        questions["domain"].to_numpy(dtype=str)[rows],
    )


def _training(offered: pd.DataFrame) -> tuple[Rows, Floats]:
    """Return the training rows and their log-odds of committing, the mean over both orders."""
    train = offered[offered["split"] == "train"]
    both = train[[SHOWN, SWAPPED]].to_numpy()
    return train[ROW].to_numpy(), log_odds(both).mean(axis=1)


def _angles(run: Run, offered: pd.DataFrame) -> dict[str, Estimate]:
    rows, odds = _training(offered)
    training = training_states(run, rows, int(run.stage(PUSHES).facts()["layer"]))
    states, codes, seed = whiten(training.states, training.codes), training.codes, run.config.seed
    choice = measure_angle(states, odds, training.right, codes, seed)
    confidence = measure_angle(states, odds, training.expected, codes, seed)
    return angle_quantities(choice) | {"cosine_confidence": confidence.corrected}


def angles_by_layer(run: Run, offered: pd.DataFrame, layers: Sequence[int]) -> pd.DataFrame:
    """Return the angle of commitment with correctness and with confidence after each layer."""
    rows, odds = _training(offered)
    training, recorded = training_states(run, rows, layers[0]), states_of_stage(run.stage("elicit"))
    lines = []
    for layer in layers:
        states = whiten(states_after_answer(recorded, rows, layer), training.codes)
        for name, target in {CORRECTNESS: training.right, CONFIDENCE: training.expected}.items():
            angle = measure_angle(states, odds, target, training.codes, run.config.seed)
            lines.append(
                {"layer": layer, "with": name}
                | angle.corrected.to_dict("corrected")
                | angle.cosine.to_dict("cosine")
                | angle.second_signal.to_dict("signal")
                | angle.first_signal.to_dict("commit_signal")
                | angle.shuffled.to_dict("shuffled")
            )
    return pd.DataFrame(lines)


def _pushed(run: Run) -> Pushed:
    table = run.stage(PUSHES).table(PUSHED)
    longest = table["length"].max()
    wide = {
        value: table.pivot(index=ROW, columns=["direction", "length"], values=value)
        for value in ("log_odds", "p_commit", "passed")
    }

    def dose(name: str, value: str = "log_odds") -> Floats:
        found: Floats = (wide[value][name, longest] - wide[value][name, -longest]).to_numpy()
        return found

    random = [name for name in table["direction"].unique().tolist() if str(name).startswith(RANDOM)]
    still = wide["log_odds"]
    return Pushed(
        dose(CONFIDENCE),
        dose(CORRECTNESS),
        np.stack([dose(name) for name in random], axis=1),
        (still[NOTHING, 0.0] - still[UNPUSHED, 0.0]).to_numpy(),
        dose(CONFIDENCE, "p_commit"),
        dose(CONFIDENCE, "passed"),
        np.stack([dose(name, "passed") for name in FIRST], axis=1),
    )


def _curve_rows(questions: Committed, draw: Bootstrap) -> pd.DataFrame:
    """Return the share passed at each expected confidence, by the threshold of the record."""
    found: PassedShare = passed_share(
        questions.expected, ~questions.commits, questions.correct, draw
    )
    return pd.DataFrame(
        {
            "confidence": found.confidence,
            "count": found.count,
            "passed": found.share.value,
            "passed.low": found.share.low,
            "passed.high": found.share.high,
        }
    )
