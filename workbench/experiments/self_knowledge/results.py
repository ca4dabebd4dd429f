"""Measure the kept scores of a run's questions and say which claims they bear out, base and taught.

The taught model answers as the base model does: its adapter acts on the confidence reply alone, so
the states at the question's end, and all that the claims read, are the base model's. What teaching
can change is the probe after the answer. Where an adapter acts on the whole conversation its states
at the question's end were not recorded, and the taught model is not tested.
"""

from __future__ import annotations

import numpy as np

from workbench.arrays import Floats
from workbench.experiments.mechanism_record import record_of_run
from workbench.experiments.self_knowledge.scores import PAIR, SCORES, SHUFFLES, STAGE
from workbench.experiments.self_knowledge.text_classifiers import NO_EMBEDDING
from workbench.loop.answers import right_answers
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.mechanisms.record import BASE, TAUGHT, MechanismRecord
from workbench.mechanisms.works.question_scores import (
    AFTER_ANSWER,
    EMBEDDING,
    FEWEST_ALONE,
    LABELS,
    Pair,
    Scores,
    measure_scores,
)
from workbench.mechanisms.works.self_knowledge import WORK
from workbench.pipeline.store import ROW, StageStore

PROBES = {BASE: "probe", TAUGHT: "probe_tuned"}


def measure_self_knowledge(run: Run, stage: StageStore, *, teaching: bool) -> list[MechanismRecord]:
    """Return the record of the base model and, with ``teaching``, of the taught one."""
    conditions = [BASE]
    if teaching and run.config.teach.adapter_scope == "reply":
        conditions.append(TAUGHT)
    return [_record(run, condition) for condition in conditions]


def _record(run: Run, condition: str) -> MechanismRecord:
    scores = read_scores(run, condition)
    estimates = measure_scores(scores)
    facts = run.stage(STAGE).facts()
    return record_of_run(
        run,
        WORK,
        estimates,
        condition,
        reasons={
            each.name: _reason(each.name, scores)
            for each in WORK.quantities
            if each.name not in estimates
        },
        facts={name: facts[name] for name in ("layer", "best_input", "training", "other")},
    )


def _reason(name: str, scores: Scores) -> str:
    if name.removesuffix("_pooled") == EMBEDDING:
        return NO_EMBEDDING
    if scores.pair is None:
        return "no other model was named; give other=NAME"
    return (
        f"one of the two models alone answers fewer than {FEWEST_ALONE} held-out questions right, "
        "so that their disagreements are nearly all of one kind"
    )


def read_scores(run: Run, condition: str) -> Scores:
    """Return the kept scores of the held-out questions in a condition."""
    stage = run.stage(STAGE)
    table = stage.table(SCORES)
    rows = table[ROW].to_numpy()
    questions, _ = load_questions(run)
    domain = questions["domain"].to_numpy(dtype=str)
    probabilities = run.stage(PROBES[condition]).table("probabilities").set_index(ROW)
    after: Floats = probabilities["probability"].loc[rows.tolist()].to_numpy()
    of = {name: table[name].to_numpy() for name in LABELS if name in table} | {AFTER_ANSWER: after}
    pair = None
    if stage.holds(f"{PAIR}.parquet"):
        kept = stage.table(PAIR)
        shared = kept[ROW].to_numpy()
        pair = Pair(
            kept["own"].to_numpy(),
            kept["other"].to_numpy(),
            right_answers(run, shared),
            kept["other_correct"].to_numpy(dtype=np.bool_),
            domain[shared],
        )
    return Scores(
        right_answers(run, rows),
        domain[rows],
        of,
        stage.facts()["best_input"],
        pair,
        stage.tensors(SHUFFLES)[SHUFFLES],
    )
