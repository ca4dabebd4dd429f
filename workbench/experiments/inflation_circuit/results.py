"""Measure what ablated sets have of a run's inflation in a condition, and make its record.

The set that is judged is the compact one (see :mod:`.read`); the curve over sizes is for
the page. The correction's set has the size with the lowest Brier score on training questions, which
may be none: then nothing is ablated, and nothing is gained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from workbench.arrays import Floats, Rows
from workbench.bottleneck.ceiling_writers import GRADIENT
from workbench.bottleneck.writer_sets import largest_writers
from workbench.elicit.readout import expected_confidence
from workbench.experiments.inflation_circuit.read import (
    ALONE,
    ALONE_LIKE,
    ANYWHERE,
    ATTRIBUTED,
    CHOSEN,
    HELD_OUT,
    LIKE,
    NOTHING,
    ROLES,
    SETS,
    TRAINED,
    WRITERS,
    WRONG,
    RoleSet,
    compact_size,
    inflation_stage,
    sets_of,
)
from workbench.experiments.mechanism_record import record_of_run
from workbench.experiments.text_bottleneck.ceiling_sets import kept_writers, writers_table
from workbench.experiments.text_bottleneck.conditions import ModelCondition
from workbench.experiments.text_bottleneck.read import split_of
from workbench.loop.answers import right_answers
from workbench.loop.questions import load_questions
from workbench.loop.run import Run
from workbench.measure import Bootstrap, ece
from workbench.mechanisms.record import MechanismRecord
from workbench.mechanisms.works.inflation_circuit import WORK
from workbench.mechanisms.works.inflation_measures import (
    Ablated,
    Corrected,
    measure_ablated,
    measure_correction,
    measure_depth,
)
from workbench.pipeline.store import ROW, StageStore


@dataclass(frozen=True, eq=False)
class _Kept:
    """What a condition's stage keeps, as expected confidences [n, 1 + sets] and masses."""

    expected: dict[str, Floats]
    mass: Floats
    rows: dict[str, Rows]


@dataclass(frozen=True, eq=False)
class SizeTables:
    """The ``curve`` over sizes (size, confidence, removed, carried) and the compact set's
    ``writers`` (layer, component, index, share); both empty where nothing could be ablated.
    """

    curve: pd.DataFrame
    writers: pd.DataFrame


def measure_inflation(run: Run, *, condition: ModelCondition, name: str) -> MechanismRecord:
    """Return the record of a condition that records call ``name``."""
    stage = run.stage(inflation_stage(condition.name))
    if "why_not" in stage.facts():
        reasons = {each.name: str(stage.facts()["why_not"]) for each in WORK.quantities}
        return record_of_run(run, WORK, {}, name, reasons=reasons)
    kept, draw = _kept(run, stage), Bootstrap(run.config.bootstrap_resamples, run.config.seed)
    sets, writers = sets_of(stage.table(SETS)), kept_writers(stage.table(WRITERS))
    scores = stage.tensors(ATTRIBUTED)[GRADIENT]
    compact = compact_size(len(writers))
    accuracy = float(split_of(run, condition).questions.training_correct.mean())
    of = _columns(sets)
    at = [one.size for one in sets if one.role == CHOSEN].index(compact)
    wrong = kept.expected[WRONG]
    ablated = Ablated(
        accuracy,
        wrong[:, 0],
        wrong[:, of[CHOSEN][at]],
        wrong[:, of[LIKE]],
        wrong[:, of[ANYWHERE]],
        wrong[:, of[NOTHING][0]],
        wrong[:, of[ALONE][at]],
        wrong[:, of[ALONE_LIKE]],
        kept.mass[:, of[CHOSEN][at]],
        kept.mass[:, of[LIKE]].mean(axis=1),
    )
    correction, told = _corrected(run, kept, [one.size for one in sets if one.role == CHOSEN])
    estimates = (
        measure_ablated(ablated, draw)
        | measure_depth(scores, [site.layer for site in writers], compact, draw)
        | measure_correction(correction, draw)
    )
    why = (
        "wrong answers are not surely given more than the accuracy, so there is no inflation, or "
        "the writers together do not surely hold it up"
    )
    return record_of_run(
        run,
        WORK,
        estimates,
        name,
        reasons={each.name: why for each in WORK.quantities if each.name not in estimates},
        facts={
            "accuracy": accuracy,
            "writers": len(writers),
            "compact": compact,
            "attributed": len(scores),
            **told,
        },
    )


def size_tables(run: Run, condition: ModelCondition) -> SizeTables:
    """Return what the page shows of a condition by size."""
    stage = run.stage(inflation_stage(condition.name))
    if "why_not" in stage.facts():
        return SizeTables(pd.DataFrame(), pd.DataFrame())
    sets, writers = sets_of(stage.table(SETS)), kept_writers(stage.table(WRITERS))
    mean = stage.tensors(ATTRIBUTED)[GRADIENT].mean(axis=0)
    largest = list(largest_writers(mean, compact_size(len(writers))))
    return SizeTables(
        _curve(_kept(run, stage).expected[WRONG], sets),
        writers_table([writers[at] for at in largest]).assign(share=mean[largest]),
    )


def _columns(sets: Sequence[RoleSet]) -> dict[str, list[int]]:
    """Return by role where its sets stand after the reading without ablation."""
    return {role: [1 + at for at, one in enumerate(sets) if one.role == role] for role in ROLES}


def _kept(run: Run, stage: StageStore) -> _Kept:
    shares = np.asarray(run.scale_tokens.trie.values) / run.fmt.scale.certain
    expected, rows = {}, {}
    mass = np.empty(0)
    for name in (WRONG, TRAINED, HELD_OUT):
        found = stage.tensors(name)["distribution"]
        expected[name] = expected_confidence(found, shares.tolist(), 1.0).astype(np.float64)
        rows[name] = stage.table(name)[ROW].to_numpy()
        if name == WRONG:
            mass = found.sum(axis=-1)
    return _Kept(expected, mass, rows)


def _corrected(run: Run, kept: _Kept, sizes: list[int]) -> tuple[Corrected, dict[str, Any]]:
    """Return the correction by the set that did best on training questions, and its facts."""
    train, test = (right_answers(run, kept.rows[name]) for name in (TRAINED, HELD_OUT))
    brier = ((kept.expected[TRAINED] - train[:, None]) ** 2).mean(axis=0)
    best = int(brier.argmin())
    questions, _ = load_questions(run)
    held_out = kept.expected[HELD_OUT]
    found = Corrected(
        kept.expected[TRAINED][:, 0],
        train,
        held_out[:, 0],
        held_out[:, best],
        test,
        questions["domain"].to_numpy(dtype=str)[kept.rows[HELD_OUT]],
    )
    told = {
        "corrected_by": 0 if best == 0 else sizes[best - 1],
        "ece_own": float(ece(found.own, test)),
        "ece_set": float(ece(found.chosen, test)),
    }
    return found, told


def _curve(wrong: Floats, sets: Sequence[RoleSet]) -> pd.DataFrame:
    """Return, by size, the mean confidence that a set's ablation leaves, and the shares removed and
    carried of what all writers hold up; NaN where they hold up nothing.
    """
    of = _columns(sets)
    held = float((wrong[:, 0] - wrong[:, of[NOTHING][0]]).mean())
    rows = []
    for gone, alone in zip(of[CHOSEN], of[ALONE], strict=True):
        removed = float((wrong[:, 0] - wrong[:, gone]).mean())
        carried = float((wrong[:, alone] - wrong[:, of[NOTHING][0]]).mean())
        rows.append(
            {
                "size": sets[gone - 1].size,
                "confidence": float(wrong[:, gone].mean()),
                "removed": removed / held if held > 0 else np.nan,
                "carried": carried / held if held > 0 else np.nan,
            }
        )
    return pd.DataFrame(rows)
